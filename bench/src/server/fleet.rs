//! Many devices: brought up a few at a time, then all of them idle until the fleet is dropped.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::device::Link;
use super::host::{Dialogue, Host, Pass};

/// Connections from one of our addresses: fewer than it has ports.
const PER_ADDRESS: usize = 20_000;

/// Bytes of the message to a server that only echoes: about a proof.
const ECHOED: [u8; 80] = [7; 80];

/// The devices; dropping it ends them without a word.
pub(super) struct Fleet(#[expect(dead_code, reason = "held, not used")] JoinSet<()>);

/// A connection that has been brought up.
enum Connected {
    Device(Box<Link>),
    Echo(Box<WebSocketStream<TcpStream>>),
}

/// Connects a device for each pass and returns when all are up.
pub(super) async fn connect(host: &Host, passes: Vec<Pass>, at_once: usize) -> Result<Fleet> {
    let address: SocketAddr = host.address.parse().context("the server's address")?;
    let (url, dialogue) = (Arc::from(format!("ws://{address}{}", host.path)), host.dialogue);
    let gate = Arc::new(Semaphore::new(at_once));
    let (up, mut all_up) = mpsc::channel(at_once);
    let (mut devices, wanted) = (JoinSet::new(), passes.len());
    for (number, pass) in passes.into_iter().enumerate() {
        let (url, gate, up) = (Arc::clone(&url), Arc::clone(&gate), up.clone());
        devices.spawn(async move {
            let turn = gate.acquire().await;
            let connected = bring_up(address, source(number), &url, dialogue, pass).await;
            drop(turn);
            let (result, connected) =
                connected.map_or_else(|error| (Err(error), None), |up| (Ok(()), Some(up)));
            // Nobody listens any more once one device has failed.
            let _ = up.send(result).await;
            drop(up);
            idle(connected).await;
        });
    }
    drop(up);
    let mut count = 0;
    while let Some(result) = all_up.recv().await {
        result.with_context(|| format!("device {count}"))?;
        count += 1;
    }
    ensure!(count == wanted, "{count} of {wanted} devices connected");
    Ok(Fleet(devices))
}

async fn bring_up(
    server: SocketAddr,
    source: SocketAddr,
    url: &str,
    dialogue: Dialogue,
    pass: Pass,
) -> Result<Connected> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(source)?;
    let stream = socket.connect(server).await?;
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(1024)
        .write_buffer_size(0);
    let (mut socket, _) = client_async_with_config(url, stream, Some(config)).await?;
    if dialogue == Dialogue::Device {
        let mut link = Box::new(Link::new(socket, pass));
        link.sync().await?;
        return Ok(Connected::Device(link));
    }
    socket.send(Message::Binary(ECHOED.to_vec().into())).await?;
    socket.next().await.context("no echo")??;
    Ok(Connected::Echo(Box::new(socket)))
}

/// Does what a device does that wants nothing.
async fn idle(connected: Option<Connected>) {
    match connected {
        Some(Connected::Device(mut link)) => while link.step().await.is_ok() {},
        Some(Connected::Echo(mut socket)) => {
            while socket.next().await.is_some_and(|message| message.is_ok()) {}
        }
        None => {}
    }
}

/// Loopback has many addresses, each with its own ports.
fn source(number: usize) -> SocketAddr {
    let last = u8::try_from(1 + number / PER_ADDRESS).unwrap_or(u8::MAX);
    (Ipv4Addr::new(127, 0, 0, last), 0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_beyond_an_addresses_ports_come_from_the_next() {
        let from = |number| source(number).ip().to_string();
        assert_eq!(from(PER_ADDRESS - 1), "127.0.0.1");
        assert_eq!(from(PER_ADDRESS), "127.0.0.2");
    }
}
