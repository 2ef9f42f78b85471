//! The contract's texts: durations, request bodies, metadata, and answers as a client reads them.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;
use strongroom_wire::answer::Done;
use strongroom_wire::envelope::{self, FailureText};
use strongroom_wire::{
    BadBody, DetokenizeRequest, Download, ErrorName, GrantSetRequest, GrantValidity,
    GrantVerifyRequest, METADATA_DEPTH_MAX, Metadata, MetadataAnswer, MetadataGetRequest,
    MetadataSetRequest, SecretText, TokenizeRequest, Upload, duration,
};

/// Held against exact arithmetic: a part may be a nanosecond short where its fraction is cut off.
pub(super) fn duration(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let parsed = duration::parse_nanos(text);
    let millis = parsed.map(|nanos| nanos / 1_000_000);
    assert_eq!(duration::parse_millis(text), millis);
    let Some((exact, parts)) = exact_nanos(text) else {
        assert!(parsed.is_err(), "{text:?}");
        return false;
    };
    match parsed {
        Ok(nanos) => assert!((exact - i128::from(nanos)).abs() <= parts, "{text:?}"),
        Err(_) => assert!(exact.abs() + parts >= 1 << 63, "{text:?}"),
    }
    if let Ok(secs) = u64::try_from(parsed.unwrap_or(-1) / 1_000_000_000) {
        let again = duration::parse_nanos(&duration::format_secs(secs));
        assert_eq!(
            again.map(|nanos| nanos / 1_000_000_000),
            Ok(secs.cast_signed())
        );
    }
    parsed.is_ok()
}

/// Nanoseconds, and how many parts they are the sum of; the largest if they are beyond counting.
fn exact_nanos(text: &str) -> Option<(i128, i128)> {
    const BEYOND: i128 = 1 << 100;
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned == "0" {
        return Some((0, 0));
    }
    let is_number = |c: char| c == '.' || c.is_ascii_digit();
    let (mut rest, mut nanos, mut parts) = (unsigned, 0_i128, 0);
    while let Some(end) = rest.find(|c| !is_number(c)) {
        let (number, after) = rest.split_at(end);
        let (unit, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let whole = whole.trim_start_matches('0');
        let whole = if whole.len() > 20 {
            BEYOND
        } else {
            whole.parse::<i128>().unwrap_or(0) * unit
        };
        // 10^24 hours fit into 128 bits.
        let fraction = &fraction[..fraction.len().min(24)];
        let scale = 10_i128.pow(u32::try_from(fraction.len()).unwrap_or(0));
        let fraction = fraction.parse::<i128>().unwrap_or(0) * unit / scale;
        nanos = (nanos + whole + fraction).min(BEYOND);
        parts += 1;
        rest = after;
    }
    let signed = if text.starts_with('-') { -nanos } else { nanos };
    (rest.is_empty() && parts > 0).then_some((signed, parts))
}

/// The members of an object as another reader has them, all values read.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A member is not as the request needs it.
struct Unfit;

impl Members {
    /// Null is the same as absence.
    fn find(&self, key: &str) -> Result<Option<&Value>, Unfit> {
        let found = |(name, _): &&(String, Value)| name.eq_ignore_ascii_case(key);
        let found: Vec<_> = self.0.iter().filter(found).collect();
        match found[..] {
            [] => Ok(None),
            [(_, value)] => Ok(Some(value).filter(|value| !value.is_null())),
            _ => Err(Unfit),
        }
    }

    fn text(&self, key: &str) -> Result<Option<&str>, Unfit> {
        let value = self.find(key)?;
        value.map(|value| value.as_str().ok_or(Unfit)).transpose()
    }

    fn token(&self) -> Result<&str, Unfit> {
        self.text("tokenId")?.ok_or(Unfit)
    }

    fn metadata(&self) -> Result<Option<&Value>, Unfit> {
        match self.find("metadata")? {
            Some(Value::Object(members)) if members.is_empty() => Ok(None),
            Some(value) if !value.is_object() || depth(value) > METADATA_DEPTH_MAX => Err(Unfit),
            value => Ok(value),
        }
    }

    fn count(&self) -> Result<Option<u64>, Unfit> {
        let value = self.find("contentLength")?;
        value.map(|value| value.as_u64().ok_or(Unfit)).transpose()
    }

    /// The session's id, or none for the application's own.
    fn session(&self) -> Result<Option<&str>, Unfit> {
        let own = self
            .find("self")?
            .map_or(Ok(false), |flag| flag.as_bool().ok_or(Unfit))?;
        match (self.text("sessionId")?, own) {
            (Some(id), false) => Ok(Some(id)),
            (None, true) => Ok(None),
            _ => Err(Unfit),
        }
    }

    fn duration(&self) -> Result<Option<&str>, Unfit> {
        let text = self.text("customDuration")?;
        Ok(text.filter(|text| !text.is_empty()))
    }
}

/// Objects and lists in one another.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// One body, taken for each of the six requests: as another reader understands it, and the same
/// again when a client has written it.
pub(super) fn json_bodies(data: &[u8]) -> bool {
    let good = [
        TokenizeRequest::parse(data).is_ok(),
        DetokenizeRequest::parse(data).is_ok(),
        GrantSetRequest::parse(data).is_ok(),
        GrantVerifyRequest::parse(data).is_ok(),
        MetadataGetRequest::parse(data).is_ok(),
        MetadataSetRequest::parse(data).is_ok(),
    ];
    let any = good.contains(&true);
    if serde_json::from_slice::<IgnoredAny>(data).is_err() || std::str::from_utf8(data).is_err() {
        assert!(!any);
    }
    // Where the other reader refuses the body, ours passes over what it does not look into.
    if let Ok(members) = serde_json::from_slice::<Members>(data) {
        tokenize(data, &members);
        by_token(data, &members);
        grants(data, &members);
        set_metadata(data, &members);
    }
    any
}

fn text(text: &SecretText) -> &str {
    text.expose()
}

fn value(metadata: Option<&Metadata>) -> Option<Value> {
    metadata.map(|json| serde_json::from_str(json.json()).expect("metadata is JSON"))
}

/// What a client writes of a request that was read.
fn written<T: serde::Serialize>(request: &T) -> Vec<u8> {
    serde_json::to_vec(request).expect("requests can be written")
}

fn tokenize(data: &[u8], members: &Members) {
    let asked = TokenizeRequest::parse(data);
    let expected = members
        .metadata()
        .and_then(|json| Ok((json, members.count()?)));
    let fields = |asked: &TokenizeRequest| (value(asked.metadata.as_ref()), asked.content_length);
    let expected = expected.map(|(json, count)| (json.cloned(), count));
    assert_eq!(asked.as_ref().map(fields).ok(), expected.ok());
    if let Ok(asked) = asked {
        let again = TokenizeRequest::parse(&written(&asked));
        assert_eq!(again.as_ref().map(fields), Ok(fields(&asked)));
    }
}

fn by_token(data: &[u8], members: &Members) {
    let get = MetadataGetRequest::parse(data);
    let detokenize = DetokenizeRequest::parse(data);
    let expected = members.token().ok();
    assert_eq!(
        get.as_ref().map(|asked| text(&asked.token_id)).ok(),
        expected
    );
    let token = |asked: &Result<DetokenizeRequest, BadBody>| {
        asked
            .as_ref()
            .map(|asked| text(&asked.token_id).to_owned())
            .ok()
    };
    assert_eq!(token(&detokenize).as_deref(), expected);
    if let Ok(asked) = &detokenize {
        let again = DetokenizeRequest::parse(&written(asked));
        assert_eq!(token(&again), token(&detokenize));
    }
}

fn grants(data: &[u8], members: &Members) {
    let expected = members
        .session()
        .and_then(|session| Ok((session, members.token()?)));
    let verify = GrantVerifyRequest::parse(data);
    let fields = verify.as_ref().map(|asked| {
        assert_eq!(asked.self_, asked.session_id.is_none());
        (asked.session_id.as_ref().map(text), text(&asked.token_id))
    });
    assert_eq!(fields.ok(), expected.ok());

    let expected = members
        .session()
        .and_then(|session| Ok((session, members.token()?, members.duration()?)));
    let set = GrantSetRequest::parse(data);
    let fields = |asked: &GrantSetRequest| {
        assert_eq!(asked.self_, asked.session_id.is_none());
        let session = asked.session_id.as_ref().map(|id| text(id).to_owned());
        (
            session,
            text(&asked.token_id).to_owned(),
            asked.custom_duration.clone(),
        )
    };
    let owned = expected.map(|(session, token, duration)| {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        (owned(session), token.to_owned(), owned(duration))
    });
    assert_eq!(set.as_ref().map(fields).ok(), owned.ok());
    if let Ok(asked) = set {
        let again = GrantSetRequest::parse(&written(&asked));
        assert_eq!(again.as_ref().map(fields), Ok(fields(&asked)));
    }
}

fn set_metadata(data: &[u8], members: &Members) {
    let expected = members
        .token()
        .and_then(|token| Ok((token, members.metadata()?.cloned())));
    let asked = MetadataSetRequest::parse(data);
    let fields = asked
        .as_ref()
        .map(|asked| (text(&asked.token_id), value(asked.metadata.as_ref())));
    assert_eq!(fields.ok(), expected.ok());
}

/// Kept exactly as it was written, but for white space around it, also on its way to a client.
pub(super) fn metadata(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let read: Result<Value, _> = serde_json::from_str(text);
    let Ok(metadata) = Metadata::parse(text) else {
        assert!(!read.is_ok_and(|read| read.is_object()));
        return false;
    };
    assert!(serde_json::from_str::<IgnoredAny>(text).is_ok());
    assert_eq!(metadata.json(), text.trim_matches([' ', '\t', '\r', '\n']));
    if let Ok(read) = read {
        assert_eq!(
            read.as_object().map(serde_json::Map::is_empty),
            Some(metadata.is_empty())
        );
    }
    let answer = envelope::success(&MetadataAnswer {
        metadata: metadata.clone(),
    });
    let answer = answer.expect("metadata can be written");
    let again: MetadataAnswer = envelope::parse_success(&answer).expect("our own answer");
    assert_eq!(again.metadata.json(), metadata.json());
    assert_eq!(format!("{metadata:?}"), "Metadata([REDACTED])");
    true
}

/// An answer, whoever wrote it: as a client reads it, it is the same when the vault writes it.
pub(super) fn answers(data: &[u8]) -> bool {
    let failure = envelope::parse_failure(data);
    let name = failure.name.unwrap_or(ErrorName::Internal);
    let id = failure.request_id.as_deref().unwrap_or("none");
    let again = envelope::parse_failure(&envelope::failure(name, &failure.message, id));
    let expected = FailureText {
        name: Some(name),
        message: failure.message.clone(),
        request_id: Some(id.to_owned()),
    };
    assert_eq!(again, expected);
    let upload = comes_back::<Upload>(data);
    let download = comes_back::<Download>(data);
    let valid = comes_back::<GrantValidity>(data);
    let metadata = comes_back::<MetadataAnswer>(data);
    let done = comes_back::<Done>(data);
    upload || download || valid || metadata || done || failure.name.is_some()
}

fn comes_back<T: serde::Serialize + for<'de> Deserialize<'de>>(data: &[u8]) -> bool {
    let Ok(read) = envelope::parse_success::<T>(data) else {
        return false;
    };
    let written = envelope::success(&read).expect("answers can be written");
    let again: T = envelope::parse_success(&written).expect("our own answer");
    assert_eq!(envelope::success(&again).ok(), Some(written));
    true
}
