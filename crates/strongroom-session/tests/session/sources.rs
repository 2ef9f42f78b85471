//! Which source vouches for a JWT, and for whom.

use strongroom_core::{SessionKind, Subject};
use strongroom_session::{Error, KeySourceConfig, PublicKey, Refused, Rules, Verified, Verifier};

use crate::mint::{ED25519, NOW, P256, Pair, RSA, USER, source, verifier};

fn several(sources: Vec<KeySourceConfig>) -> Verifier {
    Verifier::new(sources, Rules::default()).unwrap()
}

#[test]
fn the_key_names_the_source_and_so_the_issuer() {
    let verifier = several(vec![
        source("shop", &[&ED25519]),
        source("bank", &[&P256, &RSA]),
    ]);
    for (pair, issuer) in [(&*ED25519, "shop"), (&P256, "bank"), (&RSA, "bank")] {
        let answer = verifier.verify(&pair.mint(USER), NOW).unwrap();
        assert_eq!(answer.caller.issuer(), issuer);
    }
}

#[test]
fn the_same_session_id_of_two_sources_is_two_sessions() {
    let (one, two) = (Pair::ed25519(), Pair::ed25519());
    let verifier = several(vec![source("shop", &[&one]), source("bank", &[&two])]);
    let [shop, bank] = [&one, &two].map(|pair| verifier.verify(&pair.mint(USER), NOW).unwrap());
    assert_ne!(shop.caller.session, bank.caller.session);
    assert_eq!(shop.session_hash, bank.session_hash);
}

#[test]
fn a_key_of_one_source_does_not_speak_with_the_iss_of_another() {
    let (one, two) = (Pair::ed25519(), Pair::ed25519());
    let with_iss = |name: &str, pair| KeySourceConfig {
        iss: Some(name.to_owned()),
        ..source(name, &[pair])
    };
    let verifier = several(vec![with_iss("shop", &one), with_iss("bank", &two)]);
    let claims = |iss: &str| USER.replace("alice", &format!(r#"alice","iss":"{iss}"#));
    let answer = verifier.verify(&one.mint(&claims("shop")), NOW).unwrap();
    assert_eq!(answer.caller.issuer(), "shop");
    for jwt in [
        one.mint(&claims("bank")),
        two.mint(&claims("shop")),
        one.mint(USER),
    ] {
        assert_eq!(verifier.verify(&jwt, NOW).unwrap_err(), Refused::Issuer);
    }
}

#[test]
fn a_shared_key_is_told_apart_by_aud_or_refused() {
    let with_aud = |name: &str| KeySourceConfig {
        aud: Some(name.to_owned()),
        ..source(name, &[&ED25519])
    };
    let verifier = several(vec![with_aud("a"), with_aud("b")]);
    let claims = |aud: &str| USER.replace(r#""exp""#, &format!(r#""aud":{aud},"exp""#));
    let issuer = |aud| {
        verifier
            .verify(&ED25519.mint(&claims(aud)), NOW)
            .map(|verified| verified.caller.issuer().to_owned())
    };
    assert_eq!(issuer(r#""a""#).unwrap(), "a");
    assert_eq!(issuer(r#"["x","b"]"#).unwrap(), "b");
    assert_eq!(issuer(r#"["a","b"]"#).unwrap_err(), Refused::Ambiguous);
    assert_eq!(issuer(r#""c""#).unwrap_err(), Refused::Audience);
}

#[test]
fn a_jwt_that_two_sources_verify_is_refused() {
    let verifier = several(vec![source("a", &[&ED25519]), source("b", &[&ED25519])]);
    assert_eq!(
        verifier.verify(&ED25519.mint(USER), NOW).unwrap_err(),
        Refused::Ambiguous
    );
}

#[test]
fn a_source_speaks_for_its_subjects_only() {
    let front = KeySourceConfig {
        subjects: vec![Subject::User],
        ..source("front", &[&ED25519])
    };
    let verifier = several(vec![front, source("back", &[&P256])]);
    assert!(verifier.verify(&ED25519.mint(USER), NOW).is_ok());
    for subject in ["application", "developer"] {
        let claims = USER.replace("\"user\"", &format!("\"{subject}\""));
        assert!(verifier.verify(&P256.mint(&claims), NOW).is_ok());
        let outcome = verifier.verify(&ED25519.mint(&claims), NOW);
        assert_eq!(outcome.unwrap_err(), Refused::SubjectNotAllowed);
    }
}

fn named(kid: &str) -> (Pair, PublicKey) {
    let pair = Pair::ed25519();
    let key = PublicKey::from_jwk(&pair.jwk(&format!(r#","kid":"{kid}""#))).unwrap();
    (pair, key)
}

#[test]
fn kid_chooses_among_keys_and_is_never_required() {
    let ((one, one_key), (two, two_key)) = (named("1"), named("2"));
    let mut config = source("default", &[&P256]);
    config.keys.extend([one_key, two_key]);
    let verifier = several(vec![config]);
    let with_kid = |pair: &Pair, kid: &str| {
        let header = format!(r#"{{"alg":"{}","kid":"{kid}"}}"#, pair.alg());
        verifier
            .verify(&pair.mint_with(&header, USER), NOW)
            .map(|verified| verified.key_thumbprint)
    };
    for pair in [&one, &two] {
        assert!(verifier.verify(&pair.mint(USER), NOW).is_ok());
        assert_eq!(with_kid(pair, "unknown"), Ok(pair.public().thumbprint()));
    }
    assert_eq!(with_kid(&one, "1"), Ok(one.public().thumbprint()));
    assert_eq!(with_kid(&one, "2"), Err(Refused::Signature));
    // Known, but of a key with another algorithm, so it says nothing about this one.
    assert_eq!(with_kid(&P256, "2"), Ok(P256.public().thumbprint()));
}

fn verify(claims: &str) -> Verified {
    let verified = verifier(&[&ED25519])
        .verify(&ED25519.mint(claims), NOW)
        .unwrap();
    std::sync::Arc::into_inner(verified).unwrap()
}

#[test]
fn the_session_hash_is_sha_1_of_session_id() {
    let alice = verify(&USER.replace("alice", "abc"));
    assert_eq!(
        alice.session_hash_str(),
        "a9993e364706816aba3e25717850c26c9cd0d89d"
    );
    let nobody = verify(r#"{"sub":"application","iss":"node-sdk","exp":1800000900}"#);
    assert_eq!(
        nobody.session_hash_str(),
        "da39a3ee5e6b4b0d3255bfef95601890afd80709"
    );
    assert_eq!(nobody.caller.session.kind(), SessionKind::Application);
    assert_eq!(nobody.caller.session.id(), "node-sdk");
}

#[test]
fn the_ancestors_developer_needs_the_setting() {
    let jwt = RSA.mint_with(
        r#"{"alg":"RS256","typ":"JWT"}"#,
        r#"{"sub":"developer","session_id":"cli-tool"}"#,
    );
    assert_eq!(
        verifier(&[&RSA]).verify(&jwt, NOW).unwrap_err(),
        Refused::NoExpiry
    );
    let rules = Rules {
        allow_unbounded: true,
        ..Rules::default()
    };
    let lax = Verifier::new(vec![source("default", &[&RSA])], rules).unwrap();
    assert_eq!(
        lax.verify(&jwt, NOW).unwrap().caller.subject,
        Subject::Developer
    );
}

#[test]
fn faults_of_the_configuration_are_named() {
    let fault = |sources| Verifier::new(sources, Rules::default()).unwrap_err();
    assert_eq!(fault(vec![]), Error::NoSources);
    for name in ["", "a\nb", &"a".repeat(65)] {
        assert_eq!(fault(vec![source(name, &[&ED25519])]), Error::SourceName);
    }
    assert_eq!(fault(vec![source("a", &[])]), Error::NoKeys("a".to_owned()));
    let mute = KeySourceConfig {
        subjects: vec![],
        ..source("a", &[&ED25519])
    };
    assert_eq!(fault(vec![mute]), Error::NoSubjects("a".to_owned()));
    let twice = vec![source("a", &[&ED25519]), source("a", &[&P256])];
    assert_eq!(fault(twice), Error::DuplicateSource("a".to_owned()));
}
