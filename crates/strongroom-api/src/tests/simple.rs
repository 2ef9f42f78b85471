//! The Simple Tokenizer's pair of routes.

use super::house::{APPLICATION, House, USER, unknown};
use crate::Simple;
use strongroom_core::Token;

const DEVELOPER: &str = r#""sub":"developer","session_id":"tool""#;
const ROUTES: [&str; 2] = ["/.lunasec/tokenize", "/.lunasec/detokenize"];

async fn served() -> House {
    House::with(|config| config.simple = Simple::Served).await
}

#[tokio::test]
async fn it_is_not_there_unless_it_is_configured() {
    let house = House::new().await;
    for route in ROUTES {
        let answer = house.post(APPLICATION, route, "{}").await;
        assert_eq!((answer.status, answer.name()), (404, "NoSuchRoute"));
    }
}

#[tokio::test]
async fn an_application_tokenizes_and_detokenizes_in_the_contracts_json() {
    let house = served().await;
    let body = r#"{"metadata":{"dataType":"string"}}"#;
    let made = house.post(APPLICATION, "/.lunasec/tokenize", body).await;
    assert_eq!(made.status, 200, "{made:?}");
    let data = &made.json["data"];
    assert!(data["uploadUrl"].is_string() && data["headers"].is_object());
    let token = Token::parse(data["tokenId"].as_str().unwrap()).unwrap();
    for key in ["tokenId", "tokenID"] {
        let body = format!(r#"{{"{key}":"{}"}}"#, token.expose());
        let found = house.post(APPLICATION, "/.lunasec//detokenize", body).await;
        assert_eq!(found.status, 200, "{found:?}");
        assert!(found.json["data"]["downloadUrl"].is_string());
    }
}

#[tokio::test]
async fn a_token_of_somebody_else_opens_without_a_grant_row() {
    let house = served().await;
    let token = house.token(USER).await;
    assert_eq!(house.detokenize(APPLICATION, &token).await.status, 404);
    let body = format!(r#"{{"tokenId":"{}"}}"#, token.expose());
    let found = house.post(APPLICATION, "/.lunasec/detokenize", body).await;
    assert_eq!(found.status, 200);
    assert_eq!(house.detokenize(APPLICATION, &token).await.status, 404);
}

#[tokio::test]
async fn nobody_but_an_application_may_use_it() {
    let house = served().await;
    for route in ROUTES {
        for claims in [USER, DEVELOPER] {
            let answer = house.post(claims, route, "{}").await;
            assert_eq!((answer.status, answer.name()), (403, "NotAllowed"));
        }
        let answer = house.send(http::Request::post(route), "{}").await;
        assert_eq!((answer.status, answer.name()), (401, "NotAuthenticated"));
        let answer = house.get(route).await;
        assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
    }
}

#[tokio::test]
async fn faults_have_the_names_of_the_closed_list() {
    let house = served().await;
    for body in ["{}", r#"{"tokenId":""}"#, r#"{"tokenId":"no token"}"#, "["] {
        let answer = house.post(APPLICATION, "/.lunasec/detokenize", body).await;
        assert_eq!(
            (answer.status, answer.name()),
            (400, "InvalidRequest"),
            "{body}"
        );
    }
    let body = format!(r#"{{"tokenId":"{}"}}"#, unknown().expose());
    let answer = house.post(APPLICATION, "/.lunasec/detokenize", body).await;
    assert_eq!((answer.status, answer.name()), (404, "NoSuchToken"));
    let body = r#"{"metadata":"text"}"#;
    let answer = house.post(APPLICATION, "/.lunasec/tokenize", body).await;
    assert_eq!((answer.status, answer.name()), (400, "InvalidRequest"));
}
