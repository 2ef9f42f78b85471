//! The edges of the format and of the three signature schemes: what is nearly a good JWT, and what
//! is one although it looks odd.

use strongroom_session::{PublicKey, Refused, Rules, Verifier};

use crate::mint::{ED25519, NOW, P256, Pair, RSA, USER, b64, source, verifier};

fn refused(verifier: &Verifier, jwt: &str) -> Refused {
    verifier.verify(jwt, NOW).unwrap_err()
}

/// A JWE (RFC 7516 §7.1) has five parts, and its header may look like one that is known.
#[test]
fn an_encrypted_jwt_is_no_jwt_of_ours() {
    let part = b64([0; 16]);
    for header in [
        r#"{"alg":"dir","enc":"A128GCM"}"#,
        r#"{"alg":"RSA-OAEP-256","enc":"A256GCM"}"#,
        r#"{"alg":"RS256","enc":"A256GCM"}"#,
        r#"{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AA"}"#,
    ] {
        let five = format!("{}..{part}.{part}.{part}", b64(header));
        assert_eq!(
            refused(&verifier(&Pair::all()), &five),
            Refused::Shape,
            "{header}"
        );
        // The same with as many parts as a signed one.
        let three = format!("{}.{part}.{part}", b64(header));
        let outcome = refused(&verifier(&Pair::all()), &three);
        assert!(
            matches!(outcome, Refused::Algorithm | Refused::Signature),
            "{header}: {outcome:?}"
        );
    }
}

/// The JSON serializations (RFC 7515 §7.2) are not for the places where a JWT travels.
#[test]
fn the_json_serializations_are_refused() {
    let jwt = ED25519.mint(USER);
    let parts: Vec<&str> = jwt.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    for text in [
        format!(r#"{{"payload":"{payload}","protected":"{header}","signature":"{signature}"}}"#),
        format!(
            r#"{{"payload":"{payload}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#
        ),
        format!("[{jwt}]"),
        format!("\"{jwt}\""),
    ] {
        let outcome = refused(&verifier(&[&ED25519]), &text);
        assert!(
            matches!(outcome, Refused::Shape | Refused::Encoding),
            "{text}"
        );
    }
}

/// RFC 7797: without `crit` the member `b64` says nothing, and an encoded payload stays one.
#[test]
fn an_unencoded_payload_is_refused_with_and_without_crit() {
    let verifier = verifier(&[&ED25519]);
    let header = r#"{"alg":"EdDSA","b64":false}"#;
    assert!(
        verifier
            .verify(&ED25519.mint_with(header, USER), NOW)
            .is_ok()
    );
    let detached = format!("{}.", b64(header));
    assert_eq!(
        refused(&verifier, &ED25519.mint_raw(&detached)),
        Refused::Claims
    );
}

#[test]
fn a_kid_is_compared_and_nothing_else_whatever_it_looks_like() {
    let (own, stranger) = (Pair::ed25519(), Pair::ed25519());
    let jwk = own.jwk(r#","kid":"1""#);
    let mut config = source("default", &[]);
    config.keys.push(PublicKey::from_jwk(&jwk).unwrap());
    let verifier = Verifier::new(vec![config], Rules::default()).unwrap();
    let long = "k".repeat(4_000);
    for kid in [
        "../../../../dev/null",
        "/etc/passwd",
        "file:///dev/null",
        "' OR '1'='1",
        "1' UNION SELECT 'secret' --",
        "1\\u0000",
        "|/bin/id",
        "$(id)",
        "https://evil.example/key",
        "",
        " 1",
        "1 ",
        "\\u0031\\u0031",
        &long,
    ] {
        let header = format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#);
        assert_eq!(
            refused(&verifier, &stranger.mint_with(&header, USER)),
            Refused::Signature,
            "{kid}"
        );
        // A hint that fits no key is no reason to refuse a good signature.
        assert!(verifier.verify(&own.mint_with(&header, USER), NOW).is_ok());
    }
    let nameless = own.mint_with(r#"{"alg":"EdDSA","kid":"\u0031"}"#, USER);
    assert!(verifier.verify(&nameless, NOW).is_ok());
}

/// Of two signatures `(r, s)` and `(r, n - s)` both are good (RFC 7515 has no rule of low `s`). It
/// is harmless here: a JWT is remembered by all of its bytes, and nothing is counted per JWT.
#[test]
fn the_twin_of_an_es256_signature_is_good_and_gives_nothing_more() {
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order = hex::decode(ORDER).unwrap();
    let signed = format!("{}.{}", b64(r#"{"alg":"ES256"}"#), b64(USER));
    let signature = P256.sign(signed.as_bytes());
    let (r, s) = signature.split_at(32);
    let mut twin = vec![0; 32];
    let mut borrow = 0_i16;
    for at in (0..32).rev() {
        let difference = i16::from(order[at]) - i16::from(s[at]) - borrow;
        borrow = i16::from(difference < 0);
        twin[at] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let verifier = verifier(&[&P256]);
    let of = |s: &[u8]| {
        let jwt = format!("{signed}.{}", b64([r, s].concat()));
        verifier.verify(&jwt, NOW).unwrap()
    };
    let (one, other) = (of(s), of(&twin));
    assert_eq!(one.caller.session, other.caller.session);
    assert_eq!(one.expires_at(), other.expires_at());
}

/// RFC 8032 §5.1.7 demands `S < L`; without it each signature would have twins.
#[test]
fn an_eddsa_signature_has_no_twin() {
    // The order of the base point, little-endian.
    const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let order = hex::decode(ORDER).unwrap();
    let signed = format!("{}.{}", b64(r#"{"alg":"EdDSA"}"#), b64(USER));
    let mut signature = ED25519.sign(signed.as_bytes());
    let mut carry = 0_u16;
    for at in 0..32 {
        let sum = u16::from(signature[32 + at]) + u16::from(order[at]) + carry;
        signature[32 + at] = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    let jwt = format!("{signed}.{}", b64(signature));
    assert_eq!(refused(&verifier(&[&ED25519]), &jwt), Refused::Signature);
}

/// With the neutral point in the place of R and zero in that of S, a key of low order verifies
/// everything; such keys are refused, and others verify no such thing.
#[test]
fn eddsa_signatures_without_a_secret_are_refused() {
    let signed = format!("{}.{}", b64(r#"{"alg":"EdDSA"}"#), b64(USER));
    let mut neutral = [0; 64];
    neutral[0] = 1;
    for forged in [[0; 64], neutral, [0xff; 64]] {
        let jwt = format!("{signed}.{}", b64(forged));
        assert_eq!(refused(&verifier(&[&ED25519]), &jwt), Refused::Signature);
    }
}

/// Without padding 0 and 1 are their own powers, and good under every key.
#[test]
fn rsa_signatures_that_are_small_numbers_are_refused() {
    let signed = format!("{}.{}", b64(r#"{"alg":"RS256"}"#), b64(USER));
    for number in [&[0][..], &[1], &[2], &[0xff]] {
        let mut signature = vec![0; 256];
        signature[256 - number.len()..].copy_from_slice(number);
        let jwt = format!("{signed}.{}", b64(signature));
        assert_eq!(refused(&verifier(&[&RSA]), &jwt), Refused::Signature);
    }
}

#[test]
fn names_written_with_escapes_are_the_same_names() {
    let keys = verifier(&[&ED25519]);
    let header = r#"{"\u0061lg":"EdDSA"}"#;
    let claims = r#"{"su\u0062":"user","session\u005fid":"al\u0069ce","e\u0078p":1800000900}"#;
    let verified = keys
        .verify(&ED25519.mint_with(header, claims), NOW)
        .unwrap();
    assert_eq!(verified.caller.session.id(), "alice");
    let critical = r#"{"alg":"EdDSA","cri\u0074":["b64"]}"#;
    assert_eq!(
        refused(&keys, &ED25519.mint_with(critical, USER)),
        Refused::Critical
    );
}

#[test]
fn dates_that_are_no_dates_are_refused_although_signed() {
    let verifier = verifier(&[&ED25519]);
    for (exp, expected) in [
        ("NaN", Refused::Claims),
        ("Infinity", Refused::Claims),
        ("1e999", Refused::Claims),
        ("01800000900", Refused::Claims),
        ("0x6B49D200", Refused::Claims),
        ("1e308", Refused::Date),
        ("1e19", Refused::Date),
        ("99999999999999999999999999", Refused::Date),
        ("-1800000900", Refused::Date),
        ("\"1800000900\"", Refused::Date),
        ("null", Refused::Date),
        ("{}", Refused::Date),
        ("1e-400", Refused::Expired),
        ("1.8", Refused::Expired),
    ] {
        let claims = USER.replace("1800000900", exp);
        assert_eq!(
            refused(&verifier, &ED25519.mint(&claims)),
            expected,
            "{exp}"
        );
    }
    for exp in ["1800000900.999999", "1.8000009e9", "18000009e2"] {
        let claims = USER.replace("1800000900", exp);
        assert!(
            verifier.verify(&ED25519.mint(&claims), NOW).is_ok(),
            "{exp}"
        );
    }
}

#[test]
fn a_vault_among_many_audiences_or_none() {
    let mut config = source("default", &[&ED25519]);
    config.aud = Some("vault".to_owned());
    let verifier = Verifier::new(vec![config], Rules::default()).unwrap();
    let with = |aud: &str| USER.replace('{', &format!(r#"{{"aud":{aud},"#));
    for aud in [r#""vault""#, r#"["vault"]"#, r#"["x","vault"]"#] {
        assert!(
            verifier.verify(&ED25519.mint(&with(aud)), NOW).is_ok(),
            "{aud}"
        );
    }
    for aud in [
        r#""Vault""#,
        r#""vault ""#,
        r#""x,vault""#,
        "[]",
        r#"[["vault"]]"#,
        r#"["vault",null]"#,
        "null",
    ] {
        assert_eq!(
            refused(&verifier, &ED25519.mint(&with(aud))),
            Refused::Audience,
            "{aud}"
        );
    }
}
