//! Futures for code that is not async: opening the store, and sweeping it.

use std::future::Future;
use std::io;
use std::thread;

/// Runs a future to its end, on a thread of its own: also within an async runtime.
pub(crate) fn wait<T: Send>(future: impl Future<Output = T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let done = scope.spawn(|| Ok(runtime()?.block_on(future))).join();
        done.map_err(|_| io::Error::other("a thread failed"))?
    })
}

/// A runtime for one thread.
pub(crate) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_future_runs_to_its_end_within_a_runtime_too() {
        assert_eq!(wait(async { 7 }).unwrap(), 7);
    }
}
