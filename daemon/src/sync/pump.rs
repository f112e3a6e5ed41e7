//! Joins a `Device` and a WebSocket (steps 7 and 8 of a token's way): bytes in, events out, until either ends.

use std::io;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use device_proto::device::{Device, Event, Transmit};
use device_proto::{Challenge, ask::Ask};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use zeroize::Zeroizing;

use super::{Lost, News, Order};

/// Time for the network to take one frame. A peer that reads nothing must not hold an ask, or a stop.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// How far the wall clock may run ahead of the monotonic one before this machine is taken to have slept.
const JUMP: Duration = Duration::from_secs(15);

/// Runs one connection until it is over, and says why.
pub(super) async fn pump<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: WebSocketStream<S>,
    mut device: Device,
    challenge: Challenge<'_>,
    orders: &mut mpsc::Receiver<Order>,
    news: &mpsc::Sender<News>,
) -> Lost {
    let mut clocks = Clocks::now();
    loop {
        // Events first: what was heard before the end is still true.
        let over = report(&mut device, news).await;
        if let Some(lost) = over {
            return lost;
        }
        if let Err(lost) = flush(&mut socket, &mut device).await {
            return lost;
        }
        let wake = device.poll_timeout().map(Instant::from_std);
        tokio::select! {
            message = socket.next() => {
                if let Err(lost) = take(message, &mut device, challenge) {
                    return lost;
                }
            }
            () = at(wake) => device.handle_timeout(Instant::now().into_std()),
            Some(order) = orders.recv() => obey(order, &mut device),
        }
        if clocks.slept() {
            return Lost::Slept;
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Hands on what happened, all of one message together: a reader never sees half of an update.
async fn report(device: &mut Device, news: &mpsc::Sender<News>) -> Option<Lost> {
    let (mut events, mut lost) = (Vec::new(), None);
    while let Some(event) = device.poll_event() {
        match event {
            Event::Over(over) => lost = Some(Lost::Over(over)),
            event => events.push(event),
        }
    }
    if !events.is_empty() {
        // The session always reads; when it is gone, so is this connection.
        let _ = news.send(News::Heard(events)).await;
    }
    lost
}

async fn flush<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    device: &mut Device,
) -> Result<(), Lost> {
    let mut fed = false;
    while let Some(transmit) = device.poll_transmit() {
        fed = true;
        let message = match transmit {
            Transmit::Frame(frame) => Message::Binary(wiped(frame)),
            Transmit::Ping => Message::Ping(Bytes::new()),
        };
        write(socket.feed(message)).await?;
    }
    if fed { write(socket.flush()).await } else { Ok(()) }
}

async fn write(writing: impl Future<Output = Result<(), Error>>) -> Result<(), Lost> {
    match timeout(WRITE_DEADLINE, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Lost::Broken),
        Err(_) => Err(Lost::Stalled),
    }
}

/// The first frame holds the challenge: its buffer is wiped when the socket is done with it.
fn wiped(frame: Zeroizing<Vec<u8>>) -> Bytes {
    struct Frame(Zeroizing<Vec<u8>>);
    impl AsRef<[u8]> for Frame {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Frame(frame))
}

fn take(
    message: Option<Result<Message, Error>>,
    device: &mut Device,
    challenge: Challenge<'_>,
) -> Result<(), Lost> {
    match message {
        Some(Ok(Message::Binary(bytes))) => device.handle_message(&bytes, challenge),
        Some(Ok(Message::Close(frame))) => return Err(closed(frame.as_ref())),
        // Texts are not of this protocol, but they are signs of life.
        Some(Ok(_)) => device.handle_sign_of_life(),
        Some(Err(Error::Capacity(_))) => return Err(Lost::TooBig),
        Some(Err(Error::Io(error))) if error.kind() == io::ErrorKind::TimedOut => return Err(Lost::Stalled),
        Some(Err(_)) | None => return Err(Lost::Broken),
    }
    Ok(())
}

fn closed(frame: Option<&CloseFrame>) -> Lost {
    Lost::Closed(frame.map(|frame| frame.code.into()))
}

fn obey(order: Order, device: &mut Device) {
    match order {
        Order::Ask(ask) => device.ask(&ask as &Ask),
        // It stands already.
        Order::Hurry => {}
    }
}

/// Both clocks as they were last seen together.
struct Clocks {
    monotonic: Instant,
    wall: SystemTime,
}

impl Clocks {
    fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// Whether this machine slept since the last call: then the server has long given this connection up.
    fn slept(&mut self) -> bool {
        let before = std::mem::replace(self, Self::now());
        // A wall clock that was set back tells nothing.
        let wall = self.wall.duration_since(before.wall).unwrap_or_default();
        jumped(self.monotonic.duration_since(before.monotonic), wall)
    }
}

/// The monotonic clock stands still while a machine sleeps, the wall clock does not.
fn jumped(monotonic: Duration, wall: Duration) -> bool {
    wall > monotonic + JUMP
}
