//! Credentials of the S3 endpoint beside the vault's own: made by the command line, named in the
//! configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use strongroom_tests::{Access, Answer, Setup, Vault};

/// Runs `s3 credential` with these arguments; returns what it printed.
pub(crate) fn make(vault: &Vault, arguments: &[&str]) -> String {
    let output = vault.cli(&[&["s3", "credential"], arguments].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The credential of a table that `s3 credential` printed; its secret is searched for at the end.
pub(crate) fn access(vault: &Vault, printed: &str) -> Access {
    let tables: toml::Table = printed.parse().unwrap();
    let made = &tables["s3"]["credential"][0];
    let text = |key: &str| made[key].as_str().unwrap().to_owned();
    let secret = fs::read_to_string(vault.root().join(text("secret_access_key_file"))).unwrap();
    let secret = secret.trim().to_owned();
    vault.mark("a secret access key", secret.as_bytes());
    Access {
        id: text("access_key_id"),
        secret,
    }
}

/// A customer key and its MD5, both in base64, as a client sends them (SSE-C).
const CUSTOMER_KEY: [(&str, &str); 3] = [
    ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
    (
        "x-amz-server-side-encryption-customer-key",
        "YSBjdXN0b21lciBrZXkgb2YgMzIgYnl0ZXMsIG9rYXk=",
    ),
    (
        "x-amz-server-side-encryption-customer-key-md5",
        "ixf6jDtfQv5XbA+GRZZxVA==",
    ),
];

/// Sends a request that a credential signed.
pub(crate) fn call(
    vault: &Vault,
    access: &Access,
    (method, path, query): (&str, &str, &str),
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let request = access.request(method, vault.s3(), path, query, headers);
    request.body(body).send(vault.s3())
}

/// The answer, if it has this status.
#[track_caller]
fn status(answer: Answer, expected: u16) -> Answer {
    assert_eq!(answer.status, expected, "{}", answer.text());
    answer
}

#[test]
fn a_credential_uses_its_buckets_and_no_others() {
    let mut vault = Setup::new().make();
    let sealed = make(
        &vault,
        &["--name", "backup", "--bucket", "backup", "--bucket", "b-*"],
    );
    let keyed = make(
        &vault,
        &["--name", "logs", "--bucket", "logs", "--server-keyed"],
    );
    add(&vault, &sealed);
    add(&vault, &keyed);
    let (sealed, keyed) = (access(&vault, &sealed), access(&vault, &keyed));
    vault.mark("a customer key", b"a customer key of 32 bytes, okay");
    vault.start_again();

    let value = vault.value();
    let put = |who: &Access, path: &str, headers: &[(&str, &str)]| {
        call(&vault, who, ("PUT", path, ""), headers, &value)
    };
    // Buckets without a `*` are there from the start.
    status(put(&sealed, "/backup/one", &CUSTOMER_KEY), 200);
    status(put(&sealed, "/backup/two", &[]), 403);
    let stored = status(put(&keyed, "/logs/one", &[]), 200);
    assert_eq!(
        stored.header("x-amz-server-side-encryption"),
        Some("AES256")
    );
    let made = call(&vault, &sealed, ("PUT", "/b-new", ""), &[], b"");
    status(made, 200);
    for (who, path) in [
        (&sealed, "/logs/one"),
        (&sealed, "/strongroom/one"),
        (&keyed, "/backup/one"),
        (&keyed, "/strongroom/one"),
    ] {
        status(put(who, path, &CUSTOMER_KEY), 403);
        status(
            call(&vault, who, ("GET", path, ""), &CUSTOMER_KEY, b""),
            403,
        );
        status(call(&vault, who, ("DELETE", path, ""), &[], b""), 403);
    }
    let wrong = Access {
        secret: "another secret of this length".into(),
        ..sealed.clone()
    };
    status(put(&wrong, "/backup/one", &CUSTOMER_KEY), 403);

    vault.stop();
    vault.start_again();
    let get = |who: &Access, path: &str, headers: &[(&str, &str)]| {
        call(&vault, who, ("GET", path, ""), headers, b"")
    };
    assert_eq!(
        status(get(&sealed, "/backup/one", &CUSTOMER_KEY), 200).body,
        value
    );
    status(get(&sealed, "/backup/one", &[]), 400);
    assert_eq!(status(get(&keyed, "/logs/one", &[]), 200).body, value);
    let list = call(&vault, &sealed, ("GET", "/backup", "list-type=2"), &[], b"");
    let list = status(list, 200).text();
    assert!(
        list.contains("<Key>one</Key>") && !list.contains("two"),
        "{list}"
    );
    status(
        call(&vault, &sealed, ("DELETE", "/backup/one", ""), &[], b""),
        204,
    );
    status(get(&sealed, "/backup/one", &CUSTOMER_KEY), 404);
}

#[test]
fn a_credential_that_was_taken_out_is_refused_and_its_successor_has_the_objects() {
    let mut vault = Setup::new().make();
    let arguments = ["--name", "logs", "--bucket", "logs", "--server-keyed"];
    let (old, new) = (make(&vault, &arguments), make(&vault, &arguments));
    let path = vault.root().join("strongroom.toml");
    let plain = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{plain}\n{old}")).unwrap();
    let (first, second) = (access(&vault, &old), access(&vault, &new));
    vault.start_again();
    let value = vault.value();
    let put = call(&vault, &first, ("PUT", "/logs/one", ""), &[], &value);
    assert_eq!(put.status, 200, "{}", put.text());
    vault.stop();
    fs::write(&path, format!("{plain}\n{new}")).unwrap();
    vault.start_again();
    let get = |who| call(&vault, who, ("GET", "/logs/one", ""), &[], b"");
    let refused = get(&first);
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(
        refused.text().contains("InvalidAccessKeyId"),
        "{}",
        refused.text()
    );
    assert_eq!(get(&second).body, value);
}

pub(crate) fn add(vault: &Vault, tables: &str) {
    let path = vault.root().join("strongroom.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, format!("{text}\n{tables}\n")).unwrap();
}

#[test]
fn a_credential_is_made_and_its_table_can_be_added_as_it_stands() {
    let mut vault = Setup::new().make();
    let name = "backup.1";
    let printed = make(
        &vault,
        &["--name", name, "--bucket", "backup", "--bucket", "b-*"],
    );
    let tables: toml::Table = printed.parse().unwrap();
    let made = &tables["s3"]["credential"][0];
    assert_eq!(made["name"].as_str(), Some(name));
    assert_eq!(made["server_keyed"].as_bool(), Some(false));
    let buckets: Vec<_> = made["buckets"].as_array().unwrap().iter().collect();
    assert_eq!(
        buckets,
        [&"backup".into(), &"b-*".into()] as [&toml::Value; 2]
    );
    let secret = vault
        .root()
        .join(made["secret_access_key_file"].as_str().unwrap());
    let bits = fs::metadata(&secret).unwrap().permissions().mode() & 0o777;
    assert_eq!(bits, 0o600);
    let text = fs::read_to_string(secret).unwrap();
    assert!(text.trim().len() >= 40, "{} characters", text.len());
    assert!(!printed.contains(text.trim()), "the secret was printed");
    vault.mark("a secret access key", text.trim().as_bytes());
    add(&vault, &printed);
    // A second one of the same name, as while a key is being replaced.
    let second = make(&vault, &["--name", name]);
    assert_ne!(second, printed);
    add(&vault, &second);
    vault.start_again();
    let disagreeing = vault.cli(&["s3", "credential", "--name", name, "--server-keyed"]);
    assert!(!disagreeing.status.success());
    let said = String::from_utf8(disagreeing.stderr).unwrap();
    assert!(said.contains("s3.credential 3 server_keyed"), "{said}");
    assert_eq!(secrets(&vault), 2, "nothing is written for what cannot be");
}

/// How many files with secrets there are.
fn secrets(vault: &Vault) -> usize {
    let files = fs::read_dir(vault.root()).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".secret")).count()
}

#[test]
fn a_credential_that_cannot_be_is_refused_at_start() {
    let table = |more: &str| {
        format!(
            "[[s3.credential]]\nname = \"a\"\naccess_key_id = \"AAA\"\n\
             secret_access_key_file = \"a.secret\"\n{more}\n"
        )
    };
    let start = |text: &str, secret: &str, mode: u32| {
        let mut vault = Setup::new().make();
        let path = vault.root().join("a.secret");
        fs::write(&path, secret).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        add(&vault, text);
        vault.refuses_to_start()
    };
    let sound = "0123456789abcdef";
    for (text, secret, mode, expected) in [
        (table(""), sound, 0o644, "open to others"),
        (table(""), "0123456789abcde", 0o600, "16 characters"),
        (
            table("buckets = [\"strongroom\"]"),
            sound,
            0o600,
            "s3.credential 1 buckets",
        ),
        (
            table("buckets = [\"No\"]"),
            sound,
            0o600,
            "s3.credential 1 buckets",
        ),
        (table("typo = 1"), sound, 0o600, "typo"),
        (
            table("") + &table(""),
            sound,
            0o600,
            "s3.credential 2 access_key_id",
        ),
    ] {
        let said = start(&text, secret, mode);
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(!said.contains(&secret[..12]), "{said}");
    }
}
