//! The connection loop: accept, shake hands, serve, and drain when the vault stops.

use crate::tls::Tls;
use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// How long to wait after accepting failed, as it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Limits of one listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Longest time from a connection's first byte, or its last answer, to a whole header; a TLS
    /// handshake before that may take as long.
    pub(crate) header_time_max: Duration,
    /// Longest time that a client may read nothing while an answer waits.
    pub(crate) write_idle_max: Duration,
    /// Most bytes of a request's header, and of what a connection reads ahead.
    pub(crate) read_ahead_bytes: usize,
    /// Connections at a time; more wait in the kernel's queue.
    pub(crate) connections_max: usize,
}

/// Binds, and says which address it got.
pub(crate) async fn bind(listen: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Accepts until `stop` turns true, over TLS if there is one. Connections run on in `connections`.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
    connections: TaskTracker,
) {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    loop {
        let next = async {
            // The semaphore is never closed.
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            () = stopped(&mut stop) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let tls = tls.as_ref().map(|tls| tls.borrow().clone());
                let serving = serve(stream, tls, router.clone(), limits, stop.clone());
                connections.spawn(async move {
                    serving.await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The handshake is part of it, so that a slow one keeps nobody else from being accepted.
async fn serve(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    // Answers are single writes; waiting to fill a segment only delays them.
    let _ = stream.set_nodelay(true);
    let mut stream = Box::pin(TimeoutStream::new(stream));
    stream
        .as_mut()
        .set_write_timeout_pinned(Some(limits.write_idle_max));
    let Some(tls) = tls else {
        return speak(stream, router, limits, stop).await;
    };
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(limits.header_time_max, tls.accept(stream)) => shaken,
        () = stopped(&mut stop) => return,
    };
    match shaken {
        Ok(Ok(stream)) => speak(stream, router, limits, stop).await,
        // Scanners and clients without TLS come all day.
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took longer than header_time_max"),
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let service = router.map_request(|request: Request<Incoming>| request.map(Body::new));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time_max)
        .max_buf_size(limits.read_ahead_bytes)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients cut connections all day, and an object that fails authentication cuts its own.
        tracing::debug!(%error, "connection ended early");
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is the end as well.
    let _ = stop.wait_for(|stop| *stop).await;
}
