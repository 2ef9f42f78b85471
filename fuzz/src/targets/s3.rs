//! The S3 endpoint: what a stranger's request meets before any key.

use super::lines;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::ops::Range;
use std::sync::Arc;
use strongroom_core::UnixMillis;
use strongroom_s3::S3Error;
use strongroom_s3::checksum::Digests;
use strongroom_s3::chunked::{Decoder, Signing, Trailers};
use strongroom_s3::cors::Rules;
use strongroom_s3::post::{self, Reader};
use strongroom_s3::query::Query;
use strongroom_s3::range::{self, Asked};
use strongroom_s3::sigv4::{Canonical, Signer, SigningSecret};
use strongroom_s3::sse_c::{COPY_SOURCE_SSE_C, SSE_C_ALGORITHM, SSE_C_KEY, SSE_C_KEY_MD5, SseC};
use strongroom_s3::target::Target;
use strongroom_s3::verify::{Credential, Payload, Verified, verify};
use strongroom_s3::xml::{CompleteRequest, CreateBucket, DeleteRequest};

const REGION: &str = "us-east-1";
const ID: &str = "AKIAIOSFODNN7EXAMPLE";
/// 2013-05-24T00:00:00Z
const NOW: UnixMillis = UnixMillis(1_369_353_600_000);
const TIME: &str = "20130524T000000Z";

fn credential() -> Arc<Credential> {
    Arc::new(Credential {
        access_key_id: ID.into(),
        signer: Signer::new(REGION.into(), SigningSecret::new("secret".into())),
    })
}

fn find(id: &str) -> Option<Arc<Credential>> {
    (id == ID).then(credential)
}

pub(super) fn set(headers: &mut HeaderMap, name: &str, value: &[u8]) {
    let name = HeaderName::try_from(name).expect("a header's name");
    if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_bytes(value)) {
        headers.append(name, value);
    }
}

fn verified(method: &str, path: &[u8], query: &[u8], headers: &HeaderMap) -> Option<Verified> {
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let target = Target::parse(text(path)?).ok()?;
    let query = Query::parse(text(query)?).ok()?;
    match verify(REGION, &find, method, &target, &query, headers, NOW) {
        Ok(verified) => {
            assert!(verified.bound.iter().any(|name| name == "host"));
            Some(verified)
        }
        Err(error) => {
            assert!(error.status().is_client_error() || error.code() == "NotImplemented");
            assert!(error.xml("id").ends_with("</Error>"));
            None
        }
    }
}

/// Lines: path, query, `authorization`, `x-amz-date`, `date`, `x-amz-content-sha256`, and the
/// decoded length.
pub(super) fn sigv4_header(data: &[u8]) -> bool {
    let [
        path,
        query,
        authorization,
        amz_date,
        http_date,
        content,
        length,
    ] = lines(data);
    let mut headers = HeaderMap::new();
    set(&mut headers, "host", b"objects.test");
    set(&mut headers, "authorization", authorization);
    set(&mut headers, "x-amz-date", amz_date);
    set(&mut headers, "date", http_date);
    set(&mut headers, "x-amz-content-sha256", content);
    set(&mut headers, "x-amz-decoded-content-length", length);
    verified("PUT", path, query, &headers).is_some()
}

/// Lines: path, query, and a header that may be signed.
pub(super) fn sigv4_query(data: &[u8]) -> bool {
    let [path, query, value] = lines(data);
    let mut headers = HeaderMap::new();
    set(&mut headers, "host", b"objects.test");
    set(&mut headers, "x-amz-meta-a", value);
    verified("GET", path, query, &headers).is_some()
}

/// A body's signing, from a request that is signed as it should be.
fn signing(content: &str, length: usize, trailer: bool) -> Signing {
    let length = length.to_string();
    let mut pairs = vec![
        ("host", "objects.test"),
        ("x-amz-content-sha256", content),
        ("x-amz-date", TIME),
        ("x-amz-decoded-content-length", length.as_str()),
    ];
    if trailer {
        pairs.push(("x-amz-trailer", "x-amz-checksum-crc32"));
    }
    let names: Vec<_> = pairs.iter().map(|pair| pair.0).collect();
    let names = names.join(";");
    let mut canonical = Canonical::new("PUT", "/b/k", "");
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        canonical.header(name, value);
        set(&mut headers, name, value.as_bytes());
    }
    let digest = canonical.finish_with(&names, content);
    let day = credential().signer.day_key(NOW);
    let signature = day.sign(REGION, TIME, digest.as_ref());
    let signature = std::str::from_utf8(&signature).expect("hexadecimal digits");
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={ID}/20130524/{REGION}/s3/aws4_request, \
         SignedHeaders={names}, Signature={signature}"
    );
    set(&mut headers, "authorization", authorization.as_bytes());
    match verified("PUT", b"/b/k", b"", &headers)
        .expect("the signature is right")
        .payload
    {
        Payload::Chunked(signing) => signing,
        other => panic!("{other:?}"),
    }
}

/// `data` in two pieces, or byte by byte.
fn pieces(data: &[u8], cut: u8) -> Vec<&[u8]> {
    if cut == 0 {
        return data.chunks(1).collect();
    }
    let at = usize::from(cut).min(data.len());
    vec![&data[..at], &data[at..]]
}

fn decode(signing: Signing, pieces: &[&[u8]]) -> Result<(Vec<u8>, Trailers), S3Error> {
    let mut decoder = Decoder::new(signing);
    let mut out = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece), &mut out)?;
    }
    Ok((out.concat(), decoder.finish()?))
}

/// One byte for the way of signing, one for where the body is split, one for its decoded length,
/// then the body.
pub(super) fn chunk_framing(data: &[u8]) -> bool {
    let [way, cut, length, body @ ..] = data else {
        return false;
    };
    let signing = || {
        let length = usize::from(*length);
        match way % 3 {
            0 => signing("STREAMING-UNSIGNED-PAYLOAD-TRAILER", length, true),
            1 => signing("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", length, false),
            _ => signing("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", length, true),
        }
    };
    let whole = decode(signing(), &[body]);
    assert_eq!(whole, decode(signing(), &pieces(body, *cut)));
    whole.is_ok_and(|(value, trailers)| {
        assert_eq!(value.len(), usize::from(*length));
        let mut headers = HeaderMap::new();
        if *way % 3 != 1 {
            set(&mut headers, "x-amz-trailer", b"x-amz-checksum-crc32");
        }
        let mut digests = Digests::expected(&headers).expect("a known checksum");
        digests.update(&value);
        digests.finish(&trailers).is_ok()
    })
}

/// Lines: algorithm, key, MD5, and the same of a copy's source.
pub(super) fn sse_c_headers(data: &[u8]) -> bool {
    let values: [&[u8]; 6] = lines(data);
    let names = [SSE_C_ALGORITHM, SSE_C_KEY, SSE_C_KEY_MD5];
    let mut headers = HeaderMap::new();
    for (name, value) in names.into_iter().chain(COPY_SOURCE_SSE_C).zip(values) {
        set(&mut headers, name, value);
    }
    let own = SseC::parse(&headers);
    if let Ok(Some(sse_c)) = &own {
        let mut echo = HeaderMap::new();
        sse_c.echo(&mut echo);
        assert_eq!(echo.len(), 2);
        assert!(!echo.contains_key(SSE_C_KEY));
    }
    let source = SseC::parse_copy_source(&headers);
    own.and(source).is_ok_and(|key| key.is_some())
}

/// A body of any request that has XML.
pub(super) fn xml_bodies(data: &[u8]) -> bool {
    let delete = DeleteRequest::parse(data).is_ok_and(|request| {
        assert!((1..=1000).contains(&request.objects.len()));
        assert!(request.objects.iter().all(|object| !object.key.is_empty()));
        true
    });
    let complete = CompleteRequest::parse(data).is_ok_and(|request| {
        let mut numbers = request.parts.iter().map(|part| part.number);
        assert!(numbers.all(|number| (1..=10_000).contains(&number)));
        true
    });
    let cors = Rules::from_xml(data).is_ok_and(|rules| {
        assert_eq!(Rules::from_xml(rules.to_xml().as_bytes()), Ok(rules));
        true
    });
    delete || complete || cors || CreateBucket::parse(data).is_ok()
}

/// Eight bytes of size, then the value.
pub(super) fn range(data: &[u8]) -> bool {
    let Some((size, value)) = data.split_first_chunk() else {
        return false;
    };
    let size = u64::from_le_bytes(*size);
    let within = |range: Range<u64>| {
        assert!(range.start < range.end && range.end <= size);
        true
    };
    let asked = match range::parse(value, size) {
        Asked::Part(range) => within(range),
        Asked::Whole | Asked::Unsatisfiable => false,
    };
    range::parse_copy_source(value, size).is_ok_and(within) || asked
}

fn form(pieces: &[&[u8]]) -> Result<(post::Fields, Vec<u8>), S3Error> {
    let mut reader = Reader::new(b"multipart/form-data; boundary=b")?;
    let mut out = Vec::new();
    for piece in pieces {
        reader.push(Bytes::copy_from_slice(piece), &mut out)?;
    }
    let fields = reader.fields().cloned().unwrap_or_default();
    reader.finish()?;
    Ok((fields, out.concat()))
}

/// One byte for where the form is split, then the form with the boundary `b`; also taken as a
/// content type, and the form's policy is checked as if its signature were right.
pub(super) fn post_form(data: &[u8]) -> bool {
    let Some((cut, body)) = data.split_first() else {
        return false;
    };
    let whole = form(&[body]);
    assert_eq!(whole, form(&pieces(body, *cut)));
    let _ = Reader::new(body);
    whole.is_ok_and(|(fields, _)| {
        let _ = post::verify(REGION, &find, "b", &fields, NOW);
        let signed = sign_policy(&fields);
        let accepted = signed.map(|signed| post::verify(REGION, &find, "b", &signed, NOW));
        fields.key().is_ok() && accepted.is_some_and(|accepted| accepted.is_ok())
    })
}

/// The same form with a right signature, so that its policy is read.
fn sign_policy(fields: &post::Fields) -> Option<post::Fields> {
    let signature = credential()
        .signer
        .day_key(NOW)
        .sign_text(fields.get("policy")?.as_bytes());
    let credential = format!("{ID}/20130524/{REGION}/s3/aws4_request");
    let replaced = [
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", credential.as_str()),
        ("x-amz-date", TIME),
        ("x-amz-signature", std::str::from_utf8(&signature).ok()?),
    ];
    let kept = fields
        .iter()
        .filter(|(name, _)| !name.starts_with("x-amz-"));
    let part = |(name, value)| {
        let head = "--b\r\nContent-Disposition: form-data; name=\"";
        [head, name, "\"\r\n\r\n", value, "\r\n"].concat()
    };
    let mut body: String = kept.chain(replaced).map(part).collect();
    body += &part(("file", ""));
    body += "--b--";
    form(&[body.as_bytes()]).ok().map(|(fields, _)| fields)
}
