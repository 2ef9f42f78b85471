//! Those who speak to a vault: JWTs, the wire, the command line. Every secret that passes here is
//! remembered for the search at the end.

use super::{Vault, clean, run};
use crate::binary::strongroom;
use crate::clock::FakeClock;
use crate::http::{Answer, Request};
use crate::jwt::Key;
use crate::marks::Marks;
use crate::wait::now_s;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::MutexGuard;

/// Random bytes.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has random bytes");
    bytes
}

/// A URL and the headers that go with it, as the vault hands them out.
#[derive(Clone)]
pub struct Signed {
    /// Path and query.
    pub target: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
}

impl Signed {
    /// From the members of an answer.
    pub fn new(url: &str, headers: &Value) -> Self {
        let at = url.find("://").map_or(0, |at| at + 3);
        let path = url[at..].find('/').expect("a URL has a path");
        let headers = headers.as_object().expect("headers are an object").iter();
        let text = |value: &Value| value.as_str().expect("a header is a string").to_owned();
        Self {
            target: url[at + path..].to_owned(),
            headers: headers
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
        }
    }

    /// A request with exactly these headers.
    pub fn request(&self, method: &str) -> Request {
        let request = Request::new(method, &self.target);
        self.headers.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    }

    /// Without one of the headers.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.headers.retain(|(key, _)| key != name);
        assert!(
            other.headers.len() < self.headers.len(),
            "no header `{name}`"
        );
        other
    }

    /// With another value of one of the headers.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut other = self.without(name);
        other.headers.push((name.into(), value.into()));
        other
    }
}

impl Vault {
    /// Adds a secret that must be found nowhere.
    pub fn mark(&self, what: &str, secret: &[u8]) {
        self.marks().add(what, secret);
    }

    pub(super) fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A session id that begins with `name` and is searched for at the end.
    pub fn session(&self, name: &str) -> String {
        let id = format!("{name}-{}", hex::encode(random::<8>()));
        self.mark("a session id", id.as_bytes());
        id
    }

    /// A value that is searched for at the end.
    pub fn value(&self) -> Vec<u8> {
        let value = format!("value {} of a test", hex::encode(random::<16>())).into_bytes();
        self.mark("a value", &value);
        value
    }

    /// The application's key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// A JWT signed by `key` with these claims, good for 15 minutes unless they say otherwise.
    pub fn mint_by(&self, key: &Key, mut claims: Value) -> String {
        if claims.get("exp").is_none() {
            claims["exp"] = json!(now_s() + 900);
        }
        let jwt = key.mint(&claims);
        self.mark_jwt(&jwt);
        jwt
    }

    /// Adds a JWT to what must be found nowhere.
    pub fn mark_jwt(&self, jwt: &str) {
        let signature = jwt.rsplit('.').next().expect("three parts");
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        self.mark("a JWT's signature", &signature);
        self.mark("a JWT", jwt.as_bytes());
    }

    /// A JWT of the application's key.
    pub fn mint(&self, claims: Value) -> String {
        self.mint_by(&self.key, claims)
    }

    /// A user's JWT.
    pub fn user(&self, session: &str) -> String {
        self.mint(json!({ "sub": "user", "session_id": session }))
    }

    /// The application's JWT.
    pub fn application(&self) -> String {
        self.mint(json!({ "sub": "application" }))
    }

    /// A developer's JWT.
    pub fn developer(&self, session: &str) -> String {
        self.mint(json!({ "sub": "developer", "session_id": session }))
    }

    /// Connects, over TLS if that is what the vault speaks, and sends a request.
    fn exchange(&self, request: &Request, to: SocketAddr) -> io::Result<Answer> {
        match &self.authority {
            None => request.try_send(to),
            Some(authority) => request.try_send_over(&mut authority.connect(to)?, to),
        }
    }

    /// Sends a request to the API.
    pub fn send(&self, request: &Request) -> Answer {
        let answer = self.exchange(request, self.api()).expect("an answer");
        self.learn(&answer);
        answer
    }

    /// POSTs JSON with a raw JWT.
    pub fn call(&self, route: &str, jwt: &str, body: &Value) -> Answer {
        self.send(&Request::post(route, body).header("authorization", jwt))
    }

    /// The same where it must succeed; returns `data`.
    pub fn ok(&self, route: &str, jwt: &str, body: &Value) -> Value {
        let answer = self.call(route, jwt, body);
        assert_eq!(answer.status, 200, "{route}: {}", answer.text());
        answer.json()["data"].take()
    }

    /// Adds the token and the data key of an answer to what must be found nowhere.
    fn learn(&self, answer: &Answer) {
        let Ok(json) = serde_json::from_slice::<Value>(&answer.body) else {
            return;
        };
        let data = &json["data"];
        if let Some(uuid) = data["tokenId"]
            .as_str()
            .and_then(|text| text.strip_prefix("lunasec-"))
        {
            self.mark("a token", uuid.as_bytes());
            let bytes = hex::decode(uuid.replace('-', "")).expect("hex digits");
            self.mark("a token's bytes", &bytes);
        }
        let key = &data["headers"]["x-amz-server-side-encryption-customer-key"];
        if let Some(key) = key.as_str() {
            self.mark("a data key", &BASE64_STANDARD.decode(key).expect("base64"));
        }
        for url in [&data["uploadUrl"], &data["downloadUrl"]] {
            let signature = url
                .as_str()
                .and_then(|url| url.split("X-Amz-Signature=").nth(1));
            if let Some(signature) = signature {
                self.mark(
                    "a URL's signature",
                    &hex::decode(signature).expect("hex digits"),
                );
            }
        }
    }

    /// Makes a token; returns it with its upload.
    pub fn tokenize(&self, jwt: &str, body: &Value) -> (String, Signed) {
        let data = self.ok("/tokenize", jwt, body);
        let upload = Signed::new(data["uploadUrl"].as_str().expect("a URL"), &data["headers"]);
        (
            data["tokenId"].as_str().expect("a token").to_owned(),
            upload,
        )
    }

    /// The same where the vault may go away.
    pub fn try_tokenize(&self, jwt: &str, body: &Value) -> Option<(String, Signed)> {
        let request = Request::post("/tokenize", body).header("authorization", jwt);
        let answer = self.exchange(&request, self.api()).ok()?;
        if !answer.whole || answer.status != 200 {
            return None;
        }
        self.learn(&answer);
        let data = answer.json()["data"].take();
        let upload = Signed::new(data["uploadUrl"].as_str()?, &data["headers"]);
        Some((data["tokenId"].as_str()?.to_owned(), upload))
    }

    /// Makes a token and uploads its value.
    pub fn store(&self, jwt: &str, value: &[u8]) -> String {
        let (token, upload) = self.tokenize(jwt, &json!({}));
        let answer = self.put(&upload, value);
        assert_eq!(answer.status, 200, "upload: {}", answer.text());
        token
    }

    /// Uploads.
    pub fn put(&self, upload: &Signed, value: &[u8]) -> Answer {
        let request = upload.request("PUT").body(value);
        self.exchange(&request, self.s3()).expect("an answer")
    }

    /// Downloads.
    pub fn get(&self, download: &Signed) -> Answer {
        let request = download.request("GET");
        self.exchange(&request, self.s3()).expect("an answer")
    }

    /// The download that a token is detokenized to.
    pub fn detokenize(&self, jwt: &str, token: &str) -> Signed {
        let data = self.ok("/detokenize", jwt, &json!({ "tokenId": token }));
        Signed::new(
            data["downloadUrl"].as_str().expect("a URL"),
            &data["headers"],
        )
    }

    /// The value of a token.
    pub fn fetch(&self, jwt: &str, token: &str) -> Vec<u8> {
        let answer = self.get(&self.detokenize(jwt, token));
        assert_eq!((answer.status, answer.whole), (200, true), "download");
        answer.body
    }

    /// Gives a user's session a grant.
    pub fn grant(&self, session: &str, token: &str, duration: Option<&str>) {
        let mut body = json!({ "sessionId": session, "tokenId": token });
        if let Some(duration) = duration {
            body["customDuration"] = json!(duration);
        }
        assert_eq!(self.ok("/grant/set", &self.application(), &body), json!({}));
    }

    /// Whether a user's session has a live grant.
    pub fn granted(&self, session: &str, token: &str) -> bool {
        let body = json!({ "sessionId": session, "tokenId": token });
        let data = self.ok("/grant/verify", &self.application(), &body);
        data["valid"].as_bool().expect("true or false")
    }

    /// The command line with the vault's configuration and nothing on standard input.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.cli_with(arguments, b"", &[])
    }

    /// The command line with standard input and further environment.
    pub fn cli_with(
        &self,
        arguments: &[&str],
        input: &[u8],
        environment: &[(&str, &str)],
    ) -> Output {
        let mut command = clean(Command::new(strongroom()), &self.home());
        command
            .args(arguments)
            .env("STRONGROOM_CONFIG", self.root.join("strongroom.toml"))
            .envs(self.environment.iter().cloned())
            .envs(self.clock.iter().flat_map(FakeClock::environment));
        if let Some(serving) = &self.serving {
            command.env("STRONGROOM_URL", &serving.api_url);
        }
        command.envs(environment.iter().copied());
        let output = run(command, input);
        let mut log = self.log_file("cli.err");
        log.write_all(&output.stderr).expect("the log is written");
        output
    }
}
