//! Whether a refusal tells why: tokens that are unknown, expired, deleted or granted to another
//! session, asked for by one client in random order.
//!
//! Status, headers and body must be the same, or the run fails. Times are reported and not
//! judged. The client knows of each token what it is; the vault must not show it.

mod client;
mod figures;
mod tokens;

pub(crate) use figures::Refusals;

use std::collections::HashSet;

use anyhow::{Context, bail};
use aws_lc_rs::rand;

use crate::session::Sessions;
use crate::settings::{Durability, Settings};
use crate::vault::{self, Vault, Workspace};
use crate::{clock, out};
use client::{Answer, Client};
use tokens::Tokens;

/// How often each token is asked for by each subject on each route.
const ASKED_EACH: usize = 10;

/// Why a token is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Unknown,
    /// The same as unknown: how far its figures differ is what chance does.
    UnknownToo,
    Expired,
    Deleted,
    NotGranted,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Unknown,
        Self::UnknownToo,
        Self::Expired,
        Self::Deleted,
        Self::NotGranted,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::UnknownToo => "unknown, again",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
            Self::NotGranted => "not granted",
        }
    }
}

/// Who asks for what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Question {
    subject: &'static str,
    route: &'static str,
}

const QUESTIONS: [Question; 4] = [
    question("user", "/detokenize"),
    question("user", "/metadata/get"),
    question("developer", "/detokenize"),
    question("developer", "/metadata/get"),
];

const fn question(subject: &'static str, route: &'static str) -> Question {
    Question { subject, route }
}

impl Question {
    /// A developer needs no grant for metadata, so that a token of another session is no refusal.
    fn refuses(self, kind: Kind) -> bool {
        kind != Kind::NotGranted || self != QUESTIONS[3]
    }
}

/// One call that is to be made.
struct Call {
    question: usize,
    kind: Kind,
    token: usize,
}

/// One call that was made.
struct Sample {
    question: Question,
    kind: Kind,
    /// No call in this process of the vault asked for the token before.
    first: bool,
    ns: u32,
}

/// Prepares the tokens and asks for them; `None` where there is no libfaketime, without which
/// deleted tokens would take hours to make.
pub(crate) async fn refusals(
    settings: &Settings,
    durability: Durability,
) -> anyhow::Result<Option<Refusals>> {
    let word = durability.as_str();
    let Some(library) = tokens::faketime_library() else {
        out::note("refusals: skipped, libfaketime is not installed");
        return Ok(None);
    };
    out::note(&format!("refusals, audit {word}"));
    let workspace = Workspace::create(settings, &format!("refusals-{word}"))?;
    let directory = workspace.path.join("vault");
    let vault = Vault::init(settings, directory, Some(durability))?;
    let each = settings.calls.div_ceil(ASKED_EACH);
    let tokens = tokens::prepare(settings, &vault, &workspace.path, &library, each).await?;
    // Started anew and with no override, so that no token's record is in memory.
    let server = vault.start(&workspace.path)?;
    let mut client = Client::connect(server.address("api")?)?;
    let samples = ask_all(&vault, &mut client, &tokens, plan(settings.calls, each)?)?;
    server.stop()?;
    let setting = format!("audit {word}, {each} tokens of each kind, one client");
    Ok(Some(figures::figures(setting, &samples)))
}

/// Every question `calls` times with every kind of token, in random order.
fn plan(calls: usize, tokens: usize) -> anyhow::Result<Vec<Call>> {
    let mut plan = Vec::with_capacity(calls * QUESTIONS.len() * Kind::ALL.len());
    for (question, asked) in QUESTIONS.into_iter().enumerate() {
        for kind in Kind::ALL.into_iter().filter(|kind| asked.refuses(*kind)) {
            plan.extend((0..calls).map(|call| Call {
                question,
                kind,
                token: call % tokens,
            }));
        }
    }
    shuffle(&mut plan)?;
    Ok(plan)
}

/// Fisher and Yates, with 64 bits for each draw, which makes the bias negligible.
fn shuffle(plan: &mut [Call]) -> anyhow::Result<()> {
    for last in (1..plan.len()).rev() {
        let mut bytes = [0; 8];
        rand::fill(&mut bytes).ok().context("no randomness")?;
        let drawn = u64::from_le_bytes(bytes) % (last as u64 + 1);
        plan.swap(last, usize::try_from(drawn)?);
    }
    Ok(())
}

fn ask_all(
    vault: &Vault,
    client: &mut Client,
    tokens: &Tokens,
    plan: Vec<Call>,
) -> anyhow::Result<Vec<Sample>> {
    let mut sessions = mint(vault)?;
    let mut seen = HashSet::new();
    // Headers name the session, so each of the two callers has an answer of its own.
    let mut expected: [Option<Answer>; 2] = [None, None];
    let mut samples = Vec::with_capacity(plan.len());
    for call in plan {
        if sessions.iter().any(Sessions::is_old) {
            sessions = mint(vault)?;
        }
        let question = QUESTIONS[call.question];
        let jwt = &sessions[call.question / 2].jwts[0];
        let token = &tokens.of(call.kind)[call.token];
        let body = format!(r#"{{"tokenId":"{token}"}}"#);
        let request = vault::post(question.route, client.address, jwt, &body);
        let (answer, ns) = client.call(&request)?;
        let kind = call.kind;
        if answer.status != 404 {
            bail!("{question:?}, {kind:?}: {}", answer.brief());
        }
        let wanted = expected[call.question / 2].get_or_insert_with(|| answer.clone());
        if answer != *wanted {
            let (first, this) = (wanted.brief(), answer.brief());
            bail!("{question:?}, {kind:?}: not the one answer: {first}\nbut {this}");
        }
        let first = seen.insert(token.as_str());
        samples.push(Sample {
            question,
            kind,
            first,
            ns,
        });
    }
    Ok(samples)
}

/// One session of a user and one of a developer, in the order of the questions.
fn mint(vault: &Vault) -> anyhow::Result<[Sessions; 2]> {
    let mint = |subject| vault.sessions_at(subject, 1, clock::unix_s());
    Ok([mint("user")?, mint("developer")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_asked_as_often_as_every_other() {
        let plan = plan(20, 2).unwrap();
        for (index, question) in QUESTIONS.into_iter().enumerate() {
            for kind in Kind::ALL {
                let calls = plan
                    .iter()
                    .filter(|call| call.question == index && call.kind == kind);
                let wanted = if question.refuses(kind) { 20 } else { 0 };
                assert_eq!(calls.count(), wanted, "{question:?} {kind:?}");
            }
        }
    }
}
