//! As many connections as a listener may have, held by clients that do nothing: they make room for
//! whoever comes, and who is being served does not.

use crate::crowd::{Crowd, Stream, answer, exchange, get};
use crate::{quiet, run, start_tls, turn};
use std::sync::Arc;
use strongroom_tests::{Authority, Setup, Vault};
use tokio::io::AsyncWriteExt;

/// Connections that the API may have.
const SEATS: usize = 200;
/// Who comes while all are taken.
const OTHERS: usize = 500;

/// Nobody is ended by time.
fn patient() -> Setup {
    quiet()
        .set("API__CONNECTIONS_MAX", &SEATS.to_string())
        .set("API__IDLE_MAX", "5m")
        .set("API__HEADER_TIME_MAX", "5m")
        .set("API__BODY_TIME_MAX", "5m")
}

/// Takes a seat: an even member has been answered, an odd one has begun to ask.
async fn sit(crowd: Crowd, member: usize) -> Stream {
    let mut stream = crowd.connect(member).await.unwrap();
    let health = get(crowd.to(), "/health");
    if member.is_multiple_of(2) {
        assert_eq!(exchange(&mut stream, &health).await.unwrap().status, 200);
    } else {
        stream.write_all(&health[..20]).await.unwrap();
        stream.flush().await.unwrap();
    }
    stream
}

fn others_find_room(vault: &Vault, authority: Option<&Arc<Authority>>) {
    let to = vault.api();
    let crowd = match authority {
        None => Crowd::plain(to),
        Some(authority) => Crowd::tls(to, authority),
    };
    let jwt = vault.application();
    run(async {
        // Whoever is served sits first, so that its connection is the oldest.
        let mut served = crowd.connect(SEATS).await.unwrap();
        let head = format!(
            "POST /tokenize HTTP/1.1\r\nhost: {to}\r\nauthorization: {jwt}\r\ncontent-length: 2\r\n\r\n{{"
        );
        served.write_all(head.as_bytes()).await.unwrap();
        served.flush().await.unwrap();
        let seated = crowd.each(SEATS - 1, sit).await;
        let mut answered = 0;
        for member in 0..OTHERS {
            let mut stream = crowd.connect(member).await.unwrap();
            let health = get(to, "/health");
            let answer = exchange(&mut stream, &health).await.unwrap();
            answered += usize::from(answer.status == 200);
        }
        assert_eq!(answered, OTHERS);
        served.write_all(b"}").await.unwrap();
        served.flush().await.unwrap();
        assert_eq!(answer(&mut served).await.unwrap().status, 200);
        drop((served, seated));
    });
}

#[test]
fn clients_that_do_nothing_make_room_for_others() {
    let Some(_turn) = turn() else { return };
    others_find_room(&patient().start(), None);
}

#[test]
fn clients_that_do_nothing_over_tls_make_room_for_others() {
    let Some(_turn) = turn() else { return };
    let (vault, authority) = start_tls(patient());
    others_find_room(&vault, Some(&authority));
}
