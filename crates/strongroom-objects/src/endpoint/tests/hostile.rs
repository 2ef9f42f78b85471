//! Well-signed requests that nobody would send.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

const PARAMETERS: [&str; 24] = [
    "acl",
    "attributes",
    "continuation-token",
    "cors",
    "delete",
    "delimiter",
    "encoding-type",
    "key-marker",
    "list-type",
    "location",
    "marker",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "partNumber",
    "prefix",
    "response-content-type",
    "start-after",
    "upload-id-marker",
    "uploadId",
    "uploads",
    "versionId",
    "versions",
];
const HEADERS: [&str; 14] = [
    "content-md5",
    "if-match",
    "if-none-match",
    "range",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-crc32",
    "x-amz-checksum-type",
    "x-amz-copy-source",
    "x-amz-copy-source-range",
    "x-amz-decoded-content-length",
    "x-amz-metadata-directive",
    "x-amz-object-attributes",
    "x-amz-trailer",
    "x-amz-server-side-encryption",
];
const VALUES: [&str; 16] = [
    "",
    "*",
    "0",
    "1",
    "2",
    "-1",
    "10001",
    "99999999999999999999",
    "null",
    "url",
    "/",
    "CRC32",
    "COPY",
    "bytes=0-0",
    "/named/a",
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
];
const BODIES: [&str; 6] = [
    "",
    "value",
    "<Delete><Object><Key>a</Key></Object></Delete>",
    "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part>\
     </CompleteMultipartUpload>",
    "<a><b>&c;</b>",
    "5\r\nvalue\r\n0\r\n\r\n",
];

#[test]
fn no_signed_request_is_an_internal_error() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = world();
    let of = prop::sample::select::<&'static str>;
    let value = prop_oneof![of(VALUES.to_vec()).prop_map(str::to_owned), "[ -~]{0,12}"];
    let pairs =
        |names: &[&'static str]| prop::collection::vec((of(names.to_vec()), value.clone()), 0..3);
    let request = (
        of(vec!["GET", "HEAD", "PUT", "POST", "DELETE"]),
        of(vec!["/", "/named", "/named/a", "/other", "/vault/a"]),
        pairs(&PARAMETERS),
        pairs(&HEADERS),
        of(BODIES.to_vec()),
    );
    let mut runner = TestRunner::new(ProptestConfig::with_cases(2000));
    let outcome = runner.run(&request, |(method, path, query, headers, body)| {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut forge = alice(method, path);
        for (name, value) in &query {
            forge = forge.query(name, value);
        }
        for (name, value) in &headers {
            // Signed as a server sees it.
            let value = value.split_ascii_whitespace().collect::<Vec<_>>();
            forge = forge.header(name, &value.join(" "));
        }
        let answer = runtime.block_on(world.ask(forge, body));
        let status = answer.status.as_u16();
        prop_assert!(status < 500 || status == 501, "{status} {}", answer.text());
        prop_assert!(!answer.text().contains("SignatureDoesNotMatch"));
        Ok(())
    });
    outcome.unwrap();
}
