//! What the kernel says about a process (proc(5)): CPU time, anonymous memory, children.

use std::fs;

use anyhow::Context;

/// Microseconds per tick of `utime` and `stime`: `USER_HZ` is 100 on every Linux that we build for.
const TICK_US: u64 = 10_000;

/// User and system time of all threads of the process so far, in microseconds.
pub(crate) fn cpu_us(pid: u32) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} is gone"))?;
    ticks(&text)
        .map(|ticks| ticks * TICK_US)
        .context("/proc/PID/stat is not as proc(5) says")
}

/// Fields 14 and 15; the name in field 2 may hold spaces and brackets.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.get(stat.rfind(')')? + 2..)?.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Microseconds that the whole machine was busy so far, over all cores.
pub(crate) fn machine_busy_us() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    busy_ticks(&text)
        .map(|ticks| ticks * TICK_US)
        .context("/proc/stat is not as proc(5) says")
}

/// Everything but idle, iowait and the guest times, which user time already holds.
fn busy_ticks(stat: &str) -> Option<u64> {
    let fields = stat.lines().next()?.split_whitespace().skip(1);
    let fields: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
    let all: u64 = fields.iter().take(8).sum();
    Some(all - fields.get(3)? - fields.get(4)?)
}

/// Anonymous memory of the process in KiB (`RssAnon`).
pub(crate) fn anonymous_kib(pid: u32) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} is gone"))?;
    kib(&text, "RssAnon:").context("/proc/PID/status has no RssAnon")
}

/// All memory of the process in KiB, its program and mapped files included (`VmRSS`).
pub(crate) fn resident_kib(pid: u32) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} is gone"))?;
    kib(&text, "VmRSS:").context("/proc/PID/status has no VmRSS")
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// The processor's name and the number of cores.
pub(crate) fn machine() -> anyhow::Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let name = text
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(": "))
        .map_or("unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().context("cannot count the cores")?;
    Ok(format!("{name}, {cores} cores"))
}

/// The first child of the process, `None` while it has none.
pub(crate) fn child_of(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_user_plus_system_whatever_the_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 5 0 0 0 120 34 0 0 20 0 3 0 9 1 2";
        assert_eq!(ticks(stat), Some(154));
    }

    #[test]
    fn busy_time_leaves_out_idle_and_waiting() {
        assert_eq!(busy_ticks("cpu  10 1 5 100 20 2 3 4 9 9\n"), Some(25));
    }

    #[test]
    fn memory_is_read_in_kib() {
        let status = "VmRSS:\t 9 kB\nRssAnon:\t   1234 kB\n";
        assert_eq!(kib(status, "RssAnon:"), Some(1234));
        assert_eq!(kib(status, "VmRSS:"), Some(9));
    }

    #[test]
    fn own_figures_can_be_read() {
        let own = std::process::id();
        assert!(cpu_us(own).is_ok());
        assert!(anonymous_kib(own).unwrap() > 0);
        assert!(machine_busy_us().unwrap() > 0);
    }
}
