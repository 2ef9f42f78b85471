//! What a page of names costs in a bucket of many against one in a bucket of few.

use std::rc::Rc;

use anyhow::bail;

use crate::load::{self, Lane, Target};
use crate::report::Requests;
use crate::settings::Settings;
use crate::vault::{Vault, Workspace};
use crate::{clock, out};

use super::{Account, Keyed, configure};

/// Names of a page.
const PAGE: u64 = 1_000;
/// Largest ratio that is good.
const GOAL: f64 = 10.0;
/// Connections that list.
const LISTERS: usize = 8;
/// Pages that each connection asks for in turn.
const STARTS: u64 = 32;
/// Objects whose requests are made at a time.
const SLICE: u64 = 20_000;

/// Puts the names, then lists both buckets in interleaved rounds.
pub(crate) async fn list(settings: &Settings) -> anyhow::Result<Requests> {
    let workspace = Workspace::create(settings, "s3-list")?;
    let vault = Vault::init(settings, workspace.path.join("vault"), None)?;
    configure(&vault, &["few", "many"])?;
    let server = vault.start(&workspace.path)?;
    let (pid, address) = (server.pid, server.address("s3")?);
    let account = Account::new(address);
    let many = settings.records.max(2 * PAGE);
    for (bucket, names) in [("few", PAGE), ("many", many)] {
        fill(settings, &account, pid, bucket, names).await?;
        check(&account, bucket)?;
    }
    let target = |bucket, names| Target {
        pid,
        address,
        lanes: lanes(&account, bucket, names),
    };
    let mut requests = Requests {
        name: format!("list {PAGE} of {many} names; the baseline lists {PAGE} of {PAGE}"),
        goal: GOAL,
        setting: format!("{LISTERS} connections"),
        rounds: Vec::new(),
        void_rounds: 0,
    };
    for _ in 0..settings.rounds {
        let few = target("few", PAGE);
        let few = load::round(&few, settings.warm_up, settings.measured).await?;
        let many = target("many", many);
        let many = load::round(&many, settings.warm_up, settings.measured).await?;
        if let Some(said) = few.first_not_ok.as_ref().or(many.first_not_ok.as_ref()) {
            bail!("an answer was not 200: {said}");
        }
        requests.rounds.push((few, many));
    }
    server.stop()?;
    Ok(requests)
}

/// Puts that many objects of a few bytes, in no order of their names.
async fn fill(
    settings: &Settings,
    account: &Account,
    pid: u32,
    bucket: &str,
    names: u64,
) -> anyhow::Result<()> {
    let (start, mut done) = (clock::now(), 0);
    while done < names {
        let end = names.min(done + SLICE);
        let mut lanes = vec![Vec::new(); settings.connections];
        for number in done..end {
            let path = format!("/{bucket}/{}", name(number));
            let request = account.whole("PUT", (&path, ""), Keyed::Yes, b"value");
            lanes[usize::try_from(number)? % settings.connections].push(request);
        }
        lanes.retain(|lane| !lane.is_empty());
        let target = Target {
            pid,
            address: account.address,
            lanes: lanes.into_iter().map(Rc::new).collect(),
        };
        done += load::each_once(&target).await?.ok;
        let seconds = start.elapsed().as_secs_f64();
        out::note(&format!("put {done} of {names} objects in {seconds:.1} s"));
    }
    Ok(())
}

/// Whether a page is whole, once: the load generator looks at the status alone.
fn check(account: &Account, bucket: &str) -> anyhow::Result<()> {
    let query = format!("list-type=2&max-keys={PAGE}");
    let page = account.request("GET", &format!("/{bucket}"), &query, Keyed::No);
    let said = page.send(b"")?;
    let names = String::from_utf8_lossy(&said.body).matches("<Key>").count() as u64;
    if names != PAGE {
        bail!("a page of {bucket} has {names} names");
    }
    Ok(())
}

/// The name of the object of this number: spread, and no two are the same, as the factor is odd.
fn name(number: u64) -> String {
    format!("{:08x}", number.wrapping_mul(2_654_435_761) & 0xffff_ffff)
}

/// Pages from places all over the bucket.
fn lanes(account: &Account, bucket: &str, names: u64) -> Vec<Lane> {
    let path = format!("/{bucket}");
    let page = |start: u64| {
        // The bucket of few names is always listed whole.
        let query = if names <= PAGE {
            format!("list-type=2&max-keys={PAGE}")
        } else {
            let after = start * (0xf000_0000 / (STARTS * LISTERS as u64));
            format!("list-type=2&max-keys={PAGE}&start-after={after:08x}")
        };
        account.whole("GET", (&path, &query), Keyed::No, b"")
    };
    let lane = |lane| {
        Rc::new(
            (0..STARTS)
                .map(|number| page(number * LISTERS as u64 + lane))
                .collect(),
        )
    };
    (0..LISTERS as u64).map(lane).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_differ_and_do_not_come_in_order() {
        let names: Vec<String> = (0..10_000).map(name).collect();
        let distinct: HashSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        assert!(!names.is_sorted());
    }
}
