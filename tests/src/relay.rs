//! Stands between our daemon and its server on loopback: hears what the daemon sends, can lead it elsewhere, and is
//! as bad a network as it is told to be.

use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use device_proto::frame::{Auth, Message, Packet, Sender};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::WebSocket;
use tokio_tungstenite::tungstenite::protocol::Role;
use url::Url;

/// How the request for a WebSocket begins.
const SOCKET: &[u8] = b"GET /sync/device ";

const HEAD_END: &[u8] = b"\r\n\r\n";

/// Longest request head that is read, bytes.
const HEAD_MAX: usize = 16 * 1024;

/// How the network between a daemon and its server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// As it should be.
    Good,
    /// Every piece takes that long on its way.
    Slow(Duration),
    /// Nothing gets through, and neither end is told.
    Silent,
    /// Every connection breaks, also a new one.
    Cut,
}

/// A relay; it ends, with all its connections, when it is dropped.
pub struct Relay {
    /// Where a daemon finds the server, `http://127.0.0.1:PORT`.
    pub url: String,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

struct Shared {
    /// Where everything but WebSockets leads.
    server: String,
    /// Where WebSockets lead.
    sockets: Mutex<String>,
    /// What was sent over each WebSocket's connection, the oldest first.
    heard: Mutex<Vec<Recording>>,
    network: watch::Sender<Network>,
    /// How often all connections were forgotten.
    forgotten: watch::Sender<u32>,
}

type Recording = Arc<Mutex<Vec<u8>>>;

impl Relay {
    /// Starts a relay to a server of ours, or to whatever else answers at that URL.
    pub async fn start(server: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let server = authority(server)?;
        let shared = Arc::new(Shared {
            sockets: Mutex::new(server.clone()),
            server,
            heard: Mutex::default(),
            network: watch::Sender::new(Network::Good),
            forgotten: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self {
            url,
            shared,
            accepting,
        })
    }

    /// Leads WebSockets to another server from now on.
    pub fn sockets_to(&self, server: &str) -> Result<()> {
        *lock(&self.shared.sockets) = authority(server)?;
        Ok(())
    }

    /// Makes the network so from now on.
    pub fn set(&self, network: Network) {
        self.shared.network.send_replace(network);
    }

    /// Forgets the connections that there are, as a router does that restarts: both ends believe in them and never hear
    /// from each other again.
    pub fn forget_connections(&self) {
        self.shared.forgotten.send_modify(|times| *times += 1);
    }

    /// Returns how many WebSockets there have been.
    pub fn sockets(&self) -> usize {
        lock(&self.shared.heard).len()
    }

    /// Returns the challenge that the daemon proved on its latest WebSocket.
    pub fn challenge(&self) -> Option<String> {
        let heard = lock(&self.shared.heard).last().cloned()?;
        let bytes = lock(&heard).clone();
        let (_, body) = split_head(&bytes)?;
        let mut socket = WebSocket::from_raw_socket(Cursor::new(body.to_vec()), Role::Server, None);
        let message = socket.read().ok()?.into_data();
        match Packet::decode(&message, Sender::Device).ok()? {
            Packet::Frame(frame) => match frame.message {
                Message::Auth(Auth::Token { token, .. }) => Some(token.expose().to_owned()),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // Whatever goes wrong ends this connection, which both ends notice.
        connections.spawn(serve(stream, Arc::clone(&shared)));
    }
}

async fn serve(device: TcpStream, shared: Arc<Shared>) -> Result<()> {
    // What breaks, breaks at once: with a reset, not with an end in good order.
    device.set_zero_linger()?;
    let mut network = shared.network.subscribe();
    tokio::select! {
        done = connect(device, &shared) => done,
        _ = network.wait_for(|network| *network == Network::Cut) => Ok(()),
    }
}

async fn connect(mut device: TcpStream, shared: &Shared) -> Result<()> {
    let mut way = Way::new(shared);
    let first = read_head(&mut device).await?;
    let is_socket = first.starts_with(SOCKET);
    let target = if is_socket {
        lock(&shared.sockets).clone()
    } else {
        shared.server.clone()
    };
    way.pass().await;
    let mut server = TcpStream::connect(target).await?;
    server.write_all(&first).await?;
    let heard = Arc::new(Mutex::new(first));
    if is_socket {
        lock(&shared.heard).push(Arc::clone(&heard));
    }
    let ((from_device, to_device), (from_server, to_server)) = (device.split(), server.split());
    tokio::select! {
        done = lead(from_device, to_server, way.clone(), |piece| lock(&heard).extend_from_slice(piece)) => done,
        done = lead(from_server, to_device, way.clone(), |_| ()) => done,
    }
}

async fn read_head(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    while split_head(&head).is_none() {
        ensure!(head.len() < HEAD_MAX, "a request without end");
        ensure!(stream.read_buf(&mut head).await? > 0, "the daemon hung up");
    }
    Ok(head)
}

/// Leads bytes one way until they end.
async fn lead(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut way: Way,
    mut hear: impl FnMut(&[u8]),
) -> Result<()> {
    let mut piece = [0; 4096];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        hear(&piece[..length]);
        way.pass().await;
        to.write_all(&piece[..length]).await?;
    }
}

/// One connection's way through the network.
#[derive(Clone)]
struct Way {
    network: watch::Receiver<Network>,
    forgotten: watch::Receiver<u32>,
}

impl Way {
    fn new(shared: &Shared) -> Self {
        Self {
            network: shared.network.subscribe(),
            forgotten: shared.forgotten.subscribe(),
        }
    }

    /// Returns when a piece has got through. Over a connection that was forgotten nothing does.
    async fn pass(&mut self) {
        let network = *self.network.borrow();
        if let Network::Slow(time) = network {
            sleep(time).await;
        }
        let speaks = |network: &Network| *network != Network::Silent;
        let _relay_is_gone = self.network.wait_for(speaks).await.is_err();
        if self.forgotten.has_changed().unwrap_or(true) {
            std::future::pending::<()>().await;
        }
    }
}

fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes
        .windows(HEAD_END.len())
        .position(|window| window == HEAD_END)?;
    Some(bytes.split_at(end + HEAD_END.len()))
}

/// The `HOST:PORT` of a URL.
fn authority(url: &str) -> Result<String> {
    let url = Url::parse(url)?;
    let host = url.host_str().context("a host")?;
    let port = url.port_or_known_default().context("a port")?;
    Ok(format!("{host}:{port}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::{PATIENCE, until};
    use tokio::time::timeout;

    /// A connection through a relay to a server that echoes.
    async fn echoed() -> (Relay, TcpStream) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Relay::start(&format!("http://{}", server.local_addr().unwrap()))
            .await
            .unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        let mut stream = TcpStream::connect(authority(&relay.url).unwrap()).await.unwrap();
        assert_eq!(echo(&mut stream, HEAD_END).await, Some(HEAD_END.len()));
        (relay, stream)
    }

    /// Returns how many bytes come back; `None` when the connection broke.
    async fn echo(stream: &mut TcpStream, bytes: &[u8]) -> Option<usize> {
        stream.write_all(bytes).await.ok()?;
        stream
            .read(&mut vec![0; bytes.len()])
            .await
            .ok()
            .filter(|&length| length > 0)
    }

    /// What has not arrived after this long is not on its way.
    const SILENCE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn what_was_held_back_comes_when_the_network_is_good_again() {
        let (relay, mut stream) = echoed().await;
        relay.set(Network::Silent);
        assert!(timeout(SILENCE, echo(&mut stream, b"x")).await.is_err());
        relay.set(Network::Slow(SILENCE));
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_cut_breaks_every_connection_also_a_new_one() {
        let (relay, mut stream) = echoed().await;
        relay.set(Network::Cut);
        assert_eq!(echo(&mut stream, b"x").await, None);
        let mut stream = TcpStream::connect(authority(&relay.url).unwrap()).await.unwrap();
        assert_eq!(echo(&mut stream, HEAD_END).await, None);
        relay.set(Network::Good);
        until("a connection", PATIENCE, async || {
            let mut stream = TcpStream::connect(authority(&relay.url).ok()?).await.ok()?;
            echo(&mut stream, HEAD_END).await
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn what_was_forgotten_stays_open_and_says_nothing() {
        let (relay, mut stream) = echoed().await;
        relay.forget_connections();
        assert!(timeout(SILENCE, echo(&mut stream, b"x")).await.is_err());
        let mut stream = TcpStream::connect(authority(&relay.url).unwrap()).await.unwrap();
        assert_eq!(echo(&mut stream, HEAD_END).await, Some(HEAD_END.len()));
    }
}
