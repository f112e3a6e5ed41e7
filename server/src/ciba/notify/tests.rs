//! Real programs, and real servers on loopback.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64ct::{Base64, Encoding as _};
use ciba_tests::{PATIENCE, until};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use url::Url;
use zeroize::Zeroizing;

use super::*;
use crate::ciba::question::Question;
use crate::clock::now;
use crate::config;
use crate::outgoing::stand_in::{Reply, StandIn};

/// A notifier and the tasks that it begins.
pub(super) struct Bench {
    pub(super) notifier: Notifier,
    forced: CancellationToken,
}

impl Bench {
    pub(super) fn new(settings: &Notify, authorities: &str) -> Self {
        let (tasks, forced) = (TaskTracker::new(), CancellationToken::new());
        let authorities = Authorities::read(authorities).unwrap_or_default();
        let notifier = Notifier::new(settings, &authorities, tasks, forced.clone()).unwrap();
        Self { notifier, forced }
    }

    /// Runs a shell script, whose first argument is `folder`.
    fn script(folder: &Path, script: &str) -> Self {
        let file = folder.join("tell");
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let argv = [file.as_path(), folder].map(|path| path.to_str().unwrap().to_owned());
        Self::command(argv.to_vec())
    }

    fn command(argv: Vec<String>) -> Self {
        let settings = Notify {
            command: Some(argv),
            ..Notify::default()
        };
        Self::new(&settings, "")
    }

    fn webhook(server: &StandIn) -> Self {
        let webhook = config::Webhook {
            url: server.url.join("hook").unwrap(),
            secret: Zeroizing::new(b"a key of 32 bytes for signatures".to_vec()),
        };
        let settings = Notify {
            webhook: Some(webhook),
            ..Notify::default()
        };
        Self::new(&settings, &server.authority)
    }

    /// Tells a person, and waits for the end of that. Returns the failures.
    pub(super) async fn told(&self, notice: Notice) -> u64 {
        self.notifier.tell(notice);
        self.ended().await
    }

    async fn ended(&self) -> u64 {
        self.notifier.tasks.close();
        self.notifier.tasks.wait().await;
        self.notifier.failures.load(Ordering::Relaxed)
    }
}

pub(super) fn notice() -> Notice {
    Notice {
        sub: "sub-1".into(),
        email: Some("ada@example.com".into()),
        handle: "handle-1".into(),
        auth_req_id: Zeroizing::new("id-1".into()),
        client_id: "client-1".into(),
        question: Question {
            client_name: "Build <bot> & Söhne".into(),
            client_uri: None,
            client_vouched: true,
            scope: ["openid", "deploy"].map(String::from).to_vec(),
            resources: vec!["https://api.example.com/".into()],
            binding_message: Some("Deploy 1.4 to \"prod\" 🚀".into()),
            authorization_details: Some(json!([{ "type": "deploy", "version": "1.4" }])),
            agent_claims: None,
            created_at: 1_799_999_700,
            expires_at: 1_800_000_000,
        },
        approval_url: Url::parse("https://ciba.example.com/ciba/approve?auth_req_id=id-1").unwrap(),
    }
}

/// The notice as programs read it.
fn expected() -> Value {
    json!({
        "type": "ciba.approval_requested",
        "sub": "sub-1",
        "email": "ada@example.com",
        "request": "handle-1",
        "auth_req_id": "id-1",
        "client_id": "client-1",
        "client_name": "Build <bot> & Söhne",
        "scope": "openid deploy",
        "resources": ["https://api.example.com/"],
        "binding_message": "Deploy 1.4 to \"prod\" 🚀",
        "authorization_details": [{ "type": "deploy", "version": "1.4" }],
        "agent_claims": null,
        "expires_at": "2027-01-15T08:00:00Z",
        "approval_url": "https://ciba.example.com/ciba/approve?auth_req_id=id-1",
    })
}

#[tokio::test]
async fn c_210_a_command_reads_the_notice_and_sees_nothing_else_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::script(
        folder.path(),
        "cat > \"$1/got\"; env > \"$1/env\"; echo id-1; echo id-1 >&2",
    );
    assert_eq!(bench.told(notice()).await, 0);
    let got = fs::read_to_string(folder.path().join("got")).unwrap();
    assert!(got.ends_with("}\n") && got.lines().count() == 1, "one line");
    assert_eq!(serde_json::from_str::<Value>(&got).unwrap(), expected());
    let environment = fs::read_to_string(folder.path().join("env")).unwrap();
    // What the shell sets by itself may be there.
    let names = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name);
    let foreign: Vec<_> = names
        .filter(|name| !["PATH", "PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

#[tokio::test]
async fn c_210_a_command_that_fails_or_is_missing_is_counted_and_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::script(folder.path(), "echo x >> \"$1/runs\"; exit 3");
    assert_eq!(bench.told(notice()).await, 1);
    assert_eq!(fs::read_to_string(folder.path().join("runs")).unwrap(), "x\n");
    assert_eq!(
        Bench::command(vec!["/no/such/program".into()])
            .told(notice())
            .await,
        1
    );
}

#[tokio::test]
async fn c_210_a_command_need_not_read_its_input() {
    let mut long = notice();
    long.question.authorization_details = Some(json!("x".repeat(1024 * 1024)));
    assert_eq!(Bench::command(vec!["true".into()]).told(long).await, 0);
}

#[tokio::test]
async fn c_210_a_command_that_hangs_is_ended_after_its_time() {
    let mut bench = Bench::command(["sleep", "1000"].map(String::from).to_vec());
    bench.notifier.within = Duration::from_millis(50);
    assert_eq!(bench.told(notice()).await, 1);
}

#[tokio::test]
async fn c_210_a_command_is_killed_with_all_that_it_started_and_reaped() {
    let folder = tempfile::tempdir().unwrap();
    let hang = "trap '' TERM; sleep 1000 & echo $$ $! > \"$1/new\"; mv \"$1/new\" \"$1/ids\"; wait";
    let bench = Bench::script(folder.path(), hang);
    bench.notifier.tell(notice());
    let ids = until("both processes", PATIENCE, async || {
        fs::read_to_string(folder.path().join("ids")).ok()
    });
    let ids = ids.await.unwrap();
    let ids: Vec<u32> = ids.split_whitespace().map(|id| id.parse().unwrap()).collect();
    // The time limit drops the same task.
    bench.forced.cancel();
    assert_eq!(bench.ended().await, 0);
    until("the end of both", PATIENCE, async || {
        (!is_there(ids[0]) && !runs(ids[1])).then_some(())
    })
    .await
    .unwrap();
}

/// Whether a process is there, if only as a zombie.
fn is_there(id: u32) -> bool {
    Path::new(&format!("/proc/{id}")).exists()
}

/// Whether a process runs. An orphan that is dead waits for another process to reap it.
fn runs(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn c_210_a_webhook_gets_the_notice_with_a_signature_that_verifies() {
    for server in [
        StandIn::http([Reply::Status(204)]).await,
        StandIn::https([Reply::Status(200)]).await,
    ] {
        assert_eq!(Bench::webhook(&server).told(notice()).await, 0);
        let received = server.received();
        assert_eq!(received.len(), 1);
        let call = &received[0];
        assert_eq!((call.method.as_str(), call.uri.path()), ("POST", "/hook"));
        assert_eq!(call.headers["content-type"], "application/json");
        assert_eq!(serde_json::from_slice::<Value>(&call.body).unwrap(), expected());

        let header = |name: &str| call.headers[name].to_str().unwrap();
        let sent: u64 = header("webhook-timestamp").parse().unwrap();
        assert!(now().seconds().abs_diff(sent) <= PATIENCE.as_secs());
        let mut mac = Hmac::<Sha256>::new_from_slice(b"a key of 32 bytes for signatures").unwrap();
        mac.update(format!("{}.{sent}.", header("webhook-id")).as_bytes());
        mac.update(&call.body);
        let signature = header("webhook-signature").strip_prefix("v1,").unwrap();
        let signature = Base64::decode_vec(signature).unwrap();
        mac.verify_slice(&signature).unwrap();
    }
}

#[tokio::test]
async fn c_210_a_webhook_that_fails_is_counted_and_not_tried_again() {
    let moved = Reply::Header(307, "location", "/elsewhere".into());
    for reply in [moved, Reply::Status(500), Reply::Status(401), Reply::Status(429)] {
        let server = StandIn::http([reply, Reply::Status(200)]).await;
        assert_eq!(Bench::webhook(&server).told(notice()).await, 1);
        assert_eq!(server.received().len(), 1);
    }
    let mut server = StandIn::https([Reply::Status(200)]).await;
    server.authority = StandIn::https([Reply::Status(200)]).await.authority;
    assert_eq!(Bench::webhook(&server).told(notice()).await, 1);
    assert_eq!(server.received().len(), 0);
}

#[tokio::test]
async fn c_210_one_way_that_fails_does_not_keep_the_others_from_telling() {
    let server = StandIn::http([Reply::Status(200)]).await;
    let mut bench = Bench::webhook(&server);
    let broken = Way::Command(Program::new(vec!["false".into()]));
    let webhook = Webhook::new(
        &config::Webhook {
            url: server.url.clone(),
            secret: Zeroizing::new(vec![0; 24]),
        },
        &Authorities::default(),
    );
    bench.notifier.ways = Arc::new([broken, Way::Webhook(webhook.unwrap())]);
    assert_eq!(bench.told(notice()).await, 1);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn c_144_telling_begins_without_waiting_and_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::script(folder.path(), "echo x >> \"$1/runs\"");
    bench.notifier.under_way = Places::new(2, 2);
    // Nothing of it has run yet: a test's runtime has one thread.
    for _ in 0..5 {
        bench.notifier.tell(notice());
    }
    assert!(!folder.path().join("runs").exists());
    assert_eq!(bench.ended().await, 3);
    assert_eq!(fs::read_to_string(folder.path().join("runs")).unwrap(), "x\nx\n");
}

#[tokio::test]
async fn c_144_a_client_whose_notices_hang_does_not_hold_up_those_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::script(
        folder.path(),
        "case $(cat) in *client-1*) exec sleep 1000;; *) echo x > \"$1/told\";; esac",
    );
    bench.notifier.within = Duration::from_secs(1000);
    for _ in 0..=MAX_AT_ONCE {
        bench.notifier.tell(notice());
    }
    let mut other = notice();
    other.client_id = "client-2".into();
    bench.notifier.tell(other);
    until("the other client's notice", PATIENCE, async || {
        folder.path().join("told").exists().then_some(())
    })
    .await
    .unwrap();
    bench.forced.cancel();
    assert_eq!(bench.ended().await, 0);
}
