//! One large object up in parts and down again: CPU per byte against bare streams, and memory.

use std::fmt::Write as _;

use anyhow::Context;

use crate::bulk::{BareStreams, GOAL, measured};
use crate::memory::Memory;
use crate::report::{Bulk, BulkRound};
use crate::settings::Settings;
use crate::stream::Content;
use crate::vault::{Vault, Workspace};
use crate::{out, proc};

use super::{Account, Keyed, configure};

/// Bytes of a part: what clients use that know that the object is large.
const PART_BYTES: u64 = 16 * 1024 * 1024;
/// The least that a part may have, for a smoke run.
const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;

/// Uploads and downloads in interleaved rounds.
pub(crate) fn bulk(settings: &Settings) -> anyhow::Result<[Bulk; 2]> {
    let workspace = Workspace::create(settings, "s3-bulk")?;
    let vault = Vault::init(settings, workspace.path.join("vault"), None)?;
    configure(&vault, &["bench"])?;
    let server = vault.start(&workspace.path)?;
    let account = Account::new(server.address("s3")?);
    let bare = BareStreams::start(settings, &workspace)?;
    let bytes = settings.bulk_bytes;
    let part_bytes = if settings.smoke {
        PART_BYTES_MIN
    } else {
        PART_BYTES
    };
    let before = proc::anonymous_kib(server.pid)?;
    let memory = Memory::watch(server.pid);
    let mut rounds = (Vec::new(), Vec::new());
    for round in 1..=settings.rounds {
        out::note(&format!("s3-bulk, round {round} of {}", settings.rounds));
        let baseline = bare.sink(bytes)?;
        let floor = Some(bare.floor(bytes)?);
        // One name, so that each round but the first replaces an object.
        let path = "/bench/large";
        let vault = measured(&server, bytes, || upload(&account, path, bytes, part_bytes))?;
        rounds.0.push(BulkRound {
            baseline,
            floor,
            vault,
        });
        let baseline = bare.source(bytes)?;
        let download = account.request("GET", path, "", Keyed::Yes);
        let vault = measured(&server, bytes, || download.get(bytes, Content::Pattern))?;
        rounds.1.push(BulkRound {
            baseline,
            floor: None,
            vault,
        });
    }
    let most = memory.end(before)?;
    bare.stop()?;
    server.stop()?;
    let bulk = |direction: &str, rounds| Bulk {
        direction: format!("S3 multipart {direction}"),
        goal: GOAL,
        bytes,
        rounds,
        anonymous_kib_before: before,
        anonymous_kib_max: most,
    };
    Ok([bulk("upload", rounds.0), bulk("download", rounds.1)])
}

/// Creates the upload, sends its parts one after another, completes it.
fn upload(account: &Account, path: &str, bytes: u64, part_bytes: u64) -> anyhow::Result<()> {
    let create = account.request("POST", path, "uploads=", Keyed::Yes);
    let said = create.send(b"").context("CreateMultipartUpload")?;
    let xml = String::from_utf8_lossy(&said.body);
    let id = between(&xml, "<UploadId>", "</UploadId>").context("there is no UploadId")?;
    let mut parts = String::new();
    for (index, start) in (0..bytes).step_by(usize::try_from(part_bytes)?).enumerate() {
        let number = index + 1;
        let query = format!("partNumber={number}&uploadId={id}");
        let part = account.request("PUT", path, &query, Keyed::Yes);
        let said = part
            .put(part_bytes.min(bytes - start))
            .context("UploadPart")?;
        let etag = said.header("etag").context("a part has no ETag")?;
        write!(
            parts,
            "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        )?;
    }
    let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    let complete = account.request("POST", path, &format!("uploadId={id}"), Keyed::No);
    let said = complete
        .send(body.as_bytes())
        .context("CompleteMultipartUpload")?;
    // An upload that fails late is told so under status 200.
    String::from_utf8_lossy(&said.body)
        .contains("<CompleteMultipartUploadResult")
        .then_some(())
        .context("the upload was not completed")
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}
