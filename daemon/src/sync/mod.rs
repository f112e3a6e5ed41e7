//! A session's connection to its server: made, kept, and made again for as long as the session lives. Bytes go no
//! further than this module; what comes out is [`News`].

mod connect;
mod network;
mod pause;
mod pump;
mod retry;

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use device_proto::ask::Ask;
use device_proto::device::{Disconnect, Event};
use device_proto::{Challenge, Device, RequestId};
use futures_util::future::join;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tracing::info;

pub(crate) use self::pause::at;
pub(crate) use self::retry::Backoff;
use crate::server::Server;

/// The least that is waited after a failure, whatever the network says meanwhile: on some machines it changes all
/// the time.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// What the session wants of its connection.
pub(crate) enum Order {
    /// Ask the server. The ask is lost with the connection; the session hears of that and asks again.
    Ask(Ask),
    /// Skip the rest of the pause: a client is waiting.
    Hurry,
}

/// What the session hears from its connection.
pub(crate) enum News {
    /// It is being made.
    Connecting,
    /// What one message of the server meant, in order.
    Heard(Vec<Event>),
    /// It is gone, or could not be made. It will be made again, unless the loss [is final](Lost::is_final).
    Lost(Lost),
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
    Disconnected(#[from] Disconnect),
}

impl Lost {
    /// Whether the server does not know the session: no other attempt will change that (hocuspocus.md §16).
    pub(crate) fn is_final(self) -> bool {
        self == Self::Disconnected(Disconnect::Denied)
    }

    /// Whether only a person can mend it: a client that waits gains nothing from another attempt.
    pub(crate) fn needs_a_person(self) -> bool {
        matches!(self, Self::Certificate(_) | Self::NoTrust)
    }
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
        // The session polls this, and reads while it does.
        let _ = news.send(News::Connecting).await;
        let (why, stood) = once(server, session, challenge, &mut orders, &news).await;
        if why.is_final() {
            let _ = news.send(News::Lost(why)).await;
            return std::future::pending().await;
        }
        let pause = match why {
            Lost::Slept => Duration::ZERO,
            _ => backoff.after(stood, fastrand::f64()),
        };
        info!(%server, reason = %why, next_try_ms = pause.as_millis(), "disconnected");
        // The session asks again what it asked of the lost connection.
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

/// Waits out the pause, unless a client waits or the network has changed.
async fn wait(pause: Duration, orders: &mut mpsc::Receiver<Order>) {
    // Either way the next attempt begins.
    tokio::select! {
        () = pause::pause(pause) => {}
        () = hurry(orders) => {}
        _ = join(network::changed(), sleep(LEAST_PAUSE)) => {}
    }
}

async fn hurry(orders: &mut mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        if let Order::Hurry = order {
            return;
        }
    }
    std::future::pending::<()>().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, Tls};

    const SECRET: [u8; 32] = [9; 32];

    /// Runs a link to a server and hands its news to `session`.
    async fn kept<T>(
        url: &str,
        session: impl AsyncFnOnce(mpsc::Sender<Order>, mpsc::Receiver<News>) -> T,
    ) -> T {
        crate::tls::install();
        let (server, request) = (Server::parse(url).unwrap(), "s".parse().unwrap());
        let (orders, received) = mpsc::channel(4);
        let (sender, news) = mpsc::channel(4);
        tokio::select! {
            never = keep(&server, &request, Challenge::new(&SECRET), received, sender) => match never {},
            seen = session(orders, news) => seen,
        }
    }

    /// Returns why the next connection was lost.
    async fn lost(news: &mut mpsc::Receiver<News>) -> Lost {
        loop {
            if let News::Lost(why) = news.recv().await.unwrap() {
                return why;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn d_050_pauses_grow_and_never_pass_thirty_seconds() {
        let mut fake = Fake::new().await;
        fake.go_down().await;
        kept(&fake.url(), async |_orders, mut news| {
            assert!(matches!(
                lost(&mut news).await,
                Lost::NoAnswer(io::ErrorKind::ConnectionRefused)
            ));
            let mut last = Instant::now();
            for n in 0..12 {
                lost(&mut news).await;
                let (pause, most) = (last.elapsed(), Duration::from_millis(250 << n));
                assert!(
                    pause <= most.min(Duration::from_secs(30)) + Duration::from_millis(1),
                    "{pause:?}"
                );
                last = Instant::now();
            }
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn d_050_a_clients_demand_ends_the_pause() {
        let mut fake = Fake::new().await;
        fake.go_down().await;
        kept(&fake.url(), async |orders, mut news| {
            for _ in 0..100 {
                lost(&mut news).await;
                let at = Instant::now();
                orders.send(Order::Hurry).await.unwrap();
                assert!(matches!(news.recv().await, Some(News::Connecting)));
                assert!(at.elapsed() < Duration::from_millis(1), "{:?}", at.elapsed());
            }
        })
        .await;
    }

    #[tokio::test]
    async fn a_denial_is_final() {
        let fake = Fake::new().await;
        kept(&fake.url(), async |_orders, mut news| {
            while lost(&mut news).await != Lost::Disconnected(Disconnect::Denied) {}
        })
        .await;
        assert_eq!(fake.state().sockets, 1);
    }

    #[tokio::test]
    async fn a_certificate_that_is_not_valid_is_named() {
        let server = Tls::new().await;
        let why = kept(&server.url(), async |_orders, mut news| lost(&mut news).await).await;
        assert_eq!(why, Lost::Certificate("this system does not trust its issuer"));
    }

    #[tokio::test]
    async fn what_answers_in_http_is_not_taken_for_a_server() {
        let answers: [(&[u8], Lost); 3] = [
            (
                b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
                Lost::Refused(502),
            ),
            (
                b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
                Lost::Refused(302),
            ),
            (b"SSH-2.0-OpenSSH\r\n\r\n", Lost::NoWebSocket),
        ];
        for (answer, expected) in answers {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let why = kept(&url, async |_orders, mut news| {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::io::AsyncWriteExt::write_all(&mut stream, answer)
                    .await
                    .unwrap();
                lost(&mut news).await
            })
            .await;
            assert_eq!(why, expected);
        }
    }
}
