//! Credentials, refusals, questions and the audit over one connection, with a login at a server of a few lines.

mod approvals;

use std::fs;
use std::time::Duration;

use interprocess::local_socket::tokio::Stream;
use interprocess::os::unix::uds_local_socket::tokio as uds;
use ipc_proto::{AuditEntry, DEFAULT_RESOURCE};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::agent::{StartAsk, Step};
use crate::fake::{Fake, OnAsk};
use crate::ipc::caller::Caller;
use crate::session::now;

/// Only ever reached by a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);

const RULES: &str = r#"
[[host]]
match = "git.example.com"
resource = "urn:d:unified-gateway"
scheme = "bearer"

[[host]]
match = "ask.example.com"
resource = "urn:d:unified-gateway"
username = "ada"
confirm = true

[[host]]
match = "k8s.example.com:6443"
tool = ["kubectl"]
resource = "urn:d:unified-gateway"

[[host]]
match = "work.example.com"
resource = "urn:d:unified-gateway"
profile = "work"
"#;

/// A daemon with a login, and the audit that it writes.
struct World {
    context: Context,
    fake: Fake,
    home: TempDir,
}

impl World {
    async fn new() -> Self {
        crate::tls::install();
        let home = tempfile::tempdir().unwrap();
        let (shutdown, settings) = (Shutdown::default(), Settings::of(RULES));
        let agent = Agent::new(shutdown.clone(), Keychains::new([]), settings.clone());
        let audit = Audit::start(Some(home.path().join("audit.jsonl")));
        let (context, fake) = (
            Context::new(agent, shutdown, settings, audit, None),
            Fake::new().await,
        );
        log_in(&context.agent, &fake).await;
        fake.state().on_ask = OnAsk::Publish(now() + 7_200);
        Self { context, fake, home }
    }

    fn connect(&self) -> Client {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (stream, context) = (Stream::from(uds::Stream::from(ours)), self.context.clone());
        let uid = rustix::process::geteuid().as_raw();
        let serving = tokio::spawn(async move {
            let caller = Caller::of_user(&stream, uid).unwrap();
            serve::serve(&stream, &caller, &context).await;
        });
        Client {
            stream: BufReader::new(theirs),
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    fn audit(&self) -> String {
        self.context.audit.finish();
        fs::read_to_string(self.home.path().join("audit.jsonl")).unwrap_or_default()
    }
}

async fn log_in(agent: &Agent, fake: &Fake) {
    let ask = StartAsk::of(&fake.url(), None, None, false, None).unwrap();
    let mut login = agent.start(ask).await.unwrap();
    let steps = async {
        let mut steps = 0;
        while let Step::Event(_) = login.next().await {
            steps += 1;
            if steps == 2 {
                fake.log_in(DEFAULT_RESOURCE, now() + 3_600);
            }
        }
    };
    timeout(PATIENCE, steps).await.unwrap();
}

struct Client {
    stream: BufReader<UnixStream>,
    _serving: AbortOnDropHandle<()>,
}

impl Client {
    async fn send(&mut self, request: Value) {
        let line = format!("{request}\n");
        self.stream.get_mut().write_all(line.as_bytes()).await.unwrap();
    }

    async fn line(&mut self) -> Value {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line);
        timeout(PATIENCE, read).await.expect("in time").unwrap();
        serde_json::from_str(&line).unwrap()
    }

    async fn ask(&mut self, request: Value) -> Value {
        self.send(request).await;
        self.line().await
    }

    /// Returns what answers a request for a credential.
    async fn credential(&mut self, url: &str, tool: &str, refused: Option<u64>) -> Value {
        let request = json!({"id": 1, "op": "credential", "url": url, "tool": tool, "refused": refused});
        self.ask(request).await
    }
}

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or("ok")
}

fn text(answer: &Value) -> &str {
    answer["ok"]["access_token"].as_str().unwrap_or("none")
}

fn serial(answer: &Value) -> Option<u64> {
    answer["ok"]["serial"].as_u64()
}

#[tokio::test]
async fn i_005_a_rule_decides_what_a_tool_gets() {
    let world = World::new().await;
    let mut client = world.connect();
    let answer = client
        .credential("https://GIT.example.com/a?b", "git", None)
        .await;
    assert_eq!(text(&answer), "secret-1", "{answer}");
    assert_eq!(answer["ok"]["scheme"], "bearer");
    assert_eq!(answer["ok"]["username"], "oauth2");
    assert_eq!(answer["ok"]["resource"], DEFAULT_RESOURCE);
    for (url, tool, expected) in [
        ("https://other.example.com", "git", "no_rule"),
        ("https://git.example.com:8443", "git", "no_rule"),
        ("https://git.example.com.evil.example", "git", "no_rule"),
        ("https://k8s.example.com:6443", "git", "no_rule"),
        ("https://work.example.com", "git", "unknown_profile"),
        ("http://git.example.com", "git", "bad_request"),
        ("https://x@git.example.com", "git", "bad_request"),
        ("git.example.com", "git", "bad_request"),
        ("https://git.example.com", "GIT", "bad_request"),
        ("https://ask.example.com", "git", "denied"),
    ] {
        let answer = client.credential(url, tool, None).await;
        assert_eq!(code(&answer), expected, "{url} {answer}");
    }
    let answer = client
        .credential("https://other.example.com:8443/x", "git", None)
        .await;
    assert_eq!(
        answer["error"]["hint"],
        "ciba allow other.example.com:8443 --resource URN"
    );
    assert_eq!(world.fake.state().asks, [], "the table answered");
}

#[tokio::test]
async fn a_refused_token_is_replaced_and_a_tool_in_a_loop_is_stopped() {
    let world = World::new().await;
    let mut client = world.connect();
    let url = "https://git.example.com";
    let first = client.credential(url, "git", None).await;
    let second = client.credential(url, "git", serial(&first)).await;
    assert_eq!((text(&first), text(&second)), ("secret-1", "secret-2"));
    assert!(serial(&second) > serial(&first));
    let again = client.credential(url, "git", serial(&first)).await;
    assert_eq!(serial(&again), serial(&second), "the newer one is tried");
    let looping = client.credential(url, "git", serial(&second)).await;
    assert_eq!(code(&looping), "busy", "{looping}");
    assert_eq!(world.fake.state().asks.len(), 1);
}

#[tokio::test]
async fn what_was_refused_is_not_given_to_the_next_tool() {
    let world = World::new().await;
    let mut client = world.connect();
    let url = "https://git.example.com";
    let refused = json!({"id": 1, "op": "refused", "url": url, "tool": "git"});
    assert_eq!(client.ask(refused.clone()).await["ok"], json!({}));
    let next = client.credential(url, "curl", None).await;
    assert_eq!(text(&next), "secret-2", "{next}");
    let mut other = refused;
    other["url"] = "https://other.example".into();
    assert_eq!(code(&client.ask(other).await), "no_rule");
}

#[tokio::test]
async fn a_provider_that_gives_no_other_token_says_why() {
    let world = World::new().await;
    world.fake.state().on_ask = OnAsk::Refuse("invalid_target");
    let mut client = world.connect();
    let first = client.credential("https://git.example.com", "git", None).await;
    let second = client
        .credential("https://git.example.com", "git", serial(&first))
        .await;
    assert_eq!(code(&second), "invalid_target", "{second}");
}

#[tokio::test]
async fn a_second_start_of_kubectl_is_a_refusal_and_a_wrong_guess_costs_nothing() {
    let world = World::new().await;
    let mut client = world.connect();
    let url = "https://k8s.example.com:6443";
    let mut texts = Vec::new();
    for _ in 0..3 {
        texts.push(text(&client.credential(url, "kubectl", None).await).to_owned());
    }
    assert_eq!(texts, ["secret-1", "secret-2", "secret-2"]);
    let answer = client.credential("https://git.example.com", "git", None).await;
    let again = client.credential("https://git.example.com", "git", None).await;
    assert_eq!((text(&answer), text(&again)), ("secret-2", "secret-2"));
}

#[tokio::test]
async fn a_token_leaves_when_the_client_that_asks_says_so() {
    let world = World::new().await;
    let (mut client, mut stranger) = (world.connect(), world.connect());
    for (allow, expected) in [(true, "ok"), (false, "denied")] {
        let url = "https://ask.example.com/x";
        let ask = json!({"id": 1, "op": "credential", "url": url, "tool": "git", "interactive": true});
        client.send(ask).await;
        let event = client.line().await;
        assert_eq!(event["event"], "confirm");
        assert_eq!(
            event["question"],
            "May git have the token for urn:d:unified-gateway, to use at ask.example.com?"
        );
        let mut answer = json!({"id": 2, "op": "confirm", "number": event["number"], "allow": true});
        assert_eq!(code(&stranger.ask(answer.clone()).await), "bad_request");
        answer["allow"] = allow.into();
        let mut lines = [client.ask(answer).await, client.line().await];
        lines.sort_by_key(|line| line["id"].as_u64());
        assert_eq!(code(&lines[0]), expected, "{lines:?}");
        assert_eq!(lines[1]["ok"], json!({}));
    }
}

#[tokio::test]
async fn what_is_handed_out_is_written_down_without_the_token() {
    let world = World::new().await;
    let mut client = world.connect();
    let token = client.ask(json!({"id": 1, "op": "token"})).await;
    let git = client
        .credential("https://git.example.com:443/secret/path", "git", None)
        .await;
    client.credential("https://other.example", "git", None).await;
    client.credential("https://ask.example.com", "git", None).await;
    let audit = world.audit();
    assert!(
        !audit.contains(text(&token)) && !audit.contains("/secret"),
        "{audit}"
    );
    let entries: Vec<AuditEntry> = audit
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = entries
        .iter()
        .map(|entry| (entry.tool.as_str(), entry.host.as_deref()));
    assert!(
        told.eq([("token", None), ("git", Some("git.example.com"))]),
        "{audit}"
    );
    assert_eq!(Some(entries[1].serial), serial(&git));
    assert_eq!(entries[0].pid, i32::try_from(std::process::id()).ok());
    assert!(entries[0].time.ends_with('Z') && entries[0].time.len() == "2026-01-31T12:00:00Z".len());
}

#[tokio::test]
async fn the_rules_are_shown_in_order() {
    let world = World::new().await;
    let answer = world.connect().ask(json!({"id": 1, "op": "configuration"})).await;
    let rules = answer["ok"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 4);
    assert_eq!(
        (&rules[1]["match"], &rules[1]["confirm"]),
        (&json!("ask.example.com"), &json!(true))
    );
}
