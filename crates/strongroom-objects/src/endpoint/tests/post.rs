//! Uploads from HTML forms.

use super::*;

const BOUNDARY: &str = "----form";

/// A form with a policy of these conditions, signed by an application, and the file last.
struct FormBuilder {
    conditions: String,
    fields: Vec<(&'static str, String)>,
    id: &'static str,
}

fn form(conditions: &str) -> FormBuilder {
    FormBuilder {
        conditions: conditions.to_owned(),
        fields: Vec::new(),
        id: "AKIDALICE",
    }
}

impl FormBuilder {
    fn field(mut self, name: &'static str, value: &str) -> Self {
        self.fields.push((name, value.to_owned()));
        self
    }

    fn body(&self, file: &str) -> String {
        let credential = format!("{}/20270115/us-east-1/s3/aws4_request", self.id);
        let policy = format!(
            "{{\"expiration\":\"2027-01-15T09:00:00Z\",\"conditions\":[\
             {{\"x-amz-algorithm\":\"AWS4-HMAC-SHA256\"}},\
             {{\"x-amz-credential\":\"{credential}\"}},\
             {{\"x-amz-date\":\"20270115T080000Z\"}},{}]}}",
            self.conditions
        );
        let policy = BASE64_STANDARD.encode(policy);
        let signer = Signer::new("us-east-1".into(), SigningSecret::new(SECRET.into()));
        let signature = signer.day_key(START).sign_text(policy.as_bytes());
        let signature = std::str::from_utf8(&signature).unwrap().to_owned();
        let own = [
            ("x-amz-algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("x-amz-credential", credential),
            ("x-amz-date", "20270115T080000Z".to_owned()),
            ("policy", policy),
            ("x-amz-signature", signature),
        ];
        let fields = self.fields.iter().chain(&own);
        let mut parts: Vec<_> = fields
            .map(|(name, value)| {
                format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            })
            .collect();
        parts.push(format!(
            "Content-Disposition: form-data; name=\"file\"; filename=\"photo.txt\"\r\n\
             Content-Type: text/x\r\n\r\n{file}\r\n"
        ));
        let delimiter = format!("--{BOUNDARY}\r\n");
        format!("{delimiter}{}--{BOUNDARY}--\r\n", parts.join(&delimiter))
    }

    fn request(&self, bucket: &str, file: &str) -> Request<Body> {
        let body = self.body(file);
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/{bucket}"))
            .header("content-type", content_type)
            .header("content-length", body.len());
        request.body(body.into()).unwrap()
    }

    async fn send(&self, world: &World, bucket: &str, file: &str) -> Answer {
        world.raw(self.request(bucket, file)).await
    }
}

fn plain() -> FormBuilder {
    form("{\"bucket\":\"named\"},[\"starts-with\",\"$key\",\"up/\"],[\"content-length-range\",2,5]")
        .field("key", "up/${filename}")
}

#[tokio::test]
async fn post_ok_stores_the_file_under_the_policy() {
    let world = world();
    let posted = plain().send(&world, "named", "value").await;
    assert_eq!(posted.status, 204, "{}", posted.text());
    assert_eq!(
        posted.header("location"),
        "http://objects.test:9000/named/up/photo.txt"
    );
    let got = world
        .ask(alice(Method::GET, "/named/up/photo.txt"), "")
        .await;
    assert_eq!(got.text(), "value");
    assert_eq!(got.header("etag"), posted.header("etag"));
}

/// A form that stores `k` under the customer key 1.
fn keyed_form() -> FormBuilder {
    let conditions = "{\"bucket\":\"named\"},{\"key\":\"k\"},\
        [\"starts-with\",\"$x-amz-server-side-encryption-customer-algorithm\",\"\"],\
        [\"starts-with\",\"$x-amz-server-side-encryption-customer-key\",\"\"],\
        [\"starts-with\",\"$x-amz-server-side-encryption-customer-key-md5\",\"\"],\
        {\"success_action_status\":\"201\"}";
    let form = form(conditions)
        .field("key", "k")
        .field("success_action_status", "201");
    let fields = sse_c(1).into_iter();
    fields.fold(form, |form, (name, value)| form.field(name, &value))
}

#[tokio::test]
async fn post_with_a_customer_key_needs_it_to_read() {
    let world = world();
    let posted = keyed_form().send(&world, "named", "value").await;
    assert_eq!(posted.status, 201, "{}", posted.text());
    assert_eq!(posted.header(SSE_C_ALGORITHM), "AES256");
    assert_eq!(element(posted.text(), "Key"), "k");
    world
        .ask(alice(Method::GET, "/named/k"), "")
        .await
        .is(400, "InvalidRequest");
    let got = world.ask(alice(Method::GET, "/named/k").sse_c(1), "").await;
    assert_eq!(got.text(), "value");
}

#[tokio::test]
async fn post_with_a_customer_key_over_an_insecure_transport_is_400() {
    let world = world();
    let mut request = keyed_form().request("named", "value");
    request.extensions_mut().insert(Transport::Insecure);
    let answer = world.router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 400);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("secure connection"));
    let read = world.ask(alice(Method::GET, "/named/k").sse_c(1), "").await;
    read.is(404, "NoSuchKey");
}

#[tokio::test]
async fn post_toolarge_toosmall_and_against_the_policy_are_refused() {
    let world = world();
    let large = plain().send(&world, "named", "values").await;
    large.is(400, "EntityTooLarge");
    plain()
        .send(&world, "named", "v")
        .await
        .is(400, "EntityTooSmall");
    let mut other = plain();
    other.fields[0].1 = "down/x".into();
    other
        .send(&world, "named", "value")
        .await
        .is(403, "AccessDenied");
    let extra = plain().field("x-amz-meta-a", "b");
    extra
        .send(&world, "named", "value")
        .await
        .is(403, "AccessDenied");
    let acl = form("{\"bucket\":\"named\"},{\"key\":\"k\"},{\"acl\":\"public-read\"}")
        .field("key", "k")
        .field("acl", "public-read");
    acl.send(&world, "named", "value")
        .await
        .is(501, "NotImplemented");
    let redirect = form(
        "{\"bucket\":\"named\"},{\"key\":\"k\"},{\"success_action_redirect\":\"https://x.test\"}",
    )
    .field("key", "k")
    .field("success_action_redirect", "https://x.test");
    redirect
        .send(&world, "named", "value")
        .await
        .is(501, "NotImplemented");
    let listed = world
        .ask(alice(Method::GET, "/named?list-type=2"), "")
        .await;
    assert_eq!(element(listed.text(), "KeyCount"), "0");
    assert_eq!((world.files().len(), world.unfinished()), (0, 0));
}

#[tokio::test]
async fn the_vaults_bucket_and_those_of_others_take_no_form() {
    let world = world();
    let conditions = "{\"bucket\":\"vault\"},{\"key\":\"k\"}";
    for id in ["AKIDALICE", "AKIDEXAMPLE"] {
        let mut form = form(conditions).field("key", "k");
        form.id = id;
        form.send(&world, "vault", "value")
            .await
            .is(403, "AccessDenied");
    }
    let mut others = plain();
    others.id = "AKIDBOB";
    others
        .send(&world, "named", "value")
        .await
        .is(403, "AccessDenied");
    world.clock.0.store(START.0 + 3_600_001, Ordering::Relaxed);
    plain()
        .send(&world, "named", "value")
        .await
        .is(403, "AccessDenied");
}
