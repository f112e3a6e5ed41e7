//! Stands between our daemon and its server on loopback: hears what the daemon sends, and can lead it elsewhere.

use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use device_proto::frame::{Auth, Message, Packet, Sender};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite::WebSocket;
use tokio_tungstenite::tungstenite::protocol::Role;
use url::Url;

/// How the request for a WebSocket begins.
const SOCKET: &[u8] = b"GET /sync/device ";

const HEAD_END: &[u8] = b"\r\n\r\n";

/// Longest request head that is read, bytes.
const HEAD_MAX: usize = 16 * 1024;

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

    /// Returns the challenge that the daemon proved on its latest WebSocket.
    pub fn challenge(&self) -> Option<String> {
        let heard = lock(&self.shared.heard).last().cloned()?;
        let bytes = lock(&heard).clone();
        let (_, body) = split_head(&bytes)?;
        let mut socket = WebSocket::from_raw_socket(Cursor::new(body.to_vec()), Role::Server, None);
        let message = socket.read().ok()?.into_data();
        match Packet::decode(&message, Sender::Device).ok()? {
            Packet::Frame(frame) => match frame.message {
                Message::Auth(Auth::Token { token, .. }) => Some(token.to_owned()),
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

async fn serve(mut device: TcpStream, shared: Arc<Shared>) -> Result<()> {
    let first = read_head(&mut device).await?;
    let is_socket = first.starts_with(SOCKET);
    let target = if is_socket {
        lock(&shared.sockets).clone()
    } else {
        shared.server.clone()
    };
    let mut server = TcpStream::connect(target).await?;
    server.write_all(&first).await?;
    if !is_socket {
        tokio::io::copy_bidirectional(&mut device, &mut server).await?;
        return Ok(());
    }
    let heard = Arc::new(Mutex::new(first));
    lock(&shared.heard).push(Arc::clone(&heard));
    let ((from_device, mut to_device), (mut from_server, to_server)) = (device.split(), server.split());
    tokio::select! {
        done = hear(from_device, to_server, &heard) => done,
        done = tokio::io::copy(&mut from_server, &mut to_device) => Ok(done.map(drop)?),
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

async fn hear(
    mut from: impl AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    heard: &Mutex<Vec<u8>>,
) -> Result<()> {
    let mut piece = [0; 4096];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        lock(heard).extend_from_slice(&piece[..length]);
        to.write_all(&piece[..length]).await?;
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
