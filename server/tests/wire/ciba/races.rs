//! Many at once: exactly one wins, and every other gets the answer of one who came later (C-230, C-274).

use std::collections::BTreeMap;

use futures_util::future::join_all;

use crate::kit::ciba::{Answer, Provider, site_at};
use crate::kit::endpoint::{Endpoint, TOKEN};
use crate::kit::idp::Idp;
use crate::kit::person::Person;

const RACERS: usize = 100;

const STORES: [&str; 2] = ["sqlite", "memory"];

/// A provider with this store, at which alice is signed in.
async fn with_alice(store: &str, more: &str) -> (Idp, Provider, Person) {
    let idp = Idp::start().await;
    let mut site = site_at(&idp.issuer, "modes = [\"poll\", \"push\"]").and(more);
    if store == "memory" {
        site = site.with("STORE__URL", "memory:");
    }
    let provider = Provider::start(site).await;
    let alice = Person::sign_in(&idp, &provider, "alice-1").await;
    (idp, provider, alice)
}

/// Counts the answers by status and code.
fn counted(answers: &[Answer]) -> BTreeMap<(u16, &str), usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.refusal()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn c_274_of_a_hundred_redemptions_one_gets_tokens() {
    for store in STORES {
        let (_idp, provider, _alice) = with_alice(store, "").await;
        for _ in 0..3 {
            let id = provider.asked(&[]).await;
            provider.allow(&id).await;
            let answers = join_all((0..RACERS).map(|_| provider.poll(&id))).await;
            let expected = [((200, ""), 1), ((400, "invalid_grant"), RACERS - 1)].into();
            assert_eq!(counted(&answers), expected, "{store}");
        }
        provider.server.stop().await;
    }
}

#[tokio::test]
async fn c_230_c_406_of_a_hundred_approvals_one_succeeds() {
    for store in STORES {
        let (_idp, provider, alice) = with_alice(store, "").await;
        for _ in 0..3 {
            let id = provider.asked(&[]).await;
            let answers = join_all((0..RACERS).map(|_| alice.approve(&id))).await;
            let expected = [((200, ""), 1), ((400, "invalid_request"), RACERS - 1)].into();
            assert_eq!(counted(&answers), expected, "{store}");
            assert_eq!(provider.poll(&id).await.status, 200);
        }
        provider.server.stop().await;
    }
}

#[tokio::test]
async fn c_230_of_approvals_and_rejections_one_succeeds_and_the_client_gets_its_answer() {
    for store in STORES {
        let (_idp, provider, alice) = with_alice(store, "").await;
        for round in 0..6 {
            let id = provider.asked(&[]).await;
            let approves = |n: usize| (n + round).is_multiple_of(2);
            let race = (0..RACERS).map(async |n| match approves(n) {
                true => alice.approve(&id).await,
                false => alice.reject(&id).await,
            });
            let answers = join_all(race).await;
            let expected = [((200, ""), 1), ((400, "invalid_request"), RACERS - 1)].into();
            assert_eq!(counted(&answers), expected, "{store}");
            let winner = answers.iter().position(|answer| answer.status == 200).unwrap();
            let told = provider.poll(&id).await;
            let expected = if approves(winner) {
                (200, "")
            } else {
                (400, "access_denied")
            };
            assert_eq!(told.refusal(), expected, "{store}");
        }
        provider.server.stop().await;
    }
}

#[tokio::test]
async fn c_230_c_274_approvals_and_redemptions_at_once_give_tokens_once() {
    for store in STORES {
        let (_idp, provider, alice) = with_alice(store, "").await;
        for _ in 0..3 {
            let id = provider.asked(&[]).await;
            let race = (0..RACERS).map(async |n| match n % 2 {
                0 => (alice.approve(&id).await, None),
                _ => (provider.poll(&id).await, Some(())),
            });
            let (polls, approvals): (Vec<_>, Vec<_>) = join_all(race)
                .await
                .into_iter()
                .partition(|(_, poll)| poll.is_some());
            let answers = |all: Vec<(Answer, Option<()>)>| {
                all.into_iter().map(|(answer, _)| answer).collect::<Vec<_>>()
            };
            let (polls, approvals) = (answers(polls), answers(approvals));
            let expected = [((200, ""), 1), ((400, "invalid_request"), RACERS / 2 - 1)].into();
            assert_eq!(counted(&approvals), expected, "{store}");
            let polls = counted(&polls);
            let known = ["", "authorization_pending", "slow_down", "invalid_grant"];
            assert!(
                polls.keys().all(|(_, code)| known.contains(code)),
                "{store}: {polls:?}"
            );
            let got = polls.get(&(200, "")).copied().unwrap_or_default();
            let rest = usize::from(provider.poll(&id).await.status == 200);
            assert_eq!(got + rest, 1, "{store}");
        }
        provider.server.stop().await;
    }
}

#[tokio::test]
async fn c_302_of_a_hundred_refreshes_with_one_token_at_most_one_succeeds_and_the_family_ends() {
    for store in STORES {
        let (_idp, provider, _alice) = with_alice(store, "").await;
        let id = provider.asked(&[("scope", "openid offline_access")]).await;
        provider.allow(&id).await;
        let token = provider.poll(&id).await.text("refresh_token");
        let refresh = async |token: &str| {
            let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
            provider.form_as("agent", "/oauth2/token", &form).await
        };
        let answers = join_all((0..RACERS).map(|_| refresh(&token))).await;
        let counts = counted(&answers);
        assert!(
            counts.get(&(200, "")).copied().unwrap_or_default() <= 1,
            "{store}: {counts:?}"
        );
        let known = [(200, ""), (400, "invalid_grant")];
        assert!(
            counts.keys().all(|key| known.contains(key)),
            "{store}: {counts:?}"
        );
        let fresh = answers.iter().find(|answer| answer.status == 200);
        if let Some(fresh) = fresh {
            let token = fresh.text("refresh_token");
            assert_eq!(refresh(&token).await.refusal(), (400, "invalid_grant"), "{store}");
        }
        provider.server.stop().await;
    }
}

#[tokio::test]
async fn c_230_c_363_of_a_hundred_approvals_one_push_is_made() {
    for store in STORES {
        let mut endpoint = Endpoint::good().await;
        let (_idp, provider, alice) = with_alice(store, &endpoint.client("push", "")).await;
        let asked = provider
            .ask_as("push", &[("client_notification_token", TOKEN)])
            .await;
        let id = asked.text("auth_req_id");
        let answers = join_all((0..RACERS).map(|_| alice.approve(&id))).await;
        let expected = [((200, ""), 1), ((400, "invalid_request"), RACERS - 1)].into();
        assert_eq!(counted(&answers), expected, "{store}");
        provider.server.stop().await;
        assert_eq!(endpoint.count(), 1, "{store}");
    }
}
