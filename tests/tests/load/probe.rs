//! Somebody else, who asks for `/health` over new connections while a crowd is at work.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use strongroom_tests::{Authority, Request};

/// Between two questions, so that the probe itself is no load.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks until it is stopped.
pub(crate) struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(usize, Vec<String>)>,
}

impl Probe {
    /// Starts to ask, over TLS if there is an authority. The harness waits 30 s for an answer; one
    /// that does not come is counted as none.
    pub(crate) fn start(to: SocketAddr, authority: Option<Arc<Authority>>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let ask = move || {
            let request = Request::new("GET", "/health");
            let answer = match &authority {
                None => request.try_send(to),
                Some(authority) => authority
                    .connect(to)
                    .and_then(|mut stream| request.try_send_over(&mut stream, to)),
            };
            match answer {
                Ok(answer) if answer.status == 200 && answer.whole => Ok(()),
                Ok(answer) => Err(format!("{} {}", answer.status, answer.text())),
                Err(error) => Err(error.to_string()),
            }
        };
        let thread = std::thread::spawn(move || {
            let (mut answered, mut failed) = (0, Vec::new());
            while !stopped.load(Ordering::Relaxed) {
                match ask() {
                    Ok(()) => answered += 1,
                    Err(said) => failed.push(said),
                }
                std::thread::sleep(PAUSE);
            }
            (answered, failed)
        });
        Self { stop, thread }
    }

    /// Stops; panics unless everything was answered, and something was asked.
    pub(crate) fn all_answered(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (answered, failed) = self.thread.join().unwrap();
        assert_eq!(failed, [""; 0], "beside {answered} answers");
        assert!(answered > 0);
    }
}
