//! Keys: the RFCs' examples, and points that are no keys.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RsaKeyPair,
};

use super::*;

const RFC7638: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxu\
                       hDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN\
                       5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5\
                       hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBni\
                       Iqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

const ED25519_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

fn rsa_jwk(n: &[u8], e: &[u8]) -> String {
    let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
    format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#)
}

fn modulus(bits: usize) -> Vec<u8> {
    let mut n = vec![0xff; bits.div_ceil(8)];
    n[0] >>= n.len() * 8 - bits;
    n
}

fn okp(point: &[u8]) -> String {
    format!(
        r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#,
        URL_SAFE_NO_PAD.encode(point)
    )
}

fn ec(point: &[u8], curve: &str) -> String {
    let (x, y) = point[1..].split_at(point.len() / 2);
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    format!(r#"{{"kty":"EC","crv":"{curve}","x":"{x}","y":"{y}"}}"#)
}

#[test]
fn thumbprints_are_those_of_the_rfcs() {
    let rfc7638 =
        format!(r#"{{"kty":"RSA","n":"{RFC7638}","e":"AQAB","alg":"RS256","kid":"2011-04-29"}}"#);
    let key = PublicKey::from_jwk(&rfc7638).unwrap();
    assert_eq!(
        URL_SAFE_NO_PAD.encode(key.thumbprint()),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
    assert_eq!(
        (key.algorithm(), key.kid()),
        (Algorithm::Rs256, Some("2011-04-29"))
    );

    // RFC 8037, appendix A.3.
    let rfc8037 = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED25519_X}"}}"#);
    let key = PublicKey::from_jwk(&rfc8037).unwrap();
    assert_eq!(
        URL_SAFE_NO_PAD.encode(key.thumbprint()),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
    assert_eq!((key.algorithm(), key.kid()), (Algorithm::EdDsa, None));
}

#[test]
fn an_rsa_key_is_the_same_in_all_four_encodings() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let spki = pair.public_key().as_der().unwrap();
    let pkcs1 = pair.public_key().as_ref();
    let Parts::Rsa { n, e } = der::pkcs1(pkcs1).unwrap() else {
        panic!("no RSA key")
    };
    let keys = [
        PublicKey::from_pem(&pem("PUBLIC KEY", spki.as_ref())),
        PublicKey::from_pem(&pem("RSA PUBLIC KEY", pkcs1)),
        PublicKey::from_pkcs1_base64(&STANDARD.encode(pkcs1)),
        PublicKey::from_jwk(&rsa_jwk(n, e)),
    ];
    for key in &keys {
        let key = key.as_ref().unwrap();
        assert_eq!(key.algorithm(), Algorithm::Rs256);
        assert_eq!(key.thumbprint(), keys[0].as_ref().unwrap().thumbprint());
    }
}

#[test]
fn elliptic_keys_are_the_same_in_pem_and_jwk() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let spki = pair.public_key().as_der().unwrap();
    let from_pem = PublicKey::from_pem(&pem("PUBLIC KEY", spki.as_ref())).unwrap();
    let from_jwk = PublicKey::from_jwk(&ec(pair.public_key().as_ref(), "P-256")).unwrap();
    assert_eq!(from_pem.algorithm(), Algorithm::Es256);
    assert_eq!(from_pem.thumbprint(), from_jwk.thumbprint());

    let pair = Ed25519KeyPair::generate().unwrap();
    let spki = pair.public_key().as_der().unwrap();
    let from_pem = PublicKey::from_pem(&pem("PUBLIC KEY", spki.as_ref())).unwrap();
    let from_jwk = PublicKey::from_jwk(&okp(pair.public_key().as_ref())).unwrap();
    assert_eq!(from_pem.algorithm(), Algorithm::EdDsa);
    assert_eq!(from_pem.thumbprint(), from_jwk.thumbprint());
}

#[test]
fn thumbprints_agree_with_another_implementation() {
    use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let ed25519 = Ed25519KeyPair::generate().unwrap();
    for text in [
        rsa_jwk(&modulus(2048), &[1, 0, 1]),
        ec(p256.public_key().as_ref(), "P-256"),
        okp(ed25519.public_key().as_ref()),
    ] {
        let theirs: Jwk = serde_json::from_str(&text).unwrap();
        let ours = PublicKey::from_jwk(&text).unwrap().thumbprint();
        assert_eq!(
            URL_SAFE_NO_PAD.encode(ours),
            theirs.thumbprint(ThumbprintHash::SHA256).unwrap()
        );
    }
}

#[test]
fn rsa_sizes_outside_the_range_are_refused() {
    let of = |bits| PublicKey::from_jwk(&rsa_jwk(&modulus(bits), &[1, 0, 1])).map(|_| ());
    for bits in [8, 512, 1024, 2047, 8193, 16384] {
        assert_eq!(of(bits), Err(Error::RsaSize { bits }));
    }
    for bits in [2048, 2049, 3072, 4096, 8192] {
        assert_eq!(of(bits), Ok(()));
    }
}

#[test]
fn weak_rsa_numbers_are_refused() {
    let of = |n: &[u8], e: &[u8]| PublicKey::from_jwk(&rsa_jwk(n, e)).map(|_| ());
    let good = modulus(2048);
    for e in [&[1][..], &[2], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
        assert_eq!(of(&good, e), Err(Error::Weak), "{e:?}");
    }
    assert_eq!(of(&good, &[3]), Ok(()));
    let mut even = good.clone();
    even[255] = 0xfe;
    assert_eq!(of(&even, &[1, 0, 1]), Err(Error::Weak));
    assert_eq!(of(&good, &[]), Err(Error::Malformed));
    assert_eq!(of(&good, &[0, 3]), Err(Error::Malformed));
    assert_eq!(
        of(&[&[0], good.as_slice()].concat(), &[3]),
        Err(Error::Malformed)
    );
    assert_eq!(of(&[], &[3]), Err(Error::Malformed));
}

#[test]
fn other_curves_are_refused() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let spki = pair.public_key().as_der().unwrap();
    let from_pem = PublicKey::from_pem(&pem("PUBLIC KEY", spki.as_ref()));
    assert_eq!(from_pem.unwrap_err(), Error::Unsupported);
    let point = pair.public_key().as_ref();
    assert_eq!(
        PublicKey::from_jwk(&ec(point, "P-384")).unwrap_err(),
        Error::Unsupported
    );
    assert_eq!(
        PublicKey::from_jwk(&ec(point, "P-256")).unwrap_err(),
        Error::Malformed
    );
}

#[test]
fn points_that_are_no_keys_are_refused() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let mut off_curve = pair.public_key().as_ref().to_vec();
    off_curve[64] ^= 1;
    assert_eq!(
        PublicKey::from_jwk(&ec(&off_curve, "P-256")).unwrap_err(),
        Error::Weak
    );
    assert_eq!(
        PublicKey::p256(&off_curve[..33]).unwrap_err(),
        Error::Malformed
    );
    assert_eq!(PublicKey::p256(&[]).unwrap_err(), Error::Malformed);
    for low in [[0; 32], [0xff; 32]] {
        let mut low: [u8; 32] = low;
        low[0] = if low[0] == 0 { 1 } else { 0xec };
        assert_eq!(PublicKey::from_jwk(&okp(&low)).unwrap_err(), Error::Weak);
    }
    assert_eq!(
        PublicKey::from_jwk(&okp(&[9; 31])).unwrap_err(),
        Error::Malformed
    );
    assert_eq!(
        PublicKey::from_jwk(&okp(&[9; 33])).unwrap_err(),
        Error::Malformed
    );
}

#[test]
fn a_private_key_is_named_as_such() {
    for label in [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
    ] {
        assert_eq!(
            PublicKey::from_pem(&pem(label, &[1, 2, 3])).unwrap_err(),
            Error::PrivateKey
        );
    }
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED25519_X}","d":"AAAA"}}"#);
    assert_eq!(PublicKey::from_jwk(&jwk).unwrap_err(), Error::PrivateKey);
    assert_eq!(
        PublicKey::from_jwk(r#"{"kty":"oct","k":"AAAA"}"#).unwrap_err(),
        Error::PrivateKey
    );
}

#[test]
fn one_sound_pem_block_is_wanted() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let good = pem("PUBLIC KEY", pair.public_key().as_der().unwrap().as_ref());
    assert!(PublicKey::from_pem(&format!("\n{}\r\n", good.replace('\n', "\r\n"))).is_ok());
    for bad in [
        "",
        "-----BEGIN PUBLIC KEY-----",
        &good.repeat(2),
        &format!("x{good}"),
        &good[..80],
    ] {
        assert_eq!(PublicKey::from_pem(bad).unwrap_err(), Error::Pem, "{bad}");
    }
    let certificate = good.replace("PUBLIC KEY", "CERTIFICATE");
    assert_eq!(PublicKey::from_pem(&certificate).unwrap_err(), Error::Pem);
    let mislabelled = good.replace("PUBLIC KEY", "RSA PUBLIC KEY");
    assert_eq!(
        PublicKey::from_pem(&mislabelled).unwrap_err(),
        Error::Malformed
    );
    assert_eq!(
        PublicKey::from_pem(&good.replacen("MC", "M!", 1)).unwrap_err(),
        Error::Malformed
    );
}

#[test]
fn a_jwk_must_not_contradict_itself() {
    let with = |more: &str| {
        PublicKey::from_jwk(&format!(
            r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED25519_X}"{more}}}"#
        ))
    };
    for fine in [
        "",
        r#","alg":"EdDSA","use":"sig","key_ops":["verify"],"x5u":"https://a""#,
    ] {
        assert!(with(fine).is_ok(), "{fine}");
    }
    for bad in [
        r#","alg":"RS256""#,
        r#","alg":"HS256""#,
        r#","alg":null"#,
        r#","use":"enc""#,
        r#","key_ops":["sign"]"#,
        r#","key_ops":"verify""#,
        r#","kid":1"#,
        r#","kty":"OKP""#,
    ] {
        assert!(matches!(with(bad), Err(Error::Jwk(_))), "{bad}");
    }
    assert!(matches!(PublicKey::from_jwk("[]"), Err(Error::Jwk(_))));
    assert!(matches!(PublicKey::from_jwk("{}"), Err(Error::Jwk(_))));
    assert_eq!(
        PublicKey::from_jwk(r#"{"kty":"RSA2"}"#).unwrap_err(),
        Error::Unsupported
    );
    assert!(matches!(
        PublicKey::from_jwk(r#"{"kty":"RSA","n":"AQAB"}"#),
        Err(Error::Jwk(_))
    ));
}
