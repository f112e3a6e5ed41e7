//! A poll is held until the person decides (C-277).

use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{Either, join_all, select};
use http::Request;
use http::header::CONTENT_TYPE;

use crate::kit::ciba::{Answer, Provider, SECRET, site};
use crate::kit::http2::Http2;
use crate::kit::{in_time, until};

/// Polls under way.
const MANY: usize = 1000;

/// Polls of one HTTP/2 connection.
const SHARED: usize = 100;

type Held<'a> = Pin<Box<dyn Future<Output = Answer> + 'a>>;

async fn holding(seconds: u64) -> Provider {
    let limits = "[ciba.limits]\nundecided_per_client = 0\nundecided_per_user = 0\nrequests_per_minute = 0";
    Provider::start(site(&format!("long_poll = {seconds}\n{limits}"))).await
}

/// Begins two polls of one request. One of them is told to slow down; returns the other, which is held then.
async fn held<'a>(provider: &'a Provider, id: &'a str) -> Held<'a> {
    let polls: [Held<'a>; 2] = [Box::pin(provider.poll(id)), Box::pin(provider.poll(id))];
    let [one, other] = polls;
    let (refused, held) = match in_time(select(one, other)).await {
        Either::Left((refused, held)) | Either::Right((refused, held)) => (refused, held),
    };
    assert_eq!(refused.refusal(), (400, "slow_down"));
    held
}

#[tokio::test]
async fn c_277_a_decision_answers_a_held_poll_at_once_and_a_second_poll_is_told_to_slow_down() {
    let provider = holding(30).await;
    let (approved, rejected) = (provider.asked(&[]).await, provider.asked(&[]).await);
    let began = Instant::now();
    let polls = (held(&provider, &approved).await, held(&provider, &rejected).await);
    provider.allow(&approved).await;
    provider.deny(&rejected).await;
    assert_eq!(polls.0.await.status, 200);
    assert_eq!(polls.1.await.refusal(), (400, "access_denied"));
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "long before the poll's own end"
    );
    // A decided request is held by nothing.
    assert_eq!(provider.poll(&approved).await.refusal(), (400, "invalid_grant"));
    assert_eq!(provider.poll(&rejected).await.refusal(), (400, "access_denied"));
}

#[tokio::test]
async fn c_277_held_polls_share_a_connection() {
    let provider = holding(30).await;
    let mut client = Http2::connect(&provider.server.address).await;
    let mut ids = Vec::new();
    let mut polls = Vec::new();
    for _ in 0..SHARED {
        let id = provider.asked(&[]).await;
        let form = format!(
            "client_id=agent&client_secret={SECRET}&grant_type=urn%3Aopenid%3Aparams%3Agrant-type%3Aciba&auth_req_id={id}"
        );
        let request = Request::post(provider.url("/oauth2/token"))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        polls.push(client.send(request, form.into_bytes()).await);
        ids.push(id);
    }
    let left = polls.split_off(SHARED / 2);
    for (n, (id, poll)) in ids.iter().zip(polls).enumerate() {
        let (decided, status) = match n % 2 {
            0 => (provider.allow(id).await, 200),
            _ => (provider.deny(id).await, 400),
        };
        assert_eq!(decided.status, 204);
        assert_eq!(in_time(poll).await.unwrap().status(), status);
    }
    // The others wait, and one that its client gives up does no harm.
    let mut left: Vec<_> = left.into_iter().map(Box::pin).collect();
    assert!(left.iter_mut().all(|poll| poll.now_or_never().is_none()));
    drop(left);
    assert_eq!(client.get(&provider.url("/jwks")).await.status(), 200);
    provider.server.stop().await;
}

#[tokio::test]
async fn c_277_a_held_poll_ends_with_its_time_or_with_the_request() {
    let provider = holding(2).await;
    let id = provider.asked(&[]).await;
    let began = Instant::now();
    assert_eq!(
        held(&provider, &id).await.await.refusal(),
        (400, "authorization_pending")
    );
    assert!(began.elapsed() >= Duration::from_secs(2));
    let provider = holding(30).await;
    let id = provider.asked(&[("requested_expiry", "5")]).await;
    assert_eq!(held(&provider, &id).await.await.refusal(), (400, "expired_token"));
}

#[tokio::test]
async fn c_277_a_client_that_hangs_up_frees_its_place_and_loses_nothing() {
    let mut provider = Provider::start(site("long_poll = 30\ninterval = 1")).await;
    let (waiting, decided) = (provider.asked(&[]).await, provider.asked(&[]).await);
    for id in [&waiting, &decided] {
        drop(held(&provider, id).await);
        provider.server.until_said("connection ended").await;
    }
    let hung_up = Instant::now();
    // Whoever decides while no poll is held decides for the next one.
    provider.allow(&decided).await;
    assert_eq!(provider.poll(&decided).await.status, 200);
    // Sooner than the interval a poll would only be too soon.
    until("the interval", async || {
        (hung_up.elapsed() > Duration::from_secs(1)).then_some(())
    })
    .await;
    let again = held(&provider, &waiting).await;
    provider.allow(&waiting).await;
    assert_eq!(again.await.status, 200, "it was held, not refused");
}

#[tokio::test]
async fn c_277_c_012_a_thousand_held_polls_are_answered_when_the_server_leaves() {
    let provider = holding(30).await;
    let mut ids = Vec::new();
    for _ in 0..MANY {
        ids.push(provider.asked(&[]).await);
    }
    let mut polls = Vec::new();
    for id in &ids {
        polls.push(held(&provider, id).await);
    }
    provider.server.terminate();
    for answer in in_time(join_all(polls)).await {
        assert_eq!(answer.refusal(), (503, "temporarily_unavailable"));
        assert_eq!(answer.headers["retry-after"], "5");
    }
    let log = provider.server.left().await;
    assert!(!log.contains("did not end in time"), "{log}");
}
