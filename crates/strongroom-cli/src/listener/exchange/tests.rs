//! The stream without a listener, on a pipe. Times are asserted from below alone.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const HEADER: Duration = Duration::from_millis(50);
const IDLE: Duration = Duration::from_millis(200);
const PACE: Pace = Pace {
    header_time_max: HEADER,
    idle_max: IDLE,
};

/// A stream, the client's end of it, and what the service would tell it.
fn exchange(unreadable: Option<Unreadable>) -> (Exchange<DuplexStream>, DuplexStream, Phase) {
    let (ours, theirs) = duplex(1 << 16);
    let phase = Phase::new();
    let (_, stop) = watch::channel(false);
    (
        Exchange::new(ours, phase.clone(), PACE, unreadable, stop),
        theirs,
        phase,
    )
}

async fn read(stream: &mut Exchange<DuplexStream>) -> io::Result<usize> {
    stream.read(&mut [0; 64]).await
}

fn kind(result: io::Result<usize>) -> io::ErrorKind {
    result.unwrap_err().kind()
}

#[tokio::test]
async fn the_first_header_has_its_time_from_the_start() {
    let (mut stream, mut client, _) = exchange(None);
    let began = Instant::now();
    client.write_all(b"GET /").await.unwrap();
    assert_eq!(read(&mut stream).await.unwrap(), 5);
    assert_eq!(kind(read(&mut stream).await), io::ErrorKind::TimedOut);
    assert!(began.elapsed() >= HEADER);
}

#[tokio::test]
async fn a_request_takes_its_own_time_and_what_comes_next_is_timed_anew() {
    let (mut stream, mut client, phase) = exchange(None);
    client.write_all(b"GET").await.unwrap();
    read(&mut stream).await.unwrap();
    phase.serving();
    let answer = phase.answer(axum::body::Body::empty());
    let body = tokio::time::timeout(HEADER + IDLE, read(&mut stream)).await;
    assert!(body.is_err(), "a body is timed by who reads it");
    drop(answer);
    let began = Instant::now();
    assert_eq!(kind(read(&mut stream).await), io::ErrorKind::TimedOut);
    assert!(began.elapsed() >= IDLE);
}

#[tokio::test]
async fn the_next_header_has_its_time_from_its_first_byte() {
    let (mut stream, mut client, phase) = exchange(None);
    phase.serving();
    drop(phase.answer(axum::body::Body::empty()));
    let began = Instant::now();
    let (count, ()) = tokio::join!(read(&mut stream), async {
        tokio::time::sleep(2 * HEADER).await;
        client.write_all(b"G").await.unwrap();
    });
    assert_eq!(count.unwrap(), 1);
    let trickle = async {
        loop {
            tokio::time::sleep(HEADER / 5).await;
            client.write_all(b"E").await.unwrap();
        }
    };
    let reading = async {
        loop {
            if let Err(error) = read(&mut stream).await {
                break error.kind();
            }
        }
    };
    let ended = tokio::select! {
        ended = reading => ended,
        () = trickle => unreachable!("it never ends"),
    };
    assert_eq!(ended, io::ErrorKind::TimedOut);
    assert!(began.elapsed() >= 3 * HEADER);
}

#[tokio::test]
async fn a_refusal_without_a_body_goes_out_with_one() {
    let make: Unreadable = Arc::new(|status| format!("whole {status}").into_bytes());
    let (mut stream, mut client, _) = exchange(Some(make));
    let own = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(own).await.unwrap();
    let ours = b"HTTP/1.1 400 Bad Request\r\nx-request-id: 1\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(ours).await.unwrap();
    drop(stream);
    let mut seen = Vec::new();
    client.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen, [b"whole 400" as &[u8], ours].concat());
}

#[tokio::test]
async fn the_last_answer_is_out_before_the_rest_is_read_and_forgotten() {
    let (mut stream, mut client, _) = exchange(None);
    let (ended, ()) = tokio::join!(stream.shutdown(), async {
        client.write_all(&vec![0; 100_000]).await.unwrap();
        drop(client);
    });
    ended.unwrap();
    let (mut stream, client, _) = exchange(None);
    let began = Instant::now();
    stream.shutdown().await.unwrap();
    assert!(began.elapsed() >= LINGER_TIME_MAX);
    drop(client);
}

#[test]
fn only_what_the_library_refuses_by_itself_is_replaced() {
    let own = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
                content-length: 0\r\ndate: Tue, 24 Nov 2026 03:00:00 GMT\r\n\r\n";
    assert_eq!(bodiless_refusal(own), Some(431));
    for other in [
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" as &[u8],
        b"HTTP/1.1 404 Not Found\r\nx-request-id: 00\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 10\r\n\r\n",
        b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n{",
        b"HTTP/1.1 4",
        b"HTTP/1.1 4xx\r\ncontent-length: 0\r\n\r\n",
        b"",
    ] {
        assert_eq!(bodiless_refusal(other), None);
    }
}
