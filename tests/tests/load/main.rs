//! Crowds, slow clients and oversized requests against the real binary. What is judged are counts
//! of answers and bytes of memory, never times; a time is only waited for, as a limit of the vault
//! made small by its configuration, or as a guard against hanging for ever.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helper fails as the test does, by panicking"
)]

mod busy;
mod crowd;
mod full;
mod half_open;
mod idle;
mod oversized;
mod probe;
mod slow;
mod transfers;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use strongroom_tests::tls::put;
use strongroom_tests::{Authority, Setup, Vault};

/// Descriptors that the largest crowd needs, on either side.
const FILES: u64 = 11_000;
/// Nothing here takes so long unless it hangs.
const HANG: Duration = Duration::from_mins(2);

/// One test at a time: each wants all descriptors, ports and cores.
static TURN: Mutex<()> = Mutex::new(());

/// Waits for the test's turn; `None` where the machine does not let it have enough descriptors.
fn turn() -> Option<MutexGuard<'static, ()>> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let hard = getrlimit(Resource::Nofile).maximum;
    let wanted = Rlimit {
        current: hard,
        maximum: hard,
    };
    setrlimit(Resource::Nofile, wanted).unwrap();
    if hard.is_some_and(|hard| hard < FILES) {
        skip(&format!("it needs {FILES} open files (`ulimit -Hn`)"));
        return None;
    }
    Some(turn)
}

/// Says that a test could not run here, also when the output of passed tests is not shown.
fn skip(why: &str) {
    use std::io::Write;
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let line = format!("SKIPPED load {test}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Runs a crowd's side of a test to its end.
fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let guarded = async { tokio::time::timeout(HANG, work).await };
    runtime.block_on(guarded).expect("it hangs")
}

/// A vault that logs as in service: what tests log otherwise would be most of their work.
fn quiet() -> Setup {
    Setup::new().set("LOG__LEVEL", "info")
}

/// The same with TLS on both listeners.
fn start_tls(setup: Setup) -> (Vault, Arc<Authority>) {
    let mut vault = setup.tls().make();
    let authority = Arc::new(Authority::default());
    let certificate = authority.issue();
    certificate.write(vault.root());
    vault.believe(&authority);
    put(&vault.home(), "ca.pem", authority.pem());
    vault.start_again();
    (vault, authority)
}

/// Anonymous memory of the vault in bytes (`RssAnon`, proc(5)): what it took itself, without the
/// pages of its program and of files.
fn memory(vault: &Vault) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", vault.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .unwrap();
    let kib: u64 = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    kib * 1024
}

const MIB: u64 = 1024 * 1024;
