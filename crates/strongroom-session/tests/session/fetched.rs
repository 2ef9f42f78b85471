//! Keys that come and go: until when they are used, beside keys that stay, and when new ones
//! would help.

use strongroom_core::{Subject, UnixMillis};
use strongroom_session::{Error, KeySourceConfig, PublicKey, Refused, Rules, Verifier};

use crate::mint::{ED25519, LATER, NOW, P256, Pair, USER, fetching, put, source};

/// Keys from now on for a minute.
const STALE_AT: UnixMillis = UnixMillis(NOW.0 + 60_000);

fn fetched(name: &str, fixed: &[&Pair]) -> KeySourceConfig {
    KeySourceConfig {
        fetched: true,
        ..source(name, fixed)
    }
}

fn verifier_of(sources: Vec<KeySourceConfig>) -> Verifier {
    Verifier::new(sources, Rules::default()).unwrap()
}

fn with_kid(pair: &Pair, kid: &str) -> PublicKey {
    PublicKey::from_jwk(&pair.jwk(&format!(r#","kid":"{kid}""#))).unwrap()
}

fn mint_kid(pair: &Pair, kid: &str) -> String {
    pair.mint_with(
        &format!(r#"{{"alg":"{}","kid":"{kid}"}}"#, pair.alg()),
        USER,
    )
}

#[test]
fn a_source_may_start_without_any_key_if_keys_are_fetched_for_it() {
    let verifier = verifier_of(vec![fetched("default", &[])]);
    let jwt = ED25519.mint(USER);
    assert_eq!(verifier.verify(&jwt, NOW).unwrap_err(), Refused::Algorithm);
    put(&verifier, "default", &[&ED25519]);
    assert!(verifier.verify(&jwt, NOW).is_ok());
}

#[test]
fn stale_keys_are_refused_to_the_millisecond_also_from_the_cache() {
    let verifier = fetching(&[]);
    verifier
        .put_keys("default", vec![ED25519.public()], STALE_AT)
        .unwrap();
    let [seen, unseen] = ["alice", "bob"].map(|name| ED25519.mint(&USER.replace("alice", name)));
    assert!(verifier.verify(&seen, NOW).is_ok());
    let last = UnixMillis(STALE_AT.0 - 1);
    assert!(verifier.verify(&seen, last).is_ok());
    for jwt in [&seen, &unseen] {
        assert_eq!(verifier.verify(jwt, STALE_AT).unwrap_err(), Refused::Stale);
    }
    verifier
        .put_keys("default", vec![ED25519.public()], STALE_AT.plus(60_000))
        .unwrap();
    assert!(verifier.verify(&seen, STALE_AT).is_ok());
}

#[test]
fn a_removed_key_does_not_come_back_when_its_source_is_fresh_again() {
    let verifier = fetching(&[]);
    let put_until = |pair: &Pair, until| {
        verifier
            .put_keys("default", vec![pair.public()], until)
            .unwrap();
    };
    put_until(&ED25519, STALE_AT);
    let jwt = ED25519.mint(USER);
    assert!(verifier.verify(&jwt, NOW).is_ok());
    assert_eq!(verifier.verify(&jwt, STALE_AT).unwrap_err(), Refused::Stale);
    put_until(&P256, LATER);
    let outcome = verifier.verify(&jwt, STALE_AT);
    assert_eq!(outcome.unwrap_err(), Refused::Algorithm);
}

#[test]
fn keys_that_stay_go_on_when_the_fetched_ones_beside_them_are_stale_or_gone() {
    let verifier = verifier_of(vec![fetched("default", &[&ED25519])]);
    verifier
        .put_keys("default", vec![P256.public(), ED25519.public()], STALE_AT)
        .unwrap();
    let [fixed, fetched] = [&*ED25519, &*P256].map(|pair| pair.mint(USER));
    for jwt in [&fixed, &fetched] {
        assert!(verifier.verify(jwt, NOW).is_ok());
    }
    // Published too, it is a key that stays nevertheless.
    assert!(verifier.verify(&fixed, STALE_AT).is_ok());
    assert_eq!(
        verifier.verify(&fetched, STALE_AT).unwrap_err(),
        Refused::Stale
    );
    put(&verifier, "default", &[]);
    assert!(verifier.verify(&fixed, NOW).is_ok());
    assert_eq!(
        verifier.verify(&fetched, NOW).unwrap_err(),
        Refused::Algorithm
    );
}

#[test]
fn one_source_going_stale_leaves_the_others_alone() {
    let verifier = verifier_of(vec![fetched("shop", &[]), fetched("bank", &[])]);
    verifier
        .put_keys("shop", vec![ED25519.public()], STALE_AT)
        .unwrap();
    put(&verifier, "bank", &[&P256]);
    let [shop, bank] = [&*ED25519, &*P256].map(|pair| pair.mint(USER));
    assert_eq!(
        verifier.verify(&shop, STALE_AT).unwrap_err(),
        Refused::Stale
    );
    let bank = verifier.verify(&bank, STALE_AT).unwrap();
    assert_eq!(bank.caller.issuer(), "bank");
}

#[test]
fn a_stale_source_still_makes_a_shared_key_ambiguous() {
    let verifier = verifier_of(vec![fetched("a", &[]), fetched("b", &[])]);
    verifier
        .put_keys("a", vec![ED25519.public()], STALE_AT)
        .unwrap();
    put(&verifier, "b", &[&ED25519]);
    for now in [NOW, STALE_AT] {
        let outcome = verifier.verify(&ED25519.mint(USER), now);
        assert_eq!(outcome.unwrap_err(), Refused::Ambiguous);
    }
}

#[test]
fn a_kid_that_moves_to_another_key_is_noticed_by_the_cache() {
    let (one, two) = (Pair::ed25519(), Pair::ed25519());
    let verifier = fetching(&[]);
    let put_named = |kids: [&str; 2]| {
        let keys = vec![with_kid(&one, kids[0]), with_kid(&two, kids[1])];
        verifier.put_keys("default", keys, LATER).unwrap();
    };
    put_named(["1", "2"]);
    let jwt = mint_kid(&one, "1");
    assert!(verifier.verify(&jwt, NOW).is_ok());
    put_named(["2", "1"]);
    assert_eq!(verifier.verify(&jwt, NOW).unwrap_err(), Refused::Signature);
}

#[test]
fn a_kid_names_keys_that_stay_and_fetched_ones_alike() {
    let (fixed, come) = (Pair::ed25519(), Pair::ed25519());
    let mut config = fetched("default", &[]);
    config.keys.push(with_kid(&fixed, "1"));
    let verifier = verifier_of(vec![config]);
    verifier
        .put_keys("default", vec![with_kid(&come, "2")], LATER)
        .unwrap();
    for (pair, kid, sound) in [
        (&fixed, "1", true),
        (&come, "2", true),
        (&fixed, "2", false),
        (&come, "1", false),
        (&come, "3", true),
    ] {
        let outcome = verifier.verify(&mint_kid(pair, kid), NOW);
        assert_eq!(outcome.is_ok(), sound, "{kid}");
    }
}

#[test]
fn new_keys_are_wanted_where_the_header_names_none_that_is_there() {
    let (known, new) = (Pair::ed25519(), Pair::ed25519());
    let verifier = fetching(&[]);
    let lacking = |jwt: &str| verifier.lacking_key(jwt, NOW);
    assert_eq!(lacking(&mint_kid(&new, "2")), ["default"], "none came yet");
    verifier
        .put_keys("default", vec![with_kid(&known, "1")], LATER)
        .unwrap();
    assert_eq!(lacking(&mint_kid(&new, "2")), ["default"]);
    assert_eq!(lacking(&new.mint(USER)), ["default"], "no kid at all");
    assert!(
        lacking(&mint_kid(&new, "1")).is_empty(),
        "a forged signature"
    );
    // Of another algorithm than the key of that name.
    assert_eq!(lacking(&mint_kid(&P256, "1")), ["default"]);
}

#[test]
fn new_keys_are_wanted_when_the_present_ones_are_stale() {
    let verifier = fetching(&[]);
    let key = vec![with_kid(&ED25519, "1")];
    verifier.put_keys("default", key, STALE_AT).unwrap();
    let jwt = mint_kid(&ED25519, "1");
    assert!(verifier.lacking_key(&jwt, NOW).is_empty());
    assert_eq!(verifier.lacking_key(&jwt, STALE_AT), ["default"]);
}

#[test]
fn a_jwt_that_no_key_could_save_wants_none() {
    let mut config = fetched("default", &[]);
    config.iss = Some("shop".to_owned());
    config.subjects = vec![Subject::User];
    let verifier = verifier_of(vec![config, source("other", &[&P256])]);
    let lacking = |jwt: &str| verifier.lacking_key(jwt, NOW).len();
    let shop = USER.replace("alice", r#"alice","iss":"shop"#);
    assert_eq!(lacking(&ED25519.mint(&shop)), 1);
    for claims in [
        USER.to_owned(),
        shop.replace("shop", "bank"),
        shop.replace(r#""user""#, r#""application""#),
        shop.replace("1800000900", "1799990000"),
        shop.replace("1800000900", "1900000900"),
        shop.replace(r#""exp":1800000900"#, r#""x":1"#),
        "[]".to_owned(),
    ] {
        assert_eq!(lacking(&ED25519.mint(&claims)), 0, "{claims}");
    }
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"HS256"}"#,
        r#"{"alg":"EdDSA","crit":[]}"#,
        r#"{"alg":"EdDSA","kid":1}"#,
    ] {
        assert_eq!(lacking(&ED25519.mint_with(header, &shop)), 0, "{header}");
    }
    let long = mint_kid(&ED25519, &"k".repeat(9_000));
    assert_eq!(lacking(&long), 0);
    for jwt in ["", "..", "a.b.c", "a.b.c.d.e"] {
        assert_eq!(lacking(jwt), 0, "{jwt}");
    }
}

#[test]
fn faults_name_the_source_and_what_ails_it() {
    let verifier = verifier_of(vec![
        source("fixed", &[&P256]),
        fetched("shop", &[&ED25519]),
        fetched("bank", &[]),
    ]);
    assert_eq!(
        verifier.faults(NOW),
        [
            "the keys of key source `shop` were not fetched yet",
            "the keys of key source `bank` were not fetched yet",
        ]
    );
    put(&verifier, "shop", &[]);
    verifier
        .put_keys("bank", vec![ED25519.public()], STALE_AT)
        .unwrap();
    let none = "the keys of key source `shop` are none that can be used";
    assert_eq!(verifier.faults(NOW), [none]);
    assert_eq!(
        verifier.faults(STALE_AT),
        [none, "the keys of key source `bank` are stale"]
    );
    put(&verifier, "shop", &[&ED25519]);
    put(&verifier, "bank", &[&P256]);
    assert!(verifier.faults(NOW).is_empty());
}

#[test]
fn only_fetched_sources_may_lack_keys_at_start() {
    let outcome = Verifier::new(vec![source("a", &[])], Rules::default());
    assert_eq!(outcome.unwrap_err(), Error::NoKeys("a".to_owned()));
}
