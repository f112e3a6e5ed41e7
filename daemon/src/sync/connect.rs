//! From a server's URL to an open WebSocket: name, TCP, TLS, upgrade; each with a deadline.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use device_proto::device::MAX_SERVER_FRAME;
use futures_util::future::select_ok;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::either::Either;
use url::{Host, Url};

use super::Lost;
use crate::server::Server;
use crate::tls;

/// Time to find the server's name and to reach one of its addresses.
const TCP_DEADLINE: Duration = Duration::from_secs(10);

/// Time for TLS and for the upgrade, each.
const STEP_DEADLINE: Duration = Duration::from_secs(10);

/// How long one address has for itself before the next is tried beside it (RFC 8305 §5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// Bytes of a connection's read buffer: seals are a few kilobytes, and it is held all day.
const READ_BUFFER: usize = 8 * 1024;

/// A connection to the server, encrypted or on this machine.
pub(super) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Opens the server's WebSocket.
pub(super) async fn connect(server: &Server) -> Result<WebSocketStream<Stream>, Lost> {
    open(server, tls::config).await
}

/// Trusts what `trust` says. A proxy would come between `reach` and `encrypt`.
async fn open(
    server: &Server,
    trust: fn() -> Result<ClientConfig, rustls::Error>,
) -> Result<WebSocketStream<Stream>, Lost> {
    let url = server.socket();
    let tcp = in_time(TCP_DEADLINE, reach(&url)).await?;
    let stream = if server.is_encrypted() {
        let config = trust().map_err(|_| Lost::NoTrust)?;
        Either::Right(in_time(STEP_DEADLINE, encrypt(&url, tcp, config)).await?)
    } else {
        Either::Left(tcp)
    };
    in_time(STEP_DEADLINE, upgrade(&url, stream)).await
}

async fn in_time<T>(deadline: Duration, step: impl Future<Output = Result<T, Lost>>) -> Result<T, Lost> {
    timeout(deadline, step).await.unwrap_or(Err(Lost::Slow))
}

async fn reach(url: &Url) -> Result<TcpStream, Lost> {
    let port = url.port_or_known_default().unwrap_or_default();
    let addresses: Vec<SocketAddr> = match url.host().ok_or(Lost::NoName)? {
        Host::Domain(name) => {
            let found = lookup_host((name, port)).await.map_err(|_| Lost::NoName)?;
            found.take(MAX_ADDRESSES).collect()
        }
        Host::Ipv4(address) => vec![(address, port).into()],
        Host::Ipv6(address) => vec![(address, port).into()],
    };
    let stream = first_of(addresses)
        .await
        .map_err(|error| Lost::NoAnswer(error.kind()))?;
    // A frame is a whole message; waiting for a second one only makes it late.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Connects to the first address that answers.
async fn first_of(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let attempts = addresses.into_iter().zip(0..).map(|(address, turn)| {
        Box::pin(async move {
            sleep(HEAD_START * turn).await;
            TcpStream::connect(address).await
        })
    });
    let attempts: Vec<_> = attempts.collect();
    if attempts.is_empty() {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    }
    let (stream, _others) = select_ok(attempts).await?;
    Ok(stream)
}

async fn encrypt(url: &Url, tcp: TcpStream, config: ClientConfig) -> Result<Box<TlsStream<TcpStream>>, Lost> {
    let name = match url.host().ok_or(Lost::NoName)? {
        Host::Domain(name) => ServerName::try_from(name.to_owned()).map_err(|_| Lost::NoName)?,
        Host::Ipv4(address) => ServerName::from(std::net::IpAddr::from(address)),
        Host::Ipv6(address) => ServerName::from(std::net::IpAddr::from(address)),
    };
    let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
    stream
        .map(Box::new)
        .map_err(|error| tls::certificate_problem(&error).map_or(Lost::NoTls, Lost::Certificate))
}

async fn upgrade(url: &Url, stream: Stream) -> Result<WebSocketStream<Stream>, Lost> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(MAX_SERVER_FRAME))
        .max_frame_size(Some(MAX_SERVER_FRAME));
    match client_async_with_config(url.as_str(), stream, Some(config)).await {
        Ok((socket, _response)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => Err(Lost::Refused(response.status().as_u16())),
        Err(_) => Err(Lost::NoWebSocket),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::SinkExt as _;
    use futures_util::StreamExt as _;
    use tokio::net::TcpListener;
    use tokio_tungstenite::tungstenite::Message;

    use super::*;
    use crate::fake::Tls;

    #[tokio::test]
    async fn a_trusted_server_is_spoken_to_encrypted() {
        let server = Tls::new().await;
        let mut socket = open(&Server::parse(&server.url()).unwrap(), Tls::trusted)
            .await
            .unwrap();
        assert!(matches!(socket.get_ref(), Either::Right(_)));
        socket.send(Message::binary(&b"hello"[..])).await.unwrap();
        let echo = socket.next().await.unwrap().unwrap();
        assert_eq!(&echo.into_data()[..], b"hello");
    }

    #[tokio::test]
    async fn an_address_that_refuses_does_not_stop_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let open = listener.local_addr().unwrap();
        assert_eq!(
            first_of(vec![closed, open]).await.unwrap().peer_addr().unwrap(),
            open
        );
        assert!(first_of(vec![]).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_accepts_and_says_nothing_is_too_slow() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let lost = connect(&Server::parse(&url).unwrap()).await.err();
        assert_eq!(lost, Some(Lost::Slow));
    }
}
