//! Requests that wait for a decision, from the server's doc to the client's lines.

use device_proto::approval::{AnswerAt, Approval, ApprovalId};
use device_proto::ask::{Ask, Decision};

use super::*;

fn approval(n: u8) -> Approval {
    Approval {
        request: ApprovalId::of_hash(&[n; 32]),
        client_name: format!("client {n}"),
        client_uri: None,
        client_vouched: false,
        scope: vec!["openid".into(), "pay".into()],
        resources: vec![],
        binding_message: Some("Pay 20 EUR".into()),
        authorization_details: Some("[{\"type\":\"payment\"}]".into()),
        agent: None,
        created_at: now(),
        expires_at: now() + 300,
        url: format!("https://c.example/ciba/approve?auth_req_id={n}"),
        answer: AnswerAt::Terminal,
    }
}

fn name(n: u8) -> String {
    ApprovalId::of_hash(&[n; 32]).into()
}

impl World {
    /// Shows these requests; returns a client that has seen that they are there, and no others.
    async fn showing(&self, approvals: &[Approval]) -> Client {
        let mut watcher = self.connect();
        watcher
            .send(json!({"id": 9, "op": "approvals", "watch": true}))
            .await;
        self.fake.show_approvals(approvals);
        for _ in approvals {
            assert_eq!(watcher.line().await["event"], "approval");
        }
        watcher
    }
}

/// Returns the names that `approvals` lists.
async fn listed(client: &mut Client) -> Vec<String> {
    client.send(json!({"id": 1, "op": "approvals"})).await;
    let mut names = Vec::new();
    loop {
        let line = client.line().await;
        if line.get("ok").is_some() {
            return names;
        }
        names.push(line["request"].as_str().unwrap().to_owned());
    }
}

async fn decide(client: &mut Client, request: &str, approve: bool) -> Value {
    client
        .ask(json!({"id": 2, "op": "decide", "request": request, "approve": approve}))
        .await
}

#[tokio::test]
async fn i_010_a_request_is_listed_as_the_server_shows_it() {
    let world = World::new().await;
    let _watcher = world.showing(&[approval(1)]).await;
    let mut client = world.connect();
    let line = client.ask(json!({"id": 1, "op": "approvals"})).await;
    let shown = approval(1);
    assert_eq!(
        line,
        json!({
            "id": 1, "event": "approval", "profile": "default", "request": name(1),
            "client_name": "client 1", "scope": ["openid", "pay"], "binding_message": "Pay 20 EUR",
            "authorization_details": "[{\"type\":\"payment\"}]", "created_at": shown.created_at,
            "expires_at": shown.expires_at, "url": shown.url, "answer": "terminal",
        })
    );
    assert_eq!(client.line().await, json!({"id": 1, "ok": {}}));
}

#[tokio::test]
async fn i_010_a_watch_tells_of_each_request_that_comes_and_goes_once() {
    let world = World::new().await;
    let mut watcher = world.showing(&[approval(1)]).await;
    world.fake.show_approvals(&[approval(1), approval(2)]);
    let line = watcher.line().await;
    assert_eq!(
        (&line["event"], &line["request"]),
        (&json!("approval"), &json!(name(2)))
    );
    world.fake.show_approvals(&[approval(2)]);
    let gone = json!({"id": 9, "event": "approval_gone", "profile": "default", "request": name(1)});
    assert_eq!(watcher.line().await, gone);
    let mut late = world.connect();
    late.send(json!({"id": 9, "op": "approvals", "watch": true}))
        .await;
    assert_eq!(late.line().await["request"], json!(name(2)));
    assert_eq!(listed(&mut world.connect()).await, [name(2)]);
}

#[tokio::test]
async fn i_010_a_decision_goes_to_the_server_under_the_whole_name() {
    let world = World::new().await;
    let _watcher = world.showing(&[approval(1), approval(2)]).await;
    let mut client = world.connect();
    for (n, approve, decision) in [(1, true, Decision::Approve), (2, false, Decision::Deny)] {
        let answer = decide(&mut client, &name(n)[..8], approve).await;
        assert_eq!(answer["ok"], json!({"profile": "default", "request": name(n)}));
        let asked = world.fake.state().asks.pop().unwrap();
        let expected = Ask::Decide {
            id: asked.id().into(),
            request: ApprovalId::of_hash(&[n; 32]),
            decision,
        };
        assert_eq!(asked, expected);
    }
}

#[tokio::test]
async fn i_010_what_cannot_be_decided_says_why() {
    let world = World::new().await;
    let in_browser = Approval {
        answer: AnswerAt::Browser,
        ..approval(3)
    };
    // Two names that begin alike.
    let mut hash = [1; 32];
    hash[31] = 2;
    let alike = Approval {
        request: ApprovalId::of_hash(&hash),
        ..approval(1)
    };
    let _watcher = world.showing(&[approval(1), alike, in_browser.clone()]).await;
    let mut client = world.connect();
    for (request, expected) in [
        (&name(7)[..8], "unknown_request"),
        (&name(1)[..8], "ambiguous_request"),
        (&name(1)[..3], "bad_request"),
        ("", "bad_request"),
        (&name(3)[..8], "needs_browser"),
    ] {
        let answer = decide(&mut client, request, true).await;
        assert_eq!(code(&answer), expected, "{request}: {answer}");
        let url = (expected == "needs_browser").then_some(json!(in_browser.url));
        assert_eq!(answer["error"].get("url"), url.as_ref(), "{answer}");
    }
    assert_eq!(world.fake.state().asks, [], "the server was not asked");
    world.fake.state().on_ask = OnAsk::Publish(0);
    let denied = decide(&mut client, &name(3)[..8], false).await;
    assert_eq!(code(&denied), "ok", "a no needs no browser");
    for (refusal, expected) in [
        ("invalid_request", "request_over"),
        ("expired_token", "request_over"),
        ("login_required", "needs_browser"),
        ("temporarily_unavailable", "server_unreachable"),
    ] {
        world.fake.state().on_ask = OnAsk::Refuse(refusal);
        let answer = decide(&mut client, &name(1), true).await;
        assert_eq!(code(&answer), expected, "{refusal}: {answer}");
    }
}

#[tokio::test]
async fn i_010_without_a_login_there_is_nothing_to_decide() {
    let context = Context::empty();
    let world = World::new().await;
    let mut client = World { context, ..world }.connect();
    let answer = client.ask(json!({"id": 1, "op": "approvals"})).await;
    assert_eq!(code(&answer), "not_logged_in");
    assert_eq!(code(&decide(&mut client, &name(1), true).await), "not_logged_in");
}

#[tokio::test]
async fn d_064_what_has_ended_goes_without_a_word_of_the_server() {
    let world = World::new().await;
    let short = Approval {
        expires_at: now() + 1,
        ..approval(1)
    };
    let mut watcher = world.showing(&[short]).await;
    assert_eq!(watcher.line().await["event"], "approval_gone");
    assert!(listed(&mut world.connect()).await.is_empty());
}

#[tokio::test]
async fn d_063_after_a_lost_connection_only_what_still_waits_is_listed() {
    let mut world = World::new().await;
    let mut watcher = world.showing(&[approval(1), approval(2)]).await;
    world.fake.go_down().await;
    assert_eq!(listed(&mut world.connect()).await.len(), 2, "as far as is known");
    world.fake.come_back().await;
    world.fake.show_approvals(&[approval(2), approval(3)]);
    let mut told = Vec::new();
    for _ in 0..2 {
        let line = watcher.line().await;
        let event = line["event"].as_str().unwrap().to_owned();
        told.push((event, line["request"].as_str().unwrap().to_owned()));
    }
    told.sort();
    assert_eq!(
        told,
        [("approval".into(), name(3)), ("approval_gone".into(), name(1))]
    );
}
