//! A cached JWT is answered as it would be without the cache.

use std::sync::Arc;

use strongroom_core::UnixMillis;
use strongroom_session::{Error, KeySourceConfig, Refused, Rules, Verifier};

use crate::mint::{ED25519, LATER, NOW, P256, Pair, USER, fetching, put, source, verifier};

#[test]
fn a_second_look_is_answered_from_the_cache() {
    let verifier = verifier(&[&ED25519]);
    let jwt = ED25519.mint(USER);
    let first = verifier.verify(&jwt, NOW).unwrap();
    let second = verifier.verify(&jwt, NOW.plus(1000)).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
}

#[test]
fn a_cache_of_no_size_verifies_each_time() {
    let rules = Rules {
        cache_max: 0,
        ..Rules::default()
    };
    let verifier = Verifier::new(vec![source("default", &[&ED25519])], rules).unwrap();
    let jwt = ED25519.mint(USER);
    let [first, second] = [(); 2].map(|()| verifier.verify(&jwt, NOW).unwrap());
    assert!(!Arc::ptr_eq(&first, &second));
}

#[test]
fn a_cached_jwt_expires_at_its_time() {
    let verifier = verifier(&[&ED25519]);
    let jwt = ED25519.mint(USER);
    let end = UnixMillis(1_800_000_960_000);
    assert!(verifier.verify(&jwt, NOW).is_ok());
    assert!(verifier.verify(&jwt, UnixMillis(end.0 - 1)).is_ok());
    for now in [end, end.plus(1), UnixMillis(u64::MAX)] {
        assert_eq!(verifier.verify(&jwt, now).unwrap_err(), Refused::Expired);
    }
}

#[test]
fn a_cached_jwt_is_held_to_all_dates_when_the_clock_moves_back() {
    let verifier = verifier(&[&ED25519]);
    let jwt = ED25519.mint(&USER.replace('{', r#"{"nbf":1800000000,"#));
    assert_eq!(
        verifier
            .verify(&jwt, UnixMillis(NOW.0 - 60_001))
            .unwrap_err(),
        Refused::NotYetValid
    );
    assert!(verifier.verify(&jwt, NOW).is_ok());
    assert_eq!(
        verifier
            .verify(&jwt, UnixMillis(NOW.0 - 60_001))
            .unwrap_err(),
        Refused::NotYetValid
    );
    assert_eq!(
        verifier.verify(&jwt, UnixMillis(0)).unwrap_err(),
        Refused::Lifetime
    );
    assert!(verifier.verify(&jwt, NOW).is_ok());
}

#[test]
fn a_refusal_is_not_remembered() {
    let (old, new) = (Pair::ed25519(), Pair::ed25519());
    let verifier = fetching(&[&old]);
    let jwt = new.mint(USER);
    assert_eq!(verifier.verify(&jwt, NOW).unwrap_err(), Refused::Signature);
    put(&verifier, "default", &[&old, &new]);
    assert!(verifier.verify(&jwt, NOW).is_ok());
}

#[test]
fn a_removed_key_stops_its_cached_jwts_at_once() {
    let (old, new) = (Pair::ed25519(), Pair::ed25519());
    let verifier = fetching(&[&old, &new]);
    let [old_jwt, new_jwt] = [&old, &new].map(|pair| pair.mint(USER));
    assert!(verifier.verify(&old_jwt, NOW).is_ok());
    assert!(verifier.verify(&new_jwt, NOW).is_ok());
    put(&verifier, "default", &[&new]);
    assert_eq!(
        verifier.verify(&old_jwt, NOW).unwrap_err(),
        Refused::Signature
    );
    assert!(verifier.verify(&new_jwt, NOW).is_ok());
    put(&verifier, "default", &[]);
    assert_eq!(
        verifier.verify(&new_jwt, NOW).unwrap_err(),
        Refused::Algorithm
    );
    put(&verifier, "default", &[&old]);
    assert!(verifier.verify(&old_jwt, NOW).is_ok());
}

#[test]
fn a_refresh_with_the_same_keys_keeps_the_cache() {
    let verifier = fetching(&[&ED25519, &P256]);
    let jwt = ED25519.mint(USER);
    let first = verifier.verify(&jwt, NOW).unwrap();
    put(&verifier, "default", &[&P256, &ED25519]);
    assert!(Arc::ptr_eq(&first, &verifier.verify(&jwt, NOW).unwrap()));
}

#[test]
fn a_key_that_a_second_source_adopts_makes_cached_jwts_ambiguous() {
    let fetched = |name| KeySourceConfig {
        fetched: true,
        ..source(name, &[])
    };
    let sources = vec![fetched("a"), fetched("b")];
    let verifier = Verifier::new(sources, Rules::default()).unwrap();
    put(&verifier, "a", &[&ED25519]);
    put(&verifier, "b", &[&P256]);
    let jwt = ED25519.mint(USER);
    assert!(verifier.verify(&jwt, NOW).is_ok());
    put(&verifier, "b", &[&ED25519]);
    assert_eq!(verifier.verify(&jwt, NOW).unwrap_err(), Refused::Ambiguous);
    put(&verifier, "a", &[&P256]);
    assert_eq!(verifier.verify(&jwt, NOW).unwrap().caller.issuer(), "b");
}

#[test]
fn keys_of_a_source_that_is_unknown_or_has_none_fetched_are_an_error() {
    for (verifier, name) in [(fetching(&[]), "other"), (verifier(&[&ED25519]), "default")] {
        let outcome = verifier.put_keys(name, vec![P256.public()], LATER);
        assert_eq!(outcome, Err(Error::UnknownSource(name.to_owned())));
    }
}

#[test]
fn a_full_cache_changes_no_answer() {
    let rules = Rules {
        cache_max: 20,
        ..Rules::default()
    };
    let verifier = Verifier::new(vec![source("default", &[&ED25519])], rules).unwrap();
    let jwts: Vec<String> = (0..200)
        .map(|n| ED25519.mint(&USER.replace("alice", &format!("user-{n}"))))
        .collect();
    for _ in 0..2 {
        for (n, jwt) in jwts.iter().enumerate() {
            let answer = verifier.verify(jwt, NOW).unwrap();
            assert_eq!(answer.caller.session.id(), format!("user-{n}"));
        }
    }
}

#[test]
fn threads_that_race_a_key_change_never_see_the_removed_key_after_it() {
    let (old, new) = (Pair::ed25519(), Pair::ed25519());
    let verifier = fetching(&[&old]);
    let jwt = old.mint(USER);
    for _ in 0..50 {
        put(&verifier, "default", &[&old]);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        // Either answer is right while the change is under way.
                        drop(verifier.verify(&jwt, NOW));
                    }
                });
            }
            put(&verifier, "default", &[&new]);
            for _ in 0..20 {
                assert_eq!(verifier.verify(&jwt, NOW).unwrap_err(), Refused::Signature);
            }
        });
        assert_eq!(verifier.verify(&jwt, NOW).unwrap_err(), Refused::Signature);
    }
}
