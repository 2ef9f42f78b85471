//! How often each file is synced for each small object that is put.

use std::rc::Rc;

use crate::load::{self, Lane, Target};
use crate::out;
use crate::report::Syncs;
use crate::settings::Settings;
use crate::syncs::{by_file, has_strace, settled};
use crate::vault::{Vault, Workspace};

use super::{Account, Keyed, configure};

/// Bytes of an object.
const BYTES: usize = 1024;
/// Objects that are put while syncs are counted, with many clients, with one, in a smoke run.
const PUTS: (u64, u64, u64) = (20_000, 1_000, 200);
/// The goals with many clients and with one.
const GOALS: (f64, f64) = (0.1, 1.0);

/// Counts syncs at all connections and at one; nothing where there is no strace.
pub(crate) async fn puts(settings: &Settings) -> anyhow::Result<Vec<Syncs>> {
    if !has_strace() {
        out::note("s3-put: skipped, strace is not installed or does not know --seccomp-bpf");
        return Ok(Vec::new());
    }
    let workspace = Workspace::create(settings, "s3-put")?;
    let vault = Vault::init(settings, workspace.path.join("vault"), None)?;
    configure(&vault, &["bench"])?;
    let trace = workspace.path.join("strace");
    let server = vault.start_traced(&workspace.path, &trace)?;
    let address = server.address("s3")?;
    let account = Account::new(address);
    let many = if settings.smoke { PUTS.2 } else { PUTS.0 };
    let one = if settings.smoke { PUTS.2 } else { PUTS.1 };
    let plan = [(settings.connections, many, GOALS.0), (1, one, GOALS.1)];
    let mut counted = Vec::new();
    for (clients, total, goal) in plan {
        out::note(&format!("s3-put, {clients} clients"));
        let lanes = |names: &str, total| Target {
            pid: server.pid,
            address,
            lanes: lanes(&account, &format!("{clients}-{names}"), clients, total),
        };
        load::each_once(&lanes("warm", total.div_ceil(10))).await?;
        let target = lanes("measured", total);
        let before = settled(&trace)?;
        let outcome = load::each_once(&target).await?;
        let after = settled(&trace)?;
        counted.push(Syncs {
            what: "PUT",
            clients,
            goal,
            answers: outcome.ok,
            by_file: by_file(&after[before.len()..], &workspace.path),
        });
    }
    server.stop()?;
    Ok(counted)
}

/// For each connection its share of the objects, each with a name of its own.
fn lanes(account: &Account, names: &str, connections: usize, total: u64) -> Vec<Lane> {
    let body = vec![7; BYTES];
    let share = total.div_ceil(connections as u64);
    let lane = |lane| {
        let request = |number| {
            let path = format!("/bench/{names}/{lane}/{number}");
            account.whole("PUT", (&path, ""), Keyed::Yes, &body)
        };
        Rc::new((0..share).map(request).collect())
    };
    (0..connections).map(lane).collect()
}
