//! The policy of a form: its signature, and what it demands of the fields (AWS, *Creating a POST
//! policy*).

use super::{Fields, missing};
use crate::S3Error;
use crate::sigv4::{ALGORITHM, EXPIRES_S_MAX, parse_time};
use crate::verify::{Credential, MISMATCH, OLD_SIGNATURE, SKEW_MS_MAX, Scope};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use std::sync::Arc;
use strongroom_core::UnixMillis;
use subtle::ConstantTimeEq;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Fields that need no condition.
const EXEMPT: [&str; 3] = ["x-amz-signature", "file", "policy"];
const EXEMPT_PREFIX: &str = "x-ignore-";
const SCOPE: Scope = Scope {
    code: "InvalidArgument",
    lead: "Error parsing the X-Amz-Credential parameter; ",
    date_of: "X-Amz-Date",
};

/// A form whose signature and policy were right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Whose signature it is.
    pub access_key_id: String,
    /// Least bytes of the file; fewer are 400 `EntityTooSmall`.
    pub length_min: u64,
    /// Most bytes of the file; more are 400 `EntityTooLarge`.
    pub length_max: u64,
}

/// Checks the policy's signature and every condition: 403 `AccessDenied` ("Invalid according to
/// Policy: …"), `SignatureDoesNotMatch`, `InvalidAccessKeyId`, 400 `InvalidPolicyDocument`. Without
/// a policy field the form is anonymous: 403 `AccessDenied`.
pub fn verify(
    region: &str,
    find: &dyn Fn(&str) -> Option<Arc<Credential>>,
    bucket: &str,
    fields: &Fields,
    now: UnixMillis,
) -> Result<Accepted, S3Error> {
    if fields.get("awsaccesskeyid").is_some() {
        return Err(OLD_SIGNATURE);
    }
    let policy = fields.get("policy").ok_or(S3Error::ACCESS_DENIED)?;
    let access_key_id = check_signature(region, find, fields, policy, now)?;
    let (length_min, length_max) = check_conditions(policy, bucket, fields, now)?;
    Ok(Accepted {
        access_key_id,
        length_min,
        length_max,
    })
}

fn check_signature(
    region: &str,
    find: &dyn Fn(&str) -> Option<Arc<Credential>>,
    fields: &Fields,
    policy: &str,
    now: UnixMillis,
) -> Result<String, S3Error> {
    let field = |name: &'static str| fields.get(name).ok_or_else(|| missing(name));
    if field("x-amz-algorithm")? != ALGORITHM {
        let message = "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"";
        return Err(S3Error::new(400, "InvalidArgument", message));
    }
    let (credential, signature) = (field("x-amz-credential")?, field("x-amz-signature")?);
    let date = field("x-amz-date")?;
    let at = parse_time(date).ok_or(S3Error::new(
        400,
        "InvalidArgument",
        "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
    ))?;
    let credential = SCOPE.check(credential, region, &date[..8], find)?;
    if at.since(now) > SKEW_MS_MAX {
        return Err(S3Error::new(
            403,
            "AccessDenied",
            "Request is not yet valid",
        ));
    }
    if now.since(at) > u64::from(EXPIRES_S_MAX) * 1000 {
        return Err(refused("Policy expired."));
    }
    let expected = credential.signer.day_key(at).sign_text(policy.as_bytes());
    if !bool::from(expected.as_slice().ct_eq(signature.as_bytes())) {
        return Err(MISMATCH);
    }
    Ok(credential.access_key_id.clone())
}

fn refused(why: &str) -> S3Error {
    S3Error::text(
        403,
        "AccessDenied",
        format!("Invalid according to Policy: {why}"),
    )
}

fn invalid(why: &str) -> S3Error {
    S3Error::text(
        400,
        "InvalidPolicyDocument",
        format!("Invalid Policy: {why}"),
    )
}

/// Gives the least and the most bytes of the file.
fn check_conditions(
    policy: &str,
    bucket: &str,
    fields: &Fields,
    now: UnixMillis,
) -> Result<(u64, u64), S3Error> {
    let policy = BASE64_STANDARD.decode(policy).ok();
    let policy: Option<Value> = policy.and_then(|policy| serde_json::from_slice(&policy).ok());
    let policy = policy.ok_or_else(|| invalid("Invalid JSON."))?;
    let expiration = policy.get("expiration").and_then(Value::as_str);
    let expiration = expiration.ok_or_else(|| invalid("Policy missing expiration."))?;
    if now >= parse_expiration(expiration)? {
        return Err(refused("Policy expired."));
    }
    let conditions = policy.get("conditions").and_then(Value::as_array);
    let conditions = conditions.ok_or_else(|| invalid("Policy missing conditions."))?;
    let mut checked = Checked {
        values: values(bucket, fields)?,
        named: Vec::new(),
        length: (0, u64::MAX),
    };
    conditions.iter().try_for_each(|one| checked.check(one))?;
    let extra: Vec<&str> = checked.values.iter().map(|pair| pair.0.as_str()).collect();
    let extra: Vec<&str> = extra
        .into_iter()
        .filter(|name| !EXEMPT.contains(name) && !name.starts_with(EXEMPT_PREFIX))
        .filter(|name| !checked.named.iter().any(|named| named == name))
        .collect();
    if !extra.is_empty() {
        return Err(refused(&format!("Extra input fields: {}", extra.join(","))));
    }
    Ok(checked.length)
}

fn parse_expiration(text: &str) -> Result<UnixMillis, S3Error> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok();
    let secs = at.map(|at| u64::try_from(at.unix_timestamp()).unwrap_or(0));
    secs.map(|secs| UnixMillis(secs.saturating_mul(1000)))
        .ok_or_else(|| invalid(&format!("Invalid 'expiration' value: '{text}'")))
}

/// What conditions are about: the fields, with the key as it will be, and the bucket.
fn values(bucket: &str, fields: &Fields) -> Result<Vec<(String, String)>, S3Error> {
    let mut values = Vec::new();
    for (name, value) in fields.iter().filter(|(name, _)| *name != "bucket") {
        let value = if name == "key" {
            fields.key()?
        } else {
            value.to_owned()
        };
        values.push((name.to_owned(), value));
    }
    if fields.get("bucket").is_some_and(|named| named != bucket) {
        return Err(refused("the bucket is another one."));
    }
    values.push(("bucket".to_owned(), bucket.to_owned()));
    Ok(values)
}

struct Checked {
    values: Vec<(String, String)>,
    named: Vec<String>,
    length: (u64, u64),
}

impl Checked {
    fn check(&mut self, condition: &Value) -> Result<(), S3Error> {
        let bad = || invalid("Invalid condition.");
        match condition {
            Value::Object(pairs) if !pairs.is_empty() => pairs.iter().try_for_each(|pair| {
                let wanted = pair.1.as_str().ok_or_else(bad)?;
                self.field(pair.0, condition, |value| value == wanted)
            }),
            Value::Array(words) => {
                let [operator, first, second] = words.as_slice() else {
                    return Err(bad());
                };
                let operator = operator.as_str().ok_or_else(bad)?;
                if operator == "content-length-range" {
                    let range = number(first).zip(number(second)).ok_or_else(bad)?;
                    self.length.0 = self.length.0.max(range.0);
                    self.length.1 = self.length.1.min(range.1);
                    return Ok(());
                }
                let name = first.as_str().and_then(|name| name.strip_prefix('$'));
                let name = name.ok_or_else(bad)?;
                let wanted = second.as_str().ok_or_else(bad)?;
                match operator.to_ascii_lowercase().as_str() {
                    "eq" => self.field(name, condition, |value| value == wanted),
                    "starts-with" => self.field(name, condition, |value| value.starts_with(wanted)),
                    _ => Err(bad()),
                }
            }
            _ => Err(bad()),
        }
    }

    fn field(
        &mut self,
        name: &str,
        condition: &Value,
        fits: impl Fn(&str) -> bool,
    ) -> Result<(), S3Error> {
        let name = name.to_ascii_lowercase();
        let value = self.values.iter().find(|pair| pair.0 == name);
        // A field that is not there is empty.
        if !fits(value.map_or("", |pair| &pair.1)) {
            // A customer key stays out of answers.
            let shown = if name.ends_with("customer-key") {
                format!("\"${name}\"")
            } else {
                condition.to_string()
            };
            return Err(refused(&format!("Policy Condition failed: {shown}")));
        }
        self.named.push(name);
        Ok(())
    }
}

/// A number, or one as text.
fn number(value: &Value) -> Option<u64> {
    let digits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let text = value.as_str().filter(digits);
    value.as_u64().or_else(|| text?.parse().ok())
}
