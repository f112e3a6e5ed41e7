//! A session's connection to its server: made, kept, and made again for as long as the session lives. Bytes go
//! no further than this room; what comes out is [`News`].

mod connect;
mod pump;
mod retry;

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use device_proto::ask::Ask;
use device_proto::device::{Event, Over};
use device_proto::{Challenge, Device, RequestId};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tracing::info;

use self::retry::Backoff;
use crate::server::Server;

/// What the session wants of its connection.
pub(crate) enum Order {
    /// Ask the server. Lost when the connection is: who asked hears of that and asks again.
    Ask(Ask),
    /// Somebody waits: do not.
    Hurry,
}

/// What the session hears from its connection.
pub(crate) enum News {
    /// It is being made.
    Connecting,
    /// What one message of the server meant, in order.
    Heard(Vec<Event>),
    /// It is gone, or was not to be had; it will be tried again.
    Lost(Lost),
    /// The server does not know the session: nothing more will come.
    Denied,
}

/// Why there is no connection. The texts hold nothing that the server sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Lost {
    #[error("the server's name is not known")]
    NoName,
    #[error("the server does not answer ({0})")]
    NoAnswer(io::ErrorKind),
    #[error("the server is too slow")]
    Slow,
    #[error("this system has no certificate authorities to trust")]
    NoTrust,
    #[error("the server's certificate is not valid: {0}")]
    Certificate(&'static str),
    #[error("no TLS with the server")]
    NoTls,
    #[error("the server answers with HTTP status {0} where its WebSocket should be")]
    Refused(u16),
    #[error("what answers is no ciba-server")]
    NoWebSocket,
    #[error("the server closed the connection{}", code(.0))]
    Closed(Option<u16>),
    #[error("the connection broke")]
    Broken,
    #[error("the network takes nothing")]
    Stalled,
    #[error("the server sent too much at once")]
    TooBig,
    #[error("this machine slept")]
    Slept,
    #[error(transparent)]
    Over(#[from] Over),
}

fn code(code: &Option<u16>) -> String {
    code.map(|code| format!(" ({code})")).unwrap_or_default()
}

/// Keeps the session connected for as long as it is polled.
pub(crate) async fn keep(
    server: &Server,
    session: &RequestId,
    challenge: Challenge<'_>,
    mut orders: mpsc::Receiver<Order>,
    news: mpsc::Sender<News>,
) -> Infallible {
    let mut backoff = Backoff::default();
    loop {
        // The session is what polls this; while it does, it reads.
        let _ = news.send(News::Connecting).await;
        let (why, stood) = once(server, session, challenge, &mut orders, &news).await;
        if why == Lost::Over(Over::Denied) {
            let _ = news.send(News::Denied).await;
            return std::future::pending().await;
        }
        let pause = match why {
            Lost::Slept => Duration::ZERO,
            _ => backoff.after(stood, fastrand::f64()),
        };
        info!(%server, reason = %why, next_try_ms = pause.as_millis(), "disconnected");
        // What was asked of the lost connection is asked anew by whoever hears this.
        while orders.try_recv().is_ok() {}
        let _ = news.send(News::Lost(why)).await;
        wait(pause, &mut orders).await;
    }
}

/// Makes one connection and runs it to its end. Returns why it ended, and how long it stood.
async fn once(
    server: &Server,
    session: &RequestId,
    challenge: Challenge<'_>,
    orders: &mut mpsc::Receiver<Order>,
    news: &mpsc::Sender<News>,
) -> (Lost, Duration) {
    let socket = match connect::connect(server).await {
        Ok(socket) => socket,
        Err(why) => return (why, Duration::ZERO),
    };
    let began = Instant::now();
    // A new connection is a new device, and so a new, empty doc (D-034).
    let device = Device::connect(session.clone(), challenge, began.into_std());
    let why = pump::pump(socket, device, challenge, orders, news).await;
    (why, began.elapsed())
}

/// Waits out the pause, unless somebody cannot.
async fn wait(pause: Duration, orders: &mut mpsc::Receiver<Order>) {
    // Either way the next attempt begins.
    let _ = timeout(pause, hurry(orders)).await;
}

async fn hurry(orders: &mut mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        if let Order::Hurry = order {
            return;
        }
    }
    std::future::pending::<()>().await;
}
