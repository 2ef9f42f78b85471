//! The stream without a listener, on a pipe and with a clock that stands until it is moved.

use super::*;

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
