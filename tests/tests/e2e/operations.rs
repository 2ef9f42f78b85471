//! What goes on around the vault: its log, the service manager, a key that others mount.

use crate::{backup, skip};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use strongroom_tests::vault::files_below;
use strongroom_tests::{Request, Setup, Vault, eventually};

fn hang_up(vault: &Vault) {
    let pid = i32::try_from(vault.pid()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
}

/// A vault that logs into a file below its logs, where secrets are searched for.
fn with_a_log_file(setup: Setup) -> (Vault, PathBuf) {
    let mut vault = setup.make();
    let logs = vault.home().parent().unwrap().join("logs");
    fs::create_dir_all(&logs).unwrap();
    let file = logs.join("vault.log");
    vault.set("LOG__FILE", &format!("{:?}", file.to_str().unwrap()));
    vault.start_again();
    (vault, file)
}

#[test]
fn a_hangup_without_a_log_file_changes_nothing() {
    let vault = Vault::start();
    hang_up(&vault);
    hang_up(&vault);
    let jwt = vault.application();
    let value = vault.value();
    let token = vault.store(&jwt, &value);
    assert_eq!(vault.fetch(&jwt, &token), value);
}

/// The request ids that a line of the log names.
fn requests(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect("a whole line");
        line
    });
    let refused = lines.filter(|line| line["fields"]["message"] == "credentials refused");
    let id = |line: serde_json::Value| line["span"]["id"].as_str().map(str::to_owned);
    refused.filter_map(id).collect()
}

#[test]
fn no_line_is_lost_while_logrotate_rotates() {
    if !Path::new("/usr/sbin/logrotate").exists() {
        skip("it needs logrotate");
        return;
    }
    let (vault, file) = with_a_log_file(Setup::new().set("LOG__FORMAT", "json"));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let shipped = include_str!("../../../deploy/strongroom.logrotate");
    let configuration = shipped
        .replace("/var/log/strongroom/*.log", file.to_str().unwrap())
        .replace("create 0600 strongroom strongroom", "create 0600")
        .replace("    su strongroom strongroom\n", "")
        .replace(
            "systemctl kill --signal=HUP --kill-whom=main strongroom.service",
            &format!("kill -HUP {}", vault.pid()),
        )
        // Read below as they are.
        .replace("    compress\n", "")
        .replace("    delaycompress\n", "");
    let (rules, state) = (vault.home().join("rules"), vault.home().join("state"));
    fs::write(&rules, configuration).unwrap();
    fs::set_permissions(&rules, PermissionsExt::from_mode(0o644)).unwrap();

    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let ids = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let (vault, stop, sent) = (&vault, &stop, &sent);
                scope.spawn(move || {
                    let mut ids = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        // Refused, which is a line of the log.
                        let answer = vault.call("/tokenize", "no JWT", &json!({}));
                        assert_eq!(answer.status, 401);
                        ids.push(answer.header("x-request-id").unwrap().to_owned());
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    ids
                })
            })
            .collect();
        for round in 1..=5 {
            eventually("some are sent", || {
                (sent.load(Ordering::Relaxed) > round * 40).then_some(())
            });
            let rotated = Command::new("/usr/sbin/logrotate")
                .args(["--force", "--state"])
                .args([&state, &rules])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&rotated.stderr).into_owned();
            assert!(rotated.status.success(), "{said}");
        }
        stop.store(true, Ordering::Relaxed);
        let ids = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        ids.collect::<Vec<_>>()
    });
    let mut vault = vault;
    vault.stop();
    let files = files_below(file.parent().unwrap());
    let logs = files.iter().filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("vault.log")
    });
    let logs: Vec<_> = logs.collect();
    assert_eq!(logs.len(), 6, "{logs:?}");
    let logged: Vec<String> = logs.iter().flat_map(|path| requests(path)).collect();
    for id in &ids {
        let count = logged.iter().filter(|logged| *logged == id).count();
        assert_eq!(count, 1, "of {} requests", ids.len());
    }
}

#[test]
fn a_log_on_a_full_disk_stops_nothing_and_says_afterwards_what_was_lost() {
    let Some(disk) = crate::damage::SmallDisk::mount() else {
        skip("it mounts a small tmpfs, which is not permitted here");
        return;
    };
    let file = disk.path().join("vault.log");
    let setup = Setup::new().set("LOG__FILE", &format!("{:?}", file.to_str().unwrap()));
    let vault = setup.start();
    let jwt = vault.application();
    let value = vault.value();
    let token = vault.store(&jwt, &value);
    let filler = disk.path().join("filler");
    // As much as there is.
    let _ = fs::write(&filler, vec![0; 9 << 20]);
    let _ = fs::write(disk.path().join("more"), vec![0; 8192]);
    for _ in 0..300 {
        // Refused, which is a line of the log.
        assert_eq!(vault.call("/tokenize", "no JWT", &json!({})).status, 401);
    }
    assert_eq!(vault.fetch(&jwt, &token), value);
    fs::remove_file(&filler).unwrap();
    eventually("what was lost is said", || {
        assert_eq!(vault.call("/tokenize", "no JWT", &json!({})).status, 401);
        let log = fs::read_to_string(&file).unwrap();
        log.contains("lines of the log were lost").then_some(())
    });
    let log = fs::read_to_string(&file).unwrap();
    // Each line begins with its time: none is half.
    assert!(
        log.lines().all(|line| line.starts_with("20")),
        "a torn line"
    );
}

#[test]
fn a_log_file_that_cannot_be_opened_keeps_the_vault_from_starting() {
    let mut vault = Setup::new()
        .set("LOG__FILE", "\"/nowhere/vault.log\"")
        .make();
    let said = vault.refuses_to_start();
    assert!(said.contains("log.file /nowhere/vault.log"), "{said}");
}

#[test]
fn the_service_manager_hears_when_the_vault_is_ready_and_when_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let variable = format!("NOTIFY_SOCKET={}", path.display());
    let mut vault = Setup::new().under(&["env", &variable]).start();
    let heard = || {
        let mut text = [0; 100];
        let length = manager.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    assert_eq!(heard(), "READY=1");
    assert_eq!(vault.send(&Request::new("GET", "/ready")).status, 200);
    vault.stop();
    assert_eq!(heard(), "STOPPING=1");
}

#[test]
fn a_master_key_as_systemd_hands_it_over_is_taken() {
    if !rustix::process::geteuid().is_root() {
        skip("the file is root's");
        return;
    }
    let mut vault = Setup::new().make();
    let key = vault.root().join("master.key");
    // systemd.exec(5), LoadCredential: root's, mode 0400, and readable by the service by an
    // access list, which shows as the group's bit.
    fs::set_permissions(&key, PermissionsExt::from_mode(0o440)).unwrap();
    vault.start_again();
    vault.stop();
    fs::set_permissions(&key, PermissionsExt::from_mode(0o444)).unwrap();
    let said = vault.refuses_to_start();
    assert!(said.contains("is open to others"), "{said}");
}

#[test]
fn the_unit_is_as_hardened_as_the_documentation_says() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/strongroom.service");
    let Ok(output) = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold=15"])
        .arg(unit)
        .output()
    else {
        skip("it needs systemd-analyze");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said.lines().rfind(|line| line.contains("Overall exposure"));
    let line = line.unwrap_or_else(|| panic!("{said}"));
    assert!(output.status.success(), "{line}");
    let documented = include_str!("../../../docs/operations.md");
    let level = line.split(": ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(
        documented.contains(&format!("exposure level {level}")),
        "{line}"
    );
}

/// The copy that an upgrade starts from is one that the older program could have made: the steps
/// of docs/operations.md, *Upgrade*, with formats as they are now.
#[test]
fn a_vault_goes_on_from_its_backup_taken_before_an_upgrade() {
    let mut vault = Vault::start();
    let jwt = vault.application();
    let value = vault.value();
    let token = vault.store(&jwt, &value);
    let dir = backup::backup(&vault, "before");
    vault.stop();
    // A newer program raised a format; this one is started again by whoever rolls back.
    fs::write(vault.data().join("objects/format"), "3\n").unwrap();
    let said = vault.refuses_to_start();
    assert!(
        said.contains("has format 3, this program knows up to 2"),
        "{said}"
    );
    backup::restore(&mut vault, &dir, backup::Evidence::Log);
    assert_eq!(backup::granted_value(&vault, &jwt, &token), Some(value));
}
