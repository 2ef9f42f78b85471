//! The known ways to fool a verifier of JWTs (RFC 8725 §2), each tried.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use strongroom_core::Subject;
use strongroom_session::{PublicKey, Refused, Rules, Verifier};

use crate::mint::{ED25519, NOW, P256, Pair, RSA, USER, b64, source, verifier};

fn refused(verifier: &Verifier, jwt: &str) -> Refused {
    verifier.verify(jwt, NOW).unwrap_err()
}

fn every_key() -> Verifier {
    verifier(&Pair::all())
}

#[test]
fn a_sound_jwt_of_each_algorithm_is_accepted() {
    for pair in Pair::all() {
        let verified = every_key().verify(&pair.mint(USER), NOW).unwrap();
        assert_eq!(verified.caller.subject, Subject::User);
        assert_eq!(verified.caller.session.id(), "alice");
        assert_eq!(verified.caller.issuer(), "default");
        assert_eq!(verified.key_thumbprint, pair.public().thumbprint());
        assert_eq!(verified.expires_at().unwrap().secs(), 1_800_000_900);
    }
}

#[test]
fn alg_none_is_refused_in_every_spelling() {
    for alg in ["none", "None", "NONE", "nOnE", "none ", "", "null"] {
        let signed = format!("{}.{}", b64(format!(r#"{{"alg":"{alg}"}}"#)), b64(USER));
        for signature in ["", "AA"] {
            let jwt = format!("{signed}.{signature}");
            assert_eq!(refused(&every_key(), &jwt), Refused::Algorithm, "{alg}");
        }
        for pair in Pair::all() {
            assert_eq!(
                refused(&every_key(), &pair.mint_raw(&signed)),
                Refused::Algorithm
            );
        }
    }
}

#[test]
fn a_public_key_is_no_hmac_secret() {
    for alg in ["HS256", "HS384", "HS512", "hs256"] {
        let signed = format!("{}.{}", b64(format!(r#"{{"alg":"{alg}"}}"#)), b64(USER));
        for pair in Pair::all() {
            let der = pair.public_bytes();
            let base64 = STANDARD.encode(der);
            let pem =
                format!("-----BEGIN RSA PUBLIC KEY-----\n{base64}\n-----END RSA PUBLIC KEY-----\n");
            for secret in [der, base64.as_bytes(), pem.as_bytes(), b""] {
                let tag = hmac::sign(
                    &hmac::Key::new(hmac::HMAC_SHA256, secret),
                    signed.as_bytes(),
                );
                let jwt = format!("{signed}.{}", b64(tag));
                assert_eq!(refused(&every_key(), &jwt), Refused::Algorithm);
            }
        }
    }
}

#[test]
fn the_header_cannot_move_a_key_to_another_algorithm() {
    for signer in Pair::all() {
        for alg in [
            "RS256", "ES256", "EdDSA", "PS256", "RS384", "RS512", "ES384", "ES256K", "Ed25519",
        ] {
            if alg == signer.alg() {
                continue;
            }
            let jwt = signer.mint_with(&format!(r#"{{"alg":"{alg}"}}"#), USER);
            assert_eq!(
                refused(&verifier(&[signer]), &jwt),
                Refused::Algorithm,
                "{alg}"
            );
            let several = refused(&every_key(), &jwt);
            assert!(
                matches!(several, Refused::Algorithm | Refused::Signature),
                "{alg}"
            );
        }
    }
}

#[test]
fn zero_and_out_of_range_ecdsa_signatures_are_refused() {
    let signed = format!("{}.{}", b64(r#"{"alg":"ES256"}"#), b64(USER));
    let order =
        hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
    let (zero, one, max) = ([0; 32], [&[0; 31][..], &[1]].concat(), [0xff; 32]);
    let values = [&zero[..], &one, &order, &max];
    for r in values {
        for s in values {
            let jwt = format!("{signed}.{}", b64([r, s].concat()));
            assert_eq!(refused(&verifier(&[&P256]), &jwt), Refused::Signature);
        }
    }
    for length in [0, 1, 63, 65, 128] {
        let jwt = format!("{signed}.{}", b64(vec![0; length]));
        assert_eq!(refused(&verifier(&[&P256]), &jwt), Refused::Signature);
    }
}

#[test]
fn a_der_signature_is_refused() {
    let integer = |number: &[u8]| {
        let bare: Vec<u8> = number
            .iter()
            .copied()
            .skip_while(|byte| *byte == 0)
            .collect();
        let sign = if bare[0] >= 0x80 { &[0][..] } else { &[] };
        let length = u8::try_from(sign.len() + bare.len()).unwrap();
        [&[2, length], sign, bare.as_slice()].concat()
    };
    let signed = format!("{}.{}", b64(r#"{"alg":"ES256"}"#), b64(USER));
    let raw = P256.sign(signed.as_bytes());
    let numbers = [integer(&raw[..32]), integer(&raw[32..])].concat();
    let der = [
        &[0x30, u8::try_from(numbers.len()).unwrap()],
        numbers.as_slice(),
    ]
    .concat();
    let verifier = verifier(&[&P256]);
    assert!(
        verifier
            .verify(&format!("{signed}.{}", b64(&raw)), NOW)
            .is_ok()
    );
    assert_eq!(
        refused(&verifier, &format!("{signed}.{}", b64(&der))),
        Refused::Signature
    );
}

#[test]
fn a_signature_cut_lengthened_or_changed_is_refused() {
    let verifier = every_key();
    for pair in Pair::all() {
        let jwt = pair.mint(USER);
        let (signed, _) = jwt.rsplit_once('.').unwrap();
        let signature = pair.sign(signed.as_bytes());
        let mut forged = vec![
            Vec::new(),
            signature[..signature.len() - 1].to_vec(),
            signature[1..].to_vec(),
            [signature.as_slice(), &[0]].concat(),
            [&[0], signature.as_slice()].concat(),
            signature.repeat(2),
            vec![0; signature.len()],
            vec![0xff; signature.len()],
        ];
        for at in (0..signature.len()).step_by(7) {
            let mut flipped = signature.clone();
            flipped[at] ^= 1;
            forged.push(flipped);
        }
        for bad in forged {
            let jwt = format!("{signed}.{}", b64(bad));
            assert_eq!(refused(&verifier, &jwt), Refused::Signature);
        }
    }
}

#[test]
fn parts_of_two_jwts_do_not_mix() {
    let verifier = every_key();
    for pair in Pair::all() {
        let one = pair.mint(USER);
        let header = format!(r#"{{"alg":"{}","typ":"JWT"}}"#, pair.alg());
        let two = pair.mint_with(&header, &USER.replace("alice", "bob"));
        let [one, two] = [&one, &two].map(|jwt| jwt.split('.').collect::<Vec<_>>());
        for mix in [
            [two[0], one[1], one[2]],
            [one[0], two[1], one[2]],
            [one[0], one[1], two[2]],
        ] {
            assert_eq!(refused(&verifier, &mix.join(".")), Refused::Signature);
        }
    }
}

#[test]
fn a_key_in_the_header_is_not_used() {
    let (own, stranger) = (Pair::ed25519(), Pair::ed25519());
    let jwk = stranger.jwk("");
    for header in [
        format!(r#"{{"alg":"EdDSA","jwk":{jwk}}}"#),
        r#"{"alg":"EdDSA","jku":"https://evil.example/keys"}"#.to_owned(),
        r#"{"alg":"EdDSA","x5u":"https://evil.example/chain","x5c":["AAAA"]}"#.to_owned(),
        r#"{"alg":"EdDSA","kid":"../../dev/null"}"#.to_owned(),
    ] {
        assert_eq!(
            refused(&verifier(&[&own]), &stranger.mint_with(&header, USER)),
            Refused::Signature
        );
        assert!(
            verifier(&[&own])
                .verify(&own.mint_with(&header, USER), NOW)
                .is_ok()
        );
    }
}

#[test]
fn duplicate_members_are_refused_although_signed() {
    let verifier = verifier(&[&ED25519]);
    for header in [
        r#"{"alg":"EdDSA","alg":"EdDSA"}"#,
        r#"{"alg":"none","\u0061lg":"EdDSA"}"#,
        r#"{"alg":"EdDSA","x":{"a":1,"a":2}}"#,
    ] {
        assert_eq!(
            refused(&verifier, &ED25519.mint_with(header, USER)),
            Refused::Header
        );
    }
    for claims in [
        r#"{"sub":"user","sub":"application","session_id":"alice","exp":1800000900}"#,
        r#"{"sub":"user","session_id":"bob","session\u005fid":"alice","exp":1800000900}"#,
        r#"{"sub":"user","session_id":"alice","exp":1,"exp":1800000900}"#,
        r#"{"sub":"user","session_id":"alice","exp":1800000900,"x":[{"a":1,"a":1}]}"#,
    ] {
        assert_eq!(refused(&verifier, &ED25519.mint(claims)), Refused::Claims);
    }
}

#[test]
fn critical_extensions_are_refused_although_signed() {
    let verifier = verifier(&[&ED25519]);
    for header in [
        r#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#,
        r#"{"alg":"EdDSA","crit":["exp"],"exp":1}"#,
        r#"{"alg":"EdDSA","crit":[]}"#,
    ] {
        assert_eq!(
            refused(&verifier, &ED25519.mint_with(header, USER)),
            Refused::Critical
        );
        let bare = format!("{}.{USER}", b64(header));
        assert_eq!(
            refused(&verifier, &ED25519.mint_raw(&bare)),
            Refused::Critical
        );
    }
    // Without `crit` an unencoded payload is no base64url, whatever `b64` says.
    let bare = format!("{}.{USER}", b64(r#"{"alg":"EdDSA","b64":false}"#));
    assert_eq!(
        refused(&verifier, &ED25519.mint_raw(&bare)),
        Refused::Encoding
    );
}

#[test]
fn a_nested_jwt_is_no_claims() {
    let inner = ED25519.mint(USER);
    let outer = ED25519.mint_with(r#"{"alg":"EdDSA","cty":"JWT"}"#, &inner);
    assert_eq!(refused(&verifier(&[&ED25519]), &outer), Refused::Claims);
}

#[test]
fn signed_claims_that_are_no_object_are_refused() {
    for claims in [
        "",
        "null",
        "[]",
        "\"user\"",
        "1",
        "{}{}",
        "{\"sub\":\"user\"",
        "\u{feff}{}",
    ] {
        assert_eq!(
            refused(&verifier(&[&ED25519]), &ED25519.mint(claims)),
            Refused::Claims
        );
    }
}

#[test]
fn every_part_has_one_spelling() {
    let verifier = verifier(&[&ED25519]);
    let jwt = ED25519.mint(USER);
    assert!(verifier.verify(&jwt, NOW).is_ok());
    let parts: Vec<&str> = jwt.split('.').collect();
    for at in 0..3 {
        for change in ["=", "==", " ", "\n", "\t", "\0", "+", "/", "é"] {
            let mut changed: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            changed[at] = format!("{}{change}", parts[at]);
            let outcome = refused(&verifier, &changed.join("."));
            assert!(
                matches!(outcome, Refused::Encoding | Refused::Signature),
                "{at} {change:?}"
            );
        }
    }
    // 64 bytes leave two characters at the end with four bits that must be zero.
    let (rest, last) = jwt.split_at(jwt.len() - 1);
    let stray = char::from(last.as_bytes()[0] + 1);
    assert_eq!(
        refused(&verifier, &format!("{rest}{stray}")),
        Refused::Encoding
    );
}

#[test]
fn fewer_or_more_than_three_parts_are_refused() {
    let verifier = verifier(&[&ED25519]);
    let jwt = ED25519.mint(USER);
    let (signed, _) = jwt.rsplit_once('.').unwrap();
    for bad in [
        "",
        "a",
        signed,
        &format!("{jwt}."),
        &format!(".{jwt}"),
        &format!("{jwt}.{jwt}"),
        &format!("Bearer {jwt}."),
    ] {
        assert_eq!(refused(&verifier, bad), Refused::Shape, "{bad}");
    }
    assert_eq!(
        refused(&verifier, &format!("{signed}.")),
        Refused::Signature
    );
    assert_eq!(
        refused(&verifier, &format!("Bearer {jwt}")),
        Refused::Encoding
    );
}

#[test]
fn an_oversized_jwt_is_refused_although_signed() {
    let padded = |bytes: usize| {
        let claims = format!(r#"{{"x":"{}",{}"#, "x".repeat(bytes), &USER[1..]);
        ED25519.mint(&claims)
    };
    let verifier = verifier(&[&ED25519]);
    assert!(verifier.verify(&padded(5800), NOW).is_ok());
    assert_eq!(refused(&verifier, &padded(6200)), Refused::TooLong);
    assert_eq!(refused(&verifier, &".".repeat(8193)), Refused::TooLong);
    assert_eq!(refused(&verifier, &".".repeat(8192)), Refused::Shape);
}

/// The examples of RFC 7515, appendix A.2 and A.3, name no subject: whoever hears so has seen
/// their signatures verified.
#[test]
fn the_signatures_of_rfc_7515_are_verified() {
    let rs256 = r#"{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#;
    let es256 = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let rs256_jwt = format!(
        "eyJhbGciOiJSUzI1NiJ9.{payload}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
    let es256_jwt = format!(
        "eyJhbGciOiJFUzI1NiJ9.{payload}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    for (jwk, jwt) in [(rs256, rs256_jwt), (es256, es256_jwt)] {
        let mut config = source("default", &[]);
        config.keys.push(PublicKey::from_jwk(jwk).unwrap());
        let verifier = Verifier::new(vec![config], Rules::default()).unwrap();
        assert_eq!(refused(&verifier, &jwt), Refused::Subject);
        assert_eq!(
            refused(&verifier, &jwt.replacen("eyJpc3M", "eyJpc3N", 1)),
            Refused::Signature
        );
    }
}

#[test]
fn jwts_of_another_implementation_are_accepted() {
    use jsonwebtoken::{EncodingKey, Header};
    let pair = jsonwebtoken_pair();
    let claims: serde_json::Value = serde_json::from_str(USER).unwrap();
    let header = Header::new(jsonwebtoken::Algorithm::EdDSA);
    let jwt = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(&pair.1)).unwrap();
    let verified = verifier(&[&pair.0]).verify(&jwt, NOW).unwrap();
    assert_eq!(verified.caller.session.id(), "alice");
}

/// A key for both implementations, the second half as PKCS #8.
fn jsonwebtoken_pair() -> (Pair, Vec<u8>) {
    use aws_lc_rs::signature::Ed25519KeyPair;
    let random = aws_lc_rs::rand::SystemRandom::new();
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    (
        Pair::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap()),
        pkcs8.as_ref().to_vec(),
    )
}

#[test]
fn no_reason_and_no_debug_output_shows_any_of_the_jwt() {
    let verifier = verifier(&[&RSA]);
    let secret = "s3cr3t-session";
    let good = verifier
        .verify(&RSA.mint(&USER.replace("alice", secret)), NOW)
        .unwrap();
    for text in [format!("{good:?}"), format!("{verifier:?}")] {
        assert!(!text.contains(secret), "{text}");
    }
    let reason = refused(&verifier, &ED25519.mint(&USER.replace("alice", secret)));
    assert!(!format!("{reason} {reason:?}").contains(secret));
}

proptest! {
    #[test]
    fn arbitrary_text_is_refused_without_panic(text in any::<String>()) {
        prop_assert!(every_key().verify(&text, NOW).is_err());
    }

    #[test]
    fn arbitrary_parts_are_refused_without_panic(
        alg in prop::sample::select(vec!["RS256", "ES256", "EdDSA"]),
        claims in any::<Vec<u8>>(),
        signature in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let header = b64(format!(r#"{{"alg":"{alg}"}}"#));
        let jwt = format!("{header}.{}.{}", b64(claims), b64(signature));
        prop_assert_eq!(every_key().verify(&jwt, NOW).unwrap_err(), Refused::Signature);
    }

    #[test]
    fn arbitrary_signed_bytes_do_not_panic(header in any::<Vec<u8>>(), claims in any::<Vec<u8>>()) {
        let verifier = verifier(&[&ED25519]);
        let jwt = ED25519.mint_raw(&format!("{}.{}", b64(header), b64(&claims)));
        prop_assert!(verifier.verify(&jwt, NOW).is_err());
        let header = b64(r#"{"alg":"EdDSA"}"#);
        let jwt = ED25519.mint_raw(&format!("{header}.{}", b64(&claims)));
        prop_assert!(verifier.verify(&jwt, NOW).is_err());
    }

    #[test]
    fn arbitrary_values_of_signed_claims_do_not_panic(
        name in prop::sample::select(vec!["sub", "exp", "nbf", "iat", "iss", "aud", "session_id"]),
        value in any::<f64>(),
        text in any::<String>(),
        now in any::<u64>(),
    ) {
        let mut claims: serde_json::Value = serde_json::from_str(USER).unwrap();
        for value in [serde_json::json!(value), serde_json::json!(text), serde_json::json!(now)] {
            claims[name] = value;
            let jwt = ED25519.mint(&claims.to_string());
            let now = strongroom_core::UnixMillis(now);
            let verifier = verifier(&[&ED25519]);
            prop_assert_eq!(verifier.verify(&jwt, now).err(), verifier.verify(&jwt, now).err());
        }
    }

    #[test]
    fn arbitrary_key_material_does_not_panic(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        let base64 = STANDARD.encode(&bytes);
        prop_assert!(PublicKey::from_pem(&text).is_err());
        prop_assert!(PublicKey::from_jwk(&text).is_err());
        prop_assert!(PublicKey::from_pkcs1_base64(&text).is_err());
        prop_assert!(PublicKey::from_pkcs1_base64(&base64).is_err());
        for label in ["PUBLIC KEY", "RSA PUBLIC KEY"] {
            let pem = format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----");
            prop_assert!(PublicKey::from_pem(&pem).is_err());
        }
    }
}
