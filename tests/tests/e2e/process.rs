//! The program as a process: limits, `init`, stopping, and the throw-away vault.

use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use strongroom_tests::binary::strongroom;
use strongroom_tests::http::connect;
use strongroom_tests::vault::{clean, files_below, run, wait};
use strongroom_tests::{Request, Setup, Vault, eventually};

#[test]
fn there_are_no_core_dumps() {
    let vault = Vault::start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", vault.pid())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let words: Vec<_> = core.split_whitespace().skip(4).collect();
    assert_eq!(words, ["0", "0", "bytes"]);
}

#[test]
fn nobody_else_can_read_the_vaults_files() {
    let vault = Vault::start();
    vault.store(&vault.application(), &vault.value());
    vault.store(&vault.application(), &vec![b'v'; 100 * 1024]);
    assert_eq!(vault.objects().len(), 1, "and one in the index");
    for path in files_below(vault.data()) {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
    }
    for dir in ["", "audit", "objects", "objects/runs", "objects/incoming"] {
        let mode = fs::metadata(vault.data().join(dir))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700, "{dir:?} has mode {mode:o}");
    }
}

fn init(home: &Path, dir: &str) -> Output {
    let mut command = clean(Command::new(strongroom()), home);
    command.args(["init", dir]);
    run(command, b"")
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    let files = files_below(dir).into_iter();
    files
        .map(|path| (path.clone(), (mode(&path), fs::read(path).unwrap())))
        .collect()
}

#[test]
fn init_twice_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let first = init(home.path(), "v");
    assert!(first.status.success());
    let said = String::from_utf8(first.stdout).unwrap();
    for text in [
        "serve --config v/strongroom.toml",
        "v/master.key",
        "loses every value",
    ] {
        assert!(said.contains(text), "{said}");
    }
    let made = contents(home.path());
    let names: Vec<_> = made
        .keys()
        .map(|path| path.strip_prefix(home.path()).unwrap().to_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "v/application.key.pem",
            "v/application.pub.pem",
            "v/data/format",
            "v/data/keyring",
            "v/master.key",
            "v/strongroom.toml",
        ]
    );
    let again = init(home.path(), "v");
    assert!(again.status.success());
    assert!(
        String::from_utf8(again.stdout)
            .unwrap()
            .contains("nothing was changed")
    );
    assert_eq!(contents(home.path()), made);
}

#[test]
fn init_leaves_a_directory_that_is_no_vault_alone() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("mine")).unwrap();
    fs::write(home.path().join("mine/letter"), "dear").unwrap();
    let before = contents(home.path());
    let output = init(home.path(), "mine");
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("neither empty nor a vault"), "{said}");
    assert_eq!(contents(home.path()), before);
}

/// A value larger than what the kernel buffers between vault and client.
const LARGE: usize = 48 << 20;

/// A stored value of [`LARGE`] bytes whose download has begun; the rest is the caller's to read.
fn begin_download(vault: &Vault) -> std::net::TcpStream {
    let jwt = vault.application();
    let token = vault.store(&jwt, &vec![b'v'; LARGE]);
    let request = vault.detokenize(&jwt, &token).request("GET");
    let mut stream = connect(vault.s3()).unwrap();
    stream
        .write_all(request.head(vault.s3()).as_bytes())
        .unwrap();
    let mut first = [0; 16 * 1024];
    stream.read_exact(&mut first).unwrap();
    stream
}

#[test]
fn stopping_lets_a_running_download_finish() {
    let mut vault = Vault::start();
    let mut stream = begin_download(&vault);
    let (api, s3) = (vault.api(), vault.s3());
    vault.ask_to_stop();
    eventually("no more connections are taken", || {
        let refused = |address| Request::new("GET", "/health").try_send(address).is_err();
        (refused(api) && refused(s3)).then_some(())
    });
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    // What was read before is the answer's header and a little of the value.
    assert!(
        rest.len() > LARGE - 16 * 1024 && rest.len() < LARGE,
        "{} bytes",
        rest.len()
    );
    assert!(rest.iter().all(|byte| *byte == b'v'));
    assert!(vault.wait().success());
}

#[test]
fn stopping_ends_in_time_although_a_client_stalls() {
    let mut vault = Setup::new().set("SHUTDOWN_S", "1").start();
    let stream = begin_download(&vault);
    vault.ask_to_stop();
    // The stalled client would keep it for ever.
    assert!(vault.wait().success());
    assert!(
        vault
            .log()
            .contains("connections were cut after shutdown_s")
    );
    drop(stream);
}

#[test]
fn a_stop_at_rest_is_clean_and_leaves_no_write_ahead_log() {
    let mut vault = Vault::start();
    vault.store(&vault.application(), &vault.value());
    vault.stop();
    assert!(!vault.data().join("records.sqlite3-wal").exists());
}

#[test]
fn logs_can_be_json() {
    let vault = Setup::new().set("LOG__FORMAT", "json").start();
    vault.call("/detokenize", "bad.jwt.here", &json!({}));
    let log = vault.log();
    let lines: Vec<_> = log.lines().collect();
    assert!(!lines.is_empty());
    for line in lines {
        let parsed: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(parsed["level"].is_string(), "{line}");
    }
}

/// `serve --dev` on free ports, killed when dropped.
struct Dev {
    home: tempfile::TempDir,
    child: Child,
}

impl Dev {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let child = Self::command(home.path()).arg("--dev").spawn().unwrap();
        let dev = Self { home, child };
        eventually("the dev vault says what to try", || {
            dev.said().contains("/ready").then_some(())
        });
        dev
    }

    fn command(home: &Path) -> Command {
        let mut command = clean(Command::new(strongroom()), home);
        let file = |name| fs::File::create(home.join(name)).unwrap();
        command
            .env("XDG_RUNTIME_DIR", home)
            .env("TMPDIR", home)
            .arg("serve");
        command
            .stdout(file("out"))
            .stderr(file("err"))
            .stdin(Stdio::null());
        for listener in ["API", "S3"] {
            command.env(format!("STRONGROOM__{listener}__LISTEN"), "127.0.0.1:0");
        }
        command.env("STRONGROOM__S3__DISK_RESERVE", "0B");
        command
    }

    fn dir(&self) -> PathBuf {
        self.home.path().join("strongroom-dev")
    }

    fn said(&self) -> String {
        fs::read_to_string(self.home.path().join("out")).unwrap()
    }

    fn client(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = clean(Command::new(strongroom()), self.home.path());
        command
            .env("XDG_RUNTIME_DIR", self.home.path())
            .args(arguments);
        run(command, input)
    }

    fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert!(wait(&mut self.child).success());
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_dev_vault_says_what_to_try_and_the_command_line_finds_it() {
    let mut dev = Dev::start();
    let said = dev.said();
    let url = said
        .split("http://")
        .nth(1)
        .unwrap()
        .split([' ', ')'])
        .next()
        .unwrap();
    for command in [
        "| strongroom tokenize".to_owned(),
        "strongroom detokenize TOKEN".to_owned(),
        format!("curl -i http://{url}/ready"),
    ] {
        assert!(said.contains(&command), "{said}");
    }
    assert_eq!(
        Request::new("GET", "/ready")
            .send(url.parse().unwrap())
            .status,
        200
    );

    let made = dev.client(&["tokenize"], b"s3cret of the dev vault");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let note = String::from_utf8(made.stderr).unwrap();
    assert!(
        note.contains(&format!("using the development vault at http://{url}")),
        "{note}"
    );
    let token = String::from_utf8(made.stdout).unwrap();
    let value = dev.client(&["detokenize", "--quiet", token.trim()], b"");
    assert_eq!(
        (value.stdout, value.stderr),
        (b"s3cret of the dev vault".to_vec(), vec![])
    );

    let permissions = fs::metadata(dev.dir()).unwrap().permissions();
    assert_eq!(permissions.mode() & 0o777, 0o700);
    dev.stop();
    assert!(!dev.dir().exists(), "the directory is removed at exit");
    let gone = dev.client(&["tokenize"], b"x");
    assert_eq!(
        gone.status.code(),
        Some(2),
        "{}",
        String::from_utf8_lossy(&gone.stderr)
    );
}

#[test]
fn a_dev_directory_that_others_could_have_made_is_not_used() {
    let mut dev = Dev::start();
    fs::set_permissions(dev.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    let refused = dev.client(&["tokenize"], b"x");
    assert!(!refused.status.success());
    assert!(
        String::from_utf8(refused.stderr)
            .unwrap()
            .contains("mode 0700")
    );
    dev.stop();
}

#[test]
fn a_second_dev_vault_is_refused_and_a_killed_ones_rest_is_removed() {
    let mut dev = Dev::start();
    let mut second = Dev::command(dev.home.path());
    second.stdout(Stdio::null()).stderr(Stdio::piped());
    let output = second.arg("--dev").output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("running already"), "{said}");

    dev.child.kill().unwrap();
    dev.child.wait().unwrap();
    assert!(dev.dir().exists());
    dev.child = Dev::command(dev.home.path()).arg("--dev").spawn().unwrap();
    eventually("the next one runs", || {
        dev.said().contains("/ready").then_some(())
    });
    assert!(dev.client(&["tokenize"], b"x").status.success());
    dev.stop();
    assert!(!dev.dir().exists());
}
