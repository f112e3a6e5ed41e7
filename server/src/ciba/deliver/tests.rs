//! Deliveries to real HTTP(S) servers on loopback.

use std::sync::Mutex;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::*;
use crate::outgoing::stand_in::{Received, Reply, StandIn};
use crate::outgoing::{Authorities, Rules};

/// A request that tells the test what becomes of it.
struct Tracked {
    wanted: watch::Receiver<bool>,
    ended: mpsc::UnboundedSender<Ended>,
}

impl Owner for Tracked {
    async fn is_wanted(&self) -> bool {
        *self.wanted.borrow()
    }

    async fn ended(self, how: Ended) {
        self.ended.send(how).unwrap();
    }
}

/// Deliveries, and the ends of all that were begun.
struct Bench {
    deliveries: Deliveries,
    tasks: TaskTracker,
    forced: CancellationToken,
    wanted: watch::Sender<bool>,
    ended: (mpsc::UnboundedSender<Ended>, mpsc::UnboundedReceiver<Ended>),
}

impl Bench {
    fn new(rules: &Rules) -> Self {
        let (tasks, forced) = (TaskTracker::new(), CancellationToken::new());
        let http = UntrustedHttp::new(rules, true);
        let mut deliveries = Deliveries::new(http, tasks.clone(), forced.clone());
        deliveries.first_wait = Duration::from_millis(1);
        Self {
            deliveries,
            tasks,
            forced,
            wanted: watch::Sender::new(true),
            ended: mpsc::unbounded_channel(),
        }
    }

    async fn begin(&self, delivery: Delivery) {
        let tracked = Tracked {
            wanted: self.wanted.subscribe(),
            ended: self.ended.0.clone(),
        };
        self.deliveries.begin(delivery, tracked).await;
    }

    /// Waits for the end of one delivery.
    async fn end(&mut self) -> Ended {
        self.ended.1.recv().await.unwrap()
    }

    fn failures(&self) -> u64 {
        self.deliveries.failures.load(Ordering::Relaxed)
    }
}

fn ping_to(endpoint: &Url) -> Delivery {
    Delivery {
        endpoint: endpoint.join("cb?key=endpoint-secret").unwrap(),
        token: Zeroizing::new("notification-token".into()),
        body: ping("id-1"),
        retries: 2,
        expires_at: now().seconds() + 300,
        handle: "handle-1".into(),
        client_id: "client-1".into(),
    }
}

/// Delivers a ping to a server with these replies, and returns the end and what the server received.
async fn delivered(replies: impl IntoIterator<Item = Reply>) -> (Ended, Vec<Received>) {
    let server = StandIn::http(replies.into_iter().collect::<Vec<_>>()).await;
    let mut bench = Bench::new(&Rules::default());
    bench.begin(ping_to(&server.url)).await;
    let ended = bench.end().await;
    assert_eq!(bench.failures(), u64::from(ended == Ended::Failed));
    (ended, server.received())
}

#[tokio::test]
async fn c_330_a_client_is_told_with_its_token_and_the_id() {
    let (ended, received) = delivered([Reply::Status(204)]).await;
    assert_eq!((ended, received.len()), (Ended::Delivered, 1));
    let call = &received[0];
    assert_eq!((call.method.as_str(), call.uri.path()), ("POST", "/cb"));
    assert_eq!(call.uri.query(), Some("key=endpoint-secret"));
    assert_eq!(call.headers[AUTHORIZATION], "Bearer notification-token");
    assert_eq!(call.headers[CONTENT_TYPE], "application/json");
    assert_eq!(&call.body[..], br#"{"auth_req_id":"id-1"}"#);
}

#[tokio::test]
async fn c_331_an_answer_with_a_body_is_delivery_however_long_the_body_is() {
    for reply in [
        Reply::Status(200),
        Reply::Text(200, "{\"error\":\"not read\"}"),
        Reply::Text(202, "<html>"),
        Reply::Endless,
    ] {
        let (ended, received) = delivered([reply]).await;
        assert_eq!((ended, received.len()), (Ended::Delivered, 1));
    }
}

#[tokio::test]
async fn c_332_c_333_a_redirect_or_a_refusal_is_final_and_there_is_no_second_call() {
    let moved = |status| Reply::Header(status, "location", "/elsewhere".into());
    for reply in [moved(301), moved(307), moved(308)]
        .into_iter()
        .chain([400, 401, 403, 404, 410].map(Reply::Status))
    {
        let (ended, received) = delivered([reply, Reply::Status(200)]).await;
        assert_eq!((ended, received.len()), (Ended::Failed, 1));
    }
}

#[tokio::test]
async fn c_334_a_server_error_is_tried_again_until_the_tries_are_used_up() {
    let (ended, received) = delivered([Reply::Status(503), Reply::Status(200)]).await;
    assert_eq!((ended, received.len()), (Ended::Delivered, 2));
    let (ended, received) = delivered([Reply::Status(500)]).await;
    assert_eq!((ended, received.len()), (Ended::Failed, 3));
}

#[tokio::test]
async fn c_363_every_try_sends_the_same_bytes() {
    let (_, received) = delivered([Reply::Status(502), Reply::Status(429), Reply::Status(200)]).await;
    assert_eq!(received.len(), 3);
    for call in &received[1..] {
        assert_eq!(call.body, received[0].body);
        assert_eq!(call.headers, received[0].headers);
    }
}

#[tokio::test]
async fn c_333_a_busy_client_is_tried_again_after_the_time_that_it_names() {
    let began = Instant::now();
    let busy = Reply::Header(429, "retry-after", "1".into());
    let (ended, received) = delivered([busy, Reply::Status(200)]).await;
    assert_eq!((ended, received.len()), (Ended::Delivered, 2));
    assert!(began.elapsed() >= Duration::from_secs(1));
    // One that names more than the request has left is not tried again.
    let busy = Reply::Header(429, "retry-after", "3600".into());
    let (ended, received) = delivered([busy, Reply::Status(200)]).await;
    assert_eq!((ended, received.len()), (Ended::Failed, 1));
}

#[test]
fn c_333_retry_after_is_seconds_or_a_date() {
    let read = |text: &str| {
        let value = HeaderValue::from_str(text).unwrap();
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]))
    };
    assert_eq!(read("120"), Some(Duration::from_secs(120)));
    let in_an_hour = std::time::SystemTime::now() + Duration::from_secs(3600);
    let hour = read(&httpdate::fmt_http_date(in_an_hour)).unwrap().as_secs();
    assert!((3590..=3601).contains(&hour), "{hour}");
    assert_eq!(read("Thu, 01 Jan 2015 00:00:00 GMT"), Some(Duration::ZERO));
    for wrong in ["", "soon", "-1", "1.5", "99999999999999999999999"] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}

#[tokio::test]
async fn c_335_a_server_that_hangs_is_left_and_tried_again() {
    let server = StandIn::http([Reply::Silence, Reply::Status(200)]).await;
    let rules = Rules {
        timeout: Duration::from_millis(500),
        ..Rules::default()
    };
    let mut bench = Bench::new(&rules);
    // A slow machine may need more than one further try.
    let retries = 6;
    bench
        .begin(Delivery {
            retries,
            ..ping_to(&server.url)
        })
        .await;
    assert_eq!(bench.end().await, Ended::Delivered);
    assert!(server.received().len() >= 2);
}

#[tokio::test]
async fn c_334_a_refused_connection_fails_in_the_end() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://127.0.0.1:{}/", free.local_addr().unwrap().port());
    drop(free);
    let mut bench = Bench::new(&Rules::default());
    bench.begin(ping_to(&Url::parse(&url).unwrap())).await;
    assert_eq!((bench.end().await, bench.failures()), (Ended::Failed, 1));
}

#[tokio::test]
async fn c_400_tls_needs_an_authority_that_the_operator_trusts() {
    let server = StandIn::https([Reply::Status(200)]).await;
    let other = StandIn::https([Reply::Status(200)]).await;
    for (trusted, expected) in [(&server, Ended::Delivered), (&other, Ended::Failed)] {
        let rules = Rules {
            authorities: Authorities::read(&trusted.authority).unwrap(),
            ..Rules::default()
        };
        let mut bench = Bench::new(&rules);
        bench.begin(ping_to(&server.url)).await;
        assert_eq!(bench.end().await, expected);
    }
    assert_eq!(
        server.received().len(),
        1,
        "the token was sent to a trusted server alone"
    );
}

#[tokio::test]
async fn c_402_an_endpoint_that_leads_inside_fails_at_once() {
    let mut bench = Bench::new(&Rules::default());
    bench.deliveries.first_wait = Duration::from_secs(3600);
    bench
        .begin(ping_to(&Url::parse("https://10.0.0.1/").unwrap()))
        .await;
    assert_eq!(bench.end().await, Ended::Failed);
}

#[tokio::test]
async fn c_334_a_request_that_was_redeemed_is_not_told_again() {
    let server = StandIn::http([Reply::Status(503)]).await;
    let mut bench = Bench::new(&Rules::default());
    bench.wanted.send_replace(false);
    bench.begin(ping_to(&server.url)).await;
    assert_eq!((bench.end().await, bench.failures()), (Ended::Unwanted, 0));
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn c_407_the_log_names_the_request_and_the_client_and_no_secret() {
    let (read, write) = std::io::pipe().unwrap();
    let log = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG);
    // With one subscriber alone, an event that another test's thread meets first is off for all threads.
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(std::io::sink).finish());
    let logging = tracing::subscriber::set_default(log.with_writer(Mutex::new(write)).finish());
    for reply in [
        Reply::Status(401),
        Reply::Status(503),
        Reply::Header(301, "location", "/x".into()),
    ] {
        delivered([reply]).await;
    }
    let nowhere = Url::parse("http://localhost:1/").unwrap();
    let mut bench = Bench::new(&Rules::default());
    bench.begin(ping_to(&nowhere)).await;
    assert_eq!(bench.end().await, Ended::Failed);
    drop(logging);
    let log = std::io::read_to_string(read).unwrap();
    for told in [
        "request=handle-1 client=client-1",
        "it answers 401",
        "it answers 503",
        "no connection",
    ] {
        assert!(log.contains(told), "{told}: {log}");
    }
    for secret in ["endpoint-secret", "notification-token", "id-1\""] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[tokio::test]
async fn c_232_a_delivery_is_begun_without_waiting_and_the_server_waits_for_it_when_it_leaves() {
    let server = StandIn::http([Reply::Status(503), Reply::Status(200)]).await;
    let mut bench = Bench::new(&Rules::default());
    bench.begin(ping_to(&server.url)).await;
    assert!(bench.ended.1.try_recv().is_err(), "it is still under way");
    bench.tasks.close();
    bench.tasks.wait().await;
    assert_eq!(bench.ended.1.try_recv(), Ok(Ended::Delivered));
}

#[tokio::test]
async fn a_server_that_is_forced_to_leave_waits_for_no_delivery() {
    let server = StandIn::http([Reply::Silence]).await;
    let mut bench = Bench::new(&Rules::default());
    bench.begin(ping_to(&server.url)).await;
    bench.forced.cancel();
    bench.tasks.close();
    bench.tasks.wait().await;
    assert!(bench.ended.1.try_recv().is_err(), "its request is as it was");
}

#[tokio::test]
async fn deliveries_are_bounded_and_one_too_many_has_failed() {
    let server = StandIn::http([Reply::Status(200)]).await;
    let mut bench = Bench::new(&Rules::default());
    bench.deliveries.under_way = Places::new(1, 1);
    // The first has not run yet: a test's runtime has one thread.
    bench.begin(ping_to(&server.url)).await;
    bench.begin(ping_to(&server.url)).await;
    assert_eq!(bench.end().await, Ended::Failed);
    assert_eq!(bench.end().await, Ended::Delivered);
    bench.begin(ping_to(&server.url)).await;
    assert_eq!(bench.end().await, Ended::Delivered, "there is room again");
    assert_eq!(bench.failures(), 1);
}

#[tokio::test]
async fn c_330_a_client_whose_endpoint_hangs_does_not_hold_up_the_ping_of_another() {
    let (silent, good) = (
        StandIn::http([Reply::Silence]).await,
        StandIn::http([Reply::Status(204)]).await,
    );
    let rules = Rules {
        timeout: Duration::from_secs(1000),
        ..Rules::default()
    };
    let mut bench = Bench::new(&rules);
    for _ in 0..=MAX_AT_ONCE {
        bench.begin(ping_to(&silent.url)).await;
    }
    let other = Delivery {
        client_id: "client-2".into(),
        ..ping_to(&good.url)
    };
    bench.begin(other).await;
    let ended = tokio::time::timeout(ciba_tests::PATIENCE, bench.end()).await;
    assert_eq!(ended.expect("it is told at once"), Ended::Delivered);
    assert!(silent.received().len() <= MAX_AT_ONCE_OF_CLIENT);
    bench.forced.cancel();
}
