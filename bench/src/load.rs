//! A closed-loop load generator: each connection sends its next request when the last answer
//! is there.
//!
//! Requests are bytes made beforehand and answers are hardly parsed, so that the generator
//! takes as little as possible from the cores that it shares with the server. It knows HTTP
//! and no vault.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use crate::stats::{float, percentile};
use crate::{answer, clock, proc};

/// Longest head plus body that a connection reads into one buffer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// What one connection sends, over and over.
pub(crate) type Lane = Rc<Vec<Vec<u8>>>;

/// A server under load, with one lane for each connection.
pub(crate) struct Target {
    /// The process whose CPU time counts.
    pub(crate) pid: u32,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What is sent.
    pub(crate) lanes: Vec<Lane>,
}

/// What came of a fixed number of requests.
pub(crate) struct Outcome {
    /// Answers with status 200.
    pub(crate) ok: u64,
    /// Seconds that it took.
    pub(crate) seconds: f64,
    /// For each lane the collected member of its answers.
    pub(crate) collected: Vec<Vec<String>>,
}

/// What one timed round measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Round {
    /// Answers with status 200 within the round.
    pub(crate) answered: u64,
    /// The server's CPU time per answer, in microseconds.
    pub(crate) cpu_us_per_request: f64,
    /// Answers per second.
    pub(crate) requests_per_s: f64,
    /// Median latency in microseconds.
    pub(crate) p50_us: u32,
    /// 99th percentile of the latency in microseconds.
    pub(crate) p99_us: u32,
    /// Cores that neither server nor generator used but somebody else did.
    pub(crate) other_cores: f64,
    /// Other answers, from warm-up to end; one of them voids the round.
    pub(crate) not_ok: u64,
    /// What the first of those said.
    pub(crate) first_not_ok: Option<String>,
}

/// Sends `total` requests and fails unless every answer is 200. With `member`, collects that
/// text from each answer.
pub(crate) async fn exactly(
    target: &Target,
    total: u64,
    member: Option<&'static str>,
) -> anyhow::Result<Outcome> {
    counted(target, State::new(target.lanes.len(), total, member)).await
}

/// Sends each request of each lane once and fails unless every answer is 200.
pub(crate) async fn each_once(target: &Target) -> anyhow::Result<Outcome> {
    let total: usize = target.lanes.iter().map(|lane| lane.len()).sum();
    let state = State {
        turns: 1,
        ..State::new(target.lanes.len(), total as u64, None)
    };
    counted(target, state).await
}

async fn counted(target: &Target, state: State) -> anyhow::Result<Outcome> {
    let (state, start) = (Rc::new(state), clock::now());
    let tasks = LocalSet::new();
    tasks
        .run_until(async { all_lanes(target, &state).await })
        .await?;
    if let Some(said) = state.first_not_ok.take() {
        bail!(
            "{} requests failed, the first with: {said}",
            state.not_ok.get()
        );
    }
    Ok(Outcome {
        ok: state.ok.get(),
        seconds: start.elapsed().as_secs_f64(),
        collected: state.collected.take(),
    })
}

/// Loads the server for `warm_up` and then measures for `measured`.
pub(crate) async fn round(
    target: &Target,
    warm_up: Duration,
    measured: Duration,
) -> anyhow::Result<Round> {
    let state = Rc::new(State::new(target.lanes.len(), u64::MAX, None));
    let tasks = LocalSet::new();
    let measure = async {
        let readings = first_and_last(target.pid, &state, warm_up, measured).await;
        // Also after a failure: the lanes must end.
        state.left.set(0);
        readings
    };
    let both = async { tokio::join!(all_lanes(target, &state), measure) };
    let (lanes, readings) = tasks.run_until(both).await;
    lanes?;
    let (first, last) = readings?;
    Ok(evaluate(&first, &last, &state))
}

async fn first_and_last(
    pid: u32,
    state: &State,
    warm_up: Duration,
    measured: Duration,
) -> anyhow::Result<(Reading, Reading)> {
    tokio::time::sleep(warm_up).await;
    let first = Reading::take(pid, state)?;
    tokio::time::sleep(measured).await;
    Ok((first, Reading::take(pid, state)?))
}

/// Counters at one instant.
struct Reading {
    at: Instant,
    server_us: u64,
    own_us: u64,
    machine_us: u64,
    ok: u64,
    latencies: usize,
}

impl Reading {
    fn take(pid: u32, state: &State) -> anyhow::Result<Self> {
        Ok(Self {
            at: clock::now(),
            server_us: proc::cpu_us(pid)?,
            own_us: proc::cpu_us(std::process::id())?,
            machine_us: proc::machine_busy_us()?,
            ok: state.ok.get(),
            latencies: state.latencies.borrow().len(),
        })
    }
}

fn evaluate(first: &Reading, last: &Reading, state: &State) -> Round {
    let seconds = (last.at - first.at).as_secs_f64();
    let answered = last.ok - first.ok;
    let server_us = last.server_us - first.server_us;
    let ours_us = server_us + last.own_us - first.own_us;
    let others_us = (last.machine_us - first.machine_us).saturating_sub(ours_us);
    let all = state.latencies.borrow();
    let mut latencies = all[first.latencies..last.latencies].to_vec();
    latencies.sort_unstable();
    Round {
        answered,
        cpu_us_per_request: float(server_us) / float(answered.max(1)),
        requests_per_s: float(answered) / seconds,
        p50_us: percentile(&latencies, 500),
        p99_us: percentile(&latencies, 990),
        other_cores: float(others_us) / 1e6 / seconds,
        not_ok: state.not_ok.get(),
        first_not_ok: state.first_not_ok.take(),
    }
}

/// What the lanes of one load share; all on one thread.
struct State {
    left: Cell<u64>,
    /// How often a lane may send all of its requests.
    turns: usize,
    ok: Cell<u64>,
    not_ok: Cell<u64>,
    first_not_ok: RefCell<Option<String>>,
    latencies: RefCell<Vec<u32>>,
    member: Option<&'static str>,
    collected: RefCell<Vec<Vec<String>>>,
}

impl State {
    fn new(lanes: usize, left: u64, member: Option<&'static str>) -> Self {
        Self {
            left: Cell::new(left),
            turns: usize::MAX,
            ok: Cell::new(0),
            not_ok: Cell::new(0),
            first_not_ok: RefCell::new(None),
            latencies: RefCell::new(Vec::with_capacity(1 << 18)),
            member,
            collected: RefCell::new(vec![Vec::new(); lanes]),
        }
    }

    /// Takes one of the requests that are left to send.
    fn take(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }

    fn note_failure(&self, said: String) {
        self.not_ok.set(self.not_ok.get() + 1);
        self.first_not_ok.borrow_mut().get_or_insert(said);
    }

    fn note_answer(&self, lane: usize, status: u16, body: &[u8], since: Instant) {
        // 204 is how the peer acknowledges.
        if !matches!(status, 200 | 204) {
            let said = String::from_utf8_lossy(&body[..body.len().min(300)]);
            return self.note_failure(format!("{status} {said}"));
        }
        self.ok.set(self.ok.get() + 1);
        let us = u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX);
        self.latencies.borrow_mut().push(us);
        if let Some(member) = self.member {
            match answer::text_member(body, member) {
                Some(text) => self.collected.borrow_mut()[lane].push(text.to_owned()),
                None => self.note_failure(format!("the answer has no {member}")),
            }
        }
    }
}

async fn all_lanes(target: &Target, state: &Rc<State>) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for (index, lane) in target.lanes.iter().enumerate() {
        let (state, requests) = (Rc::clone(state), Rc::clone(lane));
        let address = target.address;
        tasks.spawn_local(async move {
            if let Err(error) = drive(index, address, &requests, &state).await {
                state.note_failure(format!("{error:#}"));
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.context("a connection's task ended badly")?;
    }
    Ok(())
}

async fn drive(
    lane: usize,
    address: SocketAddr,
    requests: &[Vec<u8>],
    state: &State,
) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address)
        .await
        .context("cannot connect")?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(16 * 1024);
    let most = requests.len().saturating_mul(state.turns);
    for request in requests.iter().cycle().take(most) {
        if !state.take() {
            break;
        }
        let since = clock::now();
        stream.write_all(request).await?;
        let (status, body_starts) = receive(&mut stream, &mut buffer).await?;
        state.note_answer(lane, status, &buffer[body_starts..], since);
    }
    Ok(())
}

/// Reads one answer into `buffer`; gives its status and where its body starts.
async fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<(u16, usize)> {
    buffer.clear();
    let mut wanted = None;
    loop {
        if stream.read_buf(buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        if wanted.is_none() {
            wanted = answer::head(buffer)?;
        }
        if let Some(head) = &wanted {
            let body_bytes = usize::try_from(head.body_bytes)?;
            if buffer.len() >= head.body_starts + body_bytes {
                return Ok((head.status, head.body_starts));
            }
        }
        if buffer.len() > ANSWER_BYTES_MAX {
            bail!("the answer is longer than {ANSWER_BYTES_MAX} bytes");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server that gives `answers` in turn, one per read, on one connection.
    async fn scripted(answers: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            for answer in answers.iter().cycle() {
                if stream.read(&mut buffer).await.unwrap_or(0) == 0 {
                    return;
                }
                stream.write_all(answer.as_bytes()).await.ok();
            }
        });
        address
    }

    fn target(address: SocketAddr) -> Target {
        Target {
            pid: std::process::id(),
            address,
            lanes: vec![Rc::new(vec![b"GET / HTTP/1.1\r\n\r\n".to_vec()])],
        }
    }

    const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"tokenId\":\"t\"}";
    const BAD: &str = "HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\noops";

    #[tokio::test]
    async fn exactly_sends_that_many_and_collects_the_member() {
        let target = target(scripted(&[GOOD]).await);
        let outcome = exactly(&target, 3, Some("tokenId")).await.unwrap();
        assert_eq!(outcome.ok, 3);
        assert_eq!(outcome.collected, [["t", "t", "t"]]);
    }

    #[tokio::test]
    async fn each_once_sends_no_request_again() {
        let mut target = target(scripted(&[GOOD]).await);
        target.lanes = vec![Rc::new(vec![b"GET / HTTP/1.1\r\n\r\n".to_vec(); 2])];
        assert_eq!(each_once(&target).await.unwrap().ok, 2);
    }

    #[tokio::test]
    async fn one_other_answer_fails_a_fixed_number_of_requests() {
        let target = target(scripted(&[GOOD, BAD]).await);
        let error = exactly(&target, 3, None).await.err().unwrap().to_string();
        assert!(error.contains("500 oops"), "{error}");
    }

    #[tokio::test]
    async fn a_round_counts_answers_and_reports_the_other_ones() {
        let target = target(scripted(&[GOOD, BAD]).await);
        let short = Duration::from_millis(50);
        let round = round(&target, short, short).await.unwrap();
        assert!(round.answered > 0 && round.not_ok > 0);
        assert_eq!(round.first_not_ok.as_deref(), Some("500 oops"));
    }
}
