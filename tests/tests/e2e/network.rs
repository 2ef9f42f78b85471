//! The vault speaks to nobody but its callers.

use crate::skip;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use strongroom_tests::Vault;
use strongroom_tests::vault::{PATH, clean};

#[test]
fn everything_works_where_there_is_no_network_but_loopback() {
    let alone = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-n", "sh", "-c", script]).env("PATH", PATH);
        command
    };
    let permitted = alone("ip link set lo up").output();
    if !permitted.is_ok_and(|output| output.status.success()) {
        skip("`unshare -n` and `ip link` are not permitted here");
        return;
    }
    // Clients and vault are on the same side, so the tests themselves run there again.
    let output = alone("ip link set lo up && exec \"$0\" \"$@\"")
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "cli::a_value_goes_in_and_out_by_standard_input_and_output",
        ])
        .args(["secrets::a_whole_life_leaves_no_secret_behind"])
        .args(["process::the_dev_vault_says_what_to_try_and_the_command_line_finds_it"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("3 passed; 0 failed"),
        "{said}"
    );
}

#[test]
fn the_vault_has_no_socket_but_its_two_listeners_and_their_connections() {
    let vault = Vault::start();
    let jwt = vault.application();
    let value = vault.value();
    let token = vault.store(&jwt, &value);
    assert_eq!(vault.fetch(&jwt, &token), value);
    let process = format!("/proc/{}", vault.pid());
    let inodes: BTreeSet<String> = fs::read_dir(format!("{process}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .filter_map(|link| {
            let name = link.to_str()?.strip_prefix("socket:[")?;
            Some(name.strip_suffix(']')?.to_owned())
        })
        .collect();
    let ours = [vault.api(), vault.s3()].map(|address| format!("0100007F:{:04X}", address.port()));
    let mut listeners = 0;
    for table in ["tcp", "tcp6", "udp", "udp6", "raw"] {
        let text = fs::read_to_string(format!("{process}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<_> = line.split_whitespace().collect();
            if inodes.contains(words[9]) {
                assert!(
                    table == "tcp" && ours.iter().any(|own| own == words[1]),
                    "{table}: {line}"
                );
                assert!(
                    words[2].starts_with("0100007F:") || words[2] == "00000000:0000",
                    "{line}"
                );
                listeners += usize::from(words[3] == "0A");
            }
        }
    }
    assert_eq!(listeners, 2);
}

#[test]
fn the_program_needs_nothing_of_its_callers_environment() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = clean(
        Command::new(strongroom_tests::binary::strongroom()),
        dir.path(),
    );
    command
        .env_remove("PATH")
        .env_remove("HOME")
        .env_remove("LANG")
        .args(["init", "v"]);
    assert!(command.output().unwrap().status.success());
}
