//! Requests to the object store signed in their headers (AWS, *Signature Version 4*), as an
//! application with a credential of its own sends them.

use crate::http::Request;
use crate::wait::now_s;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use std::net::SocketAddr;
use time::OffsetDateTime;
use time::macros::format_description;

/// A credential.
#[derive(Clone)]
pub struct Access {
    /// Its name in requests.
    pub id: String,
    /// What it signs with.
    pub secret: String,
}

impl Access {
    /// A request for `host` whose body is not signed. `path` and `query` stand in it as they are,
    /// so they must be canonical; all of `headers` are signed.
    pub fn request(
        &self,
        method: &str,
        to: SocketAddr,
        path: &str,
        query: &str,
        headers: &[(&str, &str)],
    ) -> Request {
        let now = i64::try_from(now_s()).expect("a time of this age");
        let now = OffsetDateTime::from_unix_timestamp(now).expect("a time of this age");
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let time = now.format(format).expect("a date");
        let host = to.to_string();
        let mut signed: Vec<(&str, &str)> = headers.to_vec();
        signed.extend([
            ("host", host.as_str()),
            ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
            ("x-amz-date", time.as_str()),
        ]);
        signed.sort_unstable();
        let names: Vec<_> = signed.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let line = |(name, value): &(&str, &str)| [*name, ":", *value, "\n"].concat();
        let lines: Vec<_> = signed.iter().map(line).collect();
        let lines = lines.concat();
        let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\nUNSIGNED-PAYLOAD");
        let scope = format!("{}/us-east-1/s3/aws4_request", &time[..8]);
        let hash = hex::encode(digest(&SHA256, canonical.as_bytes()));
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}");
        let signature = hex::encode(self.sign(&time[..8], &text));
        let target = if query.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{query}")
        };
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.id
        );
        let request = Request::new(method, &target).header("authorization", &authorization);
        signed.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    }

    fn sign(&self, day: &str, text: &str) -> Vec<u8> {
        let first = format!("AWS4{}", self.secret).into_bytes();
        let steps = [day, "us-east-1", "s3", "aws4_request", text];
        steps.iter().fold(first, |key, step| {
            let key = Key::new(HMAC_SHA256, &key);
            sign(&key, step.as_bytes()).as_ref().to_vec()
        })
    }
}
