//! The connection loop: accept, shake hands, serve, and drain when the vault stops.

mod crowd;
mod exchange;

pub(crate) use exchange::Unreadable;

use crate::tls::Tls;
use axum::body::Body;
use axum::response::Response;
use crowd::{Clients, Handshakes, Place};
use exchange::{Exchange, Pace, Phase};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use strongroom_api::{ClientNetwork, Connection, Proxies};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt};

/// How long to wait after accepting failed, as it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Limits of one listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Longest time for a TLS handshake.
    pub(crate) handshake_time_max: Duration,
    /// TLS handshakes at a time.
    pub(crate) handshakes_max: usize,
    /// Longest time from a connection's start, or a header's first byte, to its end.
    pub(crate) header_time_max: Duration,
    /// Most bytes of a request's header.
    pub(crate) header_bytes_max: usize,
    /// Longest silence between an answer and the next request.
    pub(crate) idle_max: Duration,
    /// Longest time that a client may read nothing while an answer waits.
    pub(crate) write_idle_max: Duration,
    /// Most bytes that a connection reads ahead, a header included.
    pub(crate) read_ahead_bytes: usize,
    /// Connections at a time; more wait in the kernel's queue.
    pub(crate) connections_max: usize,
    /// Of these, connections of one client network; more are closed. Trusted proxies and this
    /// machine itself are not counted.
    pub(crate) connections_per_client_max: usize,
}

/// Whose connections are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peers {
    /// Everybody's.
    All,
    /// Those of trusted proxies: what is spoken here could be read on its way.
    Proxies,
}

/// One listener.
pub(crate) struct Door {
    pub(crate) tcp: TcpListener,
    pub(crate) tls: Option<Tls>,
    pub(crate) limits: Limits,
    pub(crate) proxies: Proxies,
    pub(crate) peers: Peers,
    /// Gives a body to the refusals that the HTTP library makes by itself; without it they have
    /// none.
    pub(crate) unreadable: Option<Unreadable>,
}

/// Binds, and says which address it got.
pub(crate) async fn bind(listen: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// What a connection is served with, beside its stream.
struct Seat<S> {
    service: S,
    limits: Limits,
    handshakes: Handshakes,
    unreadable: Option<Unreadable>,
    stop: watch::Receiver<bool>,
}

/// Accepts until `stop` turns true, over TLS if there is one. Connections run on in `connections`;
/// each is served by what `open` makes for it.
pub(crate) async fn accept<S>(
    door: Door,
    open: impl Fn(Connection) -> S,
    mut stop: watch::Receiver<bool>,
    connections: TaskTracker,
) where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let limits = door.limits;
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let clients = Clients::new(limits.connections_per_client_max);
    let handshakes = Handshakes::new(limits.handshakes_max);
    loop {
        let next = async {
            // The semaphore is never closed.
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, door.tcp.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            () = stopped(&mut stop) => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = door.connection(address);
        let Some(place) = door.place(&clients, connection) else {
            continue;
        };
        let seat = Seat {
            service: open(connection),
            limits,
            handshakes: handshakes.clone(),
            unreadable: door.unreadable.clone(),
            stop: stop.clone(),
        };
        let tls = door.tls.as_ref().map(|tls| tls.borrow().clone());
        connections.spawn(async move {
            serve(stream, tls, seat).await;
            drop((slot, place));
        });
    }
}

impl Door {
    fn connection(&self, address: SocketAddr) -> Connection {
        let peer: IpAddr = address.ip().to_canonical();
        Connection {
            peer,
            proxied: self.proxies.trust(peer),
            tls: self.tls.is_some(),
        }
    }

    /// Where a connection is counted, if it may stay.
    fn place(&self, clients: &Clients, connection: Connection) -> Option<Place> {
        if connection.proxied {
            return Some(Place::uncounted());
        }
        let network = ClientNetwork::of(connection.peer);
        if self.peers == Peers::Proxies {
            tracing::debug!(%network, "closed: only trusted proxies speak plain HTTP here");
            return None;
        }
        if connection.peer.is_loopback() {
            return Some(Place::uncounted());
        }
        let place = clients.enter(network);
        if place.is_none() {
            tracing::debug!(%network, "closed: connections_per_client_max are open");
        }
        place
    }
}

/// The handshake is part of it, so that a slow one keeps nobody else from being accepted.
async fn serve<S>(stream: TcpStream, tls: Option<TlsAcceptor>, mut seat: Seat<S>)
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    // Answers are single writes; waiting to fill a segment only delays them.
    let _ = stream.set_nodelay(true);
    let mut stream = Box::pin(TimeoutStream::new(stream));
    stream
        .as_mut()
        .set_write_timeout_pinned(Some(seat.limits.write_idle_max));
    let Some(tls) = tls else {
        return speak(stream, seat).await;
    };
    let handshake = seat.handshakes.begin();
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(seat.limits.handshake_time_max, tls.accept(stream)) => shaken,
        () = handshake.given_up() => {
            return tracing::debug!("closed: more than handshakes_max TLS handshakes are under way");
        }
        () = stopped(&mut seat.stop) => return,
    };
    drop(handshake);
    match shaken {
        Ok(Ok(stream)) => speak(stream, seat).await,
        // Scanners and clients without TLS come all day.
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took longer than handshake_time_max"),
    }
}

async fn speak<S>(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, seat: Seat<S>)
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let Seat {
        service,
        limits,
        unreadable,
        mut stop,
        ..
    } = seat;
    let phase = Phase::new();
    let pace = Pace {
        header_time_max: limits.header_time_max,
        idle_max: limits.idle_max,
    };
    let stream = Exchange::new(stream, phase.clone(), pace, unreadable, stop.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        phase.serving();
        let answering = service.clone().oneshot(request.map(Body::new));
        let phase = phase.clone();
        async move {
            let Ok(response) = answering.await;
            Ok::<_, Infallible>(response.map(|body| phase.answer(body)))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // The stream has limits of its own, which are looked at when something is read; this one
        // makes the library read when it has answered.
        .header_read_timeout(limits.idle_max + limits.header_time_max)
        .max_header_size(limits.header_bytes_max)
        .max_buf_size(limits.read_ahead_bytes)
        .serve_connection(TokioIo::new(stream), service);
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
