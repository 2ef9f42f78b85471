//! `kill -9` amid many requests: what was acknowledged is there.

use serde_json::json;
use std::sync::Mutex;
use strongroom_tests::{Setup, Vault, eventually};

/// Clients that tokenize at the same time.
const CLIENTS: usize = 100;
/// The vault is killed once so many were acknowledged, with the others under way.
const ACKNOWLEDGED: usize = 120;

#[test]
fn every_acknowledged_token_and_value_survives_a_kill() {
    survive(Vault::start());
}

#[test]
fn every_acknowledged_value_in_a_file_survives_a_kill() {
    survive(Setup::new().files().start());
}

fn survive(mut vault: Vault) {
    let jwt = vault.application();
    let (made, stored) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (vault, jwt, made, stored) = (&vault, &jwt, &made, &stored);
            // Until the vault is gone.
            scope.spawn(move || {
                while let Some((token, upload)) = vault.try_tokenize(jwt, &json!({})) {
                    made.lock().unwrap().push(token.clone());
                    if client % 4 != 0 {
                        continue;
                    }
                    let value = format!("the value of {token}").into_bytes();
                    match upload
                        .request("PUT")
                        .body(value.clone())
                        .try_send(vault.s3())
                    {
                        Ok(answer) if answer.status == 200 => {
                            stored.lock().unwrap().push((token, value));
                        }
                        _ => return,
                    }
                }
            });
        }
        eventually("enough are acknowledged", || {
            let enough = made.lock().unwrap().len() >= ACKNOWLEDGED;
            (enough && !stored.lock().unwrap().is_empty()).then_some(())
        });
        vault.kill_amid();
    });
    vault.kill();
    vault.start_again();
    let (made, stored) = (made.into_inner().unwrap(), stored.into_inner().unwrap());
    for token in &made {
        let answer = vault.call("/detokenize", &jwt, &json!({ "tokenId": token }));
        assert_eq!(answer.status, 200, "of {}: {}", made.len(), answer.text());
    }
    for (token, value) in &stored {
        assert_eq!(vault.fetch(&jwt, token), *value, "of {}", stored.len());
    }
    let unfinished = std::fs::read_dir(vault.data().join("objects/incoming"))
        .unwrap()
        .count();
    assert_eq!(unfinished, 0);
}
