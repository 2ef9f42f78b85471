//! Many connections from one thread: connecting, sending bytes, reading answers one by one.

use rustls::pki_types::ServerName;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use strongroom_tests::{Answer, Authority};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Connections from one address of this machine, so that ports do not run short.
const PER_ADDRESS: usize = 100;
/// Members that connect at a time, below what the kernel queues and below `handshakes_max`.
const AT_ONCE: usize = 256;

/// What a connection reads and writes, with TLS or without.
pub(crate) trait Link: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Link for T {}

/// One connection.
pub(crate) type Stream = Box<dyn Link>;

/// Who connects, and where to.
#[derive(Clone)]
pub(crate) struct Crowd {
    to: SocketAddr,
    tls: Option<TlsConnector>,
    connecting: Arc<Semaphore>,
}

impl Crowd {
    /// Over plain HTTP.
    pub(crate) fn plain(to: SocketAddr) -> Self {
        Self::new(to, None)
    }

    /// Over TLS.
    pub(crate) fn tls(to: SocketAddr, authority: &Authority) -> Self {
        let mut client = authority.client(rustls::ALL_VERSIONS);
        // Each is a stranger.
        client.resumption = rustls::client::Resumption::disabled();
        Self::new(to, Some(TlsConnector::from(Arc::new(client))))
    }

    fn new(to: SocketAddr, tls: Option<TlsConnector>) -> Self {
        let connecting = Arc::new(Semaphore::new(AT_ONCE));
        Self {
            to,
            tls,
            connecting,
        }
    }

    /// Where it connects to.
    pub(crate) fn to(&self) -> SocketAddr {
        self.to
    }

    /// A TCP connection of the member with this number.
    pub(crate) async fn tcp(&self, member: usize) -> io::Result<TcpStream> {
        self.tcp_with(member, None).await
    }

    /// The same with a receive buffer of this size.
    pub(crate) async fn tcp_with(
        &self,
        member: usize,
        receive: Option<u32>,
    ) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = receive {
            socket.set_recv_buffer_size(bytes)?;
        }
        let host = u8::try_from(member / PER_ADDRESS).expect("a crowd of this size");
        socket.bind((Ipv4Addr::new(127, 1, host, 1), 0).into())?;
        let stream = socket.connect(self.to).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// A connection that HTTP can be spoken over.
    pub(crate) async fn connect(&self, member: usize) -> io::Result<Stream> {
        // More would overrun the listener's queue, whose limits are not what is tested.
        let _turn = self.connecting.acquire().await.expect("it is never closed");
        self.wrap(self.tcp(member).await?).await
    }

    /// Shakes hands, if it speaks TLS.
    pub(crate) async fn wrap(&self, stream: TcpStream) -> io::Result<Stream> {
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::from(self.to.ip());
        Ok(Box::new(tls.connect(name, stream).await?))
    }

    /// What all members come back with, in no order, some of them at work at a time.
    pub(crate) async fn each<T, W>(&self, members: usize, work: impl Fn(Self, usize) -> W) -> Vec<T>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        self.each_of(members, AT_ONCE, work).await
    }

    /// The same with all of them at work at once.
    pub(crate) async fn all<T, W>(&self, members: usize, work: impl Fn(Self, usize) -> W) -> Vec<T>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        self.each_of(members, members, work).await
    }

    /// The same with so many of them at work at a time.
    pub(crate) async fn each_of<T, W>(
        &self,
        members: usize,
        at_once: usize,
        work: impl Fn(Self, usize) -> W,
    ) -> Vec<T>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        let mut back = Vec::with_capacity(members);
        for member in 0..members {
            if tasks.len() == at_once {
                back.push(tasks.join_next().await.unwrap().unwrap());
            }
            tasks.spawn(work(self.clone(), member));
        }
        back.extend(tasks.join_all().await);
        back
    }
}

/// Sends a request and reads its answer; the connection stays open.
pub(crate) async fn exchange(stream: &mut Stream, request: &[u8]) -> io::Result<Answer> {
    stream.write_all(request).await?;
    stream.flush().await?;
    answer(stream).await
}

/// Reads one answer by its length.
pub(crate) async fn answer(stream: &mut Stream) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    loop {
        if let Some(whole) = whole(&bytes)? {
            return Ok(whole);
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn whole(bytes: &[u8]) -> io::Result<Option<Answer>> {
    if !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        return Ok(None);
    }
    let answer = Answer::read(&mut &*bytes, false)?;
    Ok(answer.whole.then_some(answer))
}

/// All that comes until the connection ends, whichever way it does.
pub(crate) async fn until_ended(stream: &mut Stream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut bytes).await {}
    bytes
}

/// A POST of JSON that leaves the connection open.
pub(crate) fn post(to: SocketAddr, route: &str, jwt: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {route} HTTP/1.1\r\nhost: {to}\r\nauthorization: {jwt}\r\ncontent-length: {}\r\n\r\n\
         {body}",
        body.len()
    )
    .into_bytes()
}

/// A GET without credentials that leaves the connection open.
pub(crate) fn get(to: SocketAddr, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: {to}\r\n\r\n").into_bytes()
}
