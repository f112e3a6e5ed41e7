//! Joins a `Device` and a WebSocket (steps 7 and 8 of a token's way): bytes in, events out, until either ends.

use std::io;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use device_proto::device::{Device, Event, Transmit};
use device_proto::{Challenge, ask::Ask};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use zeroize::Zeroizing;

use super::pause::at;
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

/// Passes on what happened, all of one message together: a reader never sees half of an update.
async fn report(device: &mut Device, news: &mpsc::Sender<News>) -> Option<Lost> {
    let (mut events, mut lost) = (Vec::new(), None);
    while let Some(event) = device.poll_event() {
        match event {
            Event::Disconnected(over) => lost = Some(Lost::Disconnected(over)),
            event => events.push(event),
        }
    }
    if !events.is_empty() {
        // The session reads for as long as it polls this connection.
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
        Some(Ok(Message::Ping(_))) => device.handle_ping(Instant::now().into_std()),
        // A text message is not of this protocol, but it is a sign of life.
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
        // The connection stands already.
        Order::Hurry => {}
    }
}

/// Both clocks as they were last seen together.
pub(super) struct Clocks {
    monotonic: Instant,
    wall: SystemTime,
}

impl Clocks {
    pub(super) fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// Whether this machine slept since the last call: then the server has long given up this connection.
    pub(super) fn slept(&mut self) -> bool {
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

#[cfg(test)]
mod tests {
    use device_proto::device::{Disconnect, KEEPALIVE};
    use tokio::io::DuplexStream;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    const SECRET: [u8; 32] = [9; 32];

    /// A pump whose server is `serve`. Returns why it ended, and when.
    async fn pumped<F: Future<Output = ()>>(
        room: usize,
        serve: impl FnOnce(WebSocketStream<DuplexStream>) -> F,
    ) -> (Lost, Duration) {
        let (ours, theirs) = tokio::io::duplex(room);
        let ours = WebSocketStream::from_raw_socket(ours, Role::Client, None).await;
        let theirs = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
        let challenge = Challenge::new(&SECRET);
        let began = Instant::now();
        let device = Device::connect("s".parse().unwrap(), challenge, began.into_std());
        let (_orders, mut orders) = mpsc::channel(1);
        let (news, _reader) = mpsc::channel(16);
        let pumping = pump(ours, device, challenge, &mut orders, &news);
        let lost = tokio::select! {
            lost = pumping => lost,
            () = async { serve(theirs).await; std::future::pending().await } => unreachable!(),
        };
        (lost, began.elapsed())
    }

    fn frame(message: device_proto::frame::Message<'_>) -> Message {
        let document = "s";
        Message::binary(device_proto::frame::Frame { document, message }.encode())
    }

    /// Accepts the proof and sends an empty doc.
    async fn grant(socket: &mut WebSocketStream<DuplexStream>) {
        use device_proto::frame::{Auth, EMPTY_UPDATE, Message, Sync};
        let granted = Message::Auth(Auth::Granted { scope: "readonly" });
        socket.send(frame(granted)).await.unwrap();
        socket
            .send(frame(Message::Sync(Sync::Step2(EMPTY_UPDATE))))
            .await
            .unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn d_050_two_missed_signs_of_life_end_it() {
        let (lost, took) = pumped(1 << 16, async |mut socket| {
            grant(&mut socket).await;
            // It holds the connection and says no more; a WebSocket that is not read answers no ping.
            std::future::pending::<()>().await;
        })
        .await;
        assert_eq!(lost, Lost::Disconnected(Disconnect::Silent));
        assert_eq!(took, 3 * KEEPALIVE);
    }

    #[tokio::test(start_paused = true)]
    async fn d_050_a_server_that_answers_pings_keeps_it() {
        // It ends between two signs of life, so that the last thing to happen is the close.
        let hour = Duration::from_secs(3_590);
        let (lost, took) = pumped(1 << 16, async |mut socket| {
            grant(&mut socket).await;
            // Reading is answering.
            let reading = async { while socket.next().await.is_some() {} };
            let _ = timeout(hour, reading).await;
            socket.close(None).await.unwrap();
        })
        .await;
        assert_eq!(lost, Lost::Closed(None));
        assert_eq!(took.as_secs(), hour.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_takes_nothing_is_left_in_time() {
        let (lost, took) = pumped(16, async |_socket| std::future::pending::<()>().await).await;
        assert_eq!((lost, took), (Lost::Stalled, WRITE_DEADLINE));
    }

    #[tokio::test(start_paused = true)]
    async fn the_close_code_is_told() {
        let (lost, _) = pumped(1 << 16, async |mut socket| {
            grant(&mut socket).await;
            let (code, reason) = (1000.into(), "session ended".into());
            socket.close(Some(CloseFrame { code, reason })).await.unwrap();
            let _ = socket.next().await;
        })
        .await;
        assert_eq!(lost, Lost::Closed(Some(1000)));
    }

    #[tokio::test(start_paused = true)]
    async fn d_035_garbage_ends_the_connection() {
        let (lost, _) = pumped(1 << 16, async |mut socket| {
            socket.send(Message::binary(&b"\x01s\xff"[..])).await.unwrap();
            std::future::pending::<()>().await;
        })
        .await;
        assert!(matches!(lost, Lost::Disconnected(Disconnect::Broken)), "{lost}");
    }

    #[test]
    fn d_050_a_machine_that_slept_is_noticed() {
        let seconds = Duration::from_secs;
        assert!(!jumped(seconds(20), seconds(20)));
        assert!(!jumped(seconds(20), seconds(34)), "a clock that was corrected");
        assert!(jumped(seconds(20), seconds(36)));
        assert!(!jumped(seconds(20), seconds(0)), "a clock that was set back");
    }

    #[tokio::test]
    async fn the_first_frames_buffer_is_the_devices_own() {
        let frame = Zeroizing::new(vec![7; 64]);
        let place = frame.as_ptr();
        assert_eq!(wiped(frame).as_ptr(), place, "no copy that nobody wipes");
    }
}
