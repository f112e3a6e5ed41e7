//! Client libraries that are not ours ask people at `ciba-server`: npm's openid-client and oauth4webapi, and jose for what
//! they leave to their callers.

use std::fs;

use anyhow::{Context, Result, ensure};
use ciba_tests::{Certified, PATIENCE, Process, Server, World, free_port};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::process::Command;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/ciba-clients");

const GRANT: &str = "urn:openid:params:grant-type:ciba";

/// Guards the approval hook (C-235).
const HOOK: &str = "the-hook-of-these-tests-on-loopback";

/// A provider that clients may register at.
struct Provider {
    world: World,
    config: String,
    server: Server,
    localhost: Certified,
}

impl Provider {
    /// Starts it with these lines in `[ciba]`. It asks clients for an interval of a second.
    async fn start(ciba: &str) -> Result<Self> {
        let world = World::new()?;
        let localhost = Certified::localhost()?;
        fs::write(world.home().join("ca.pem"), &localhost.authority)?;
        let port = free_port()?;
        let config = config(port, &world.home().join("ca.pem").display().to_string(), ciba);
        let server = world.server(&config).await?;
        Ok(Self {
            world,
            config,
            server,
            localhost,
        })
    }

    /// Runs a script of the folder, which is told this.
    async fn run(&self, script: &str, mut told: Value) -> Result<Process> {
        ensure!(
            std::path::Path::new(FOLDER).join("node_modules").is_dir(),
            "{FOLDER}/node_modules is missing: run tests/setup.sh"
        );
        told["issuer"] = json!(self.server.url);
        let mut command = Command::new("node");
        command.arg(script).current_dir(FOLDER);
        let mut process = self.world.spawn(command)?;
        process.write_line(&told.to_string()).await?;
        process.close_stdin();
        Ok(process)
    }

    /// The person decides, by the hook.
    async fn decide(&self, asked: &Value, action: &str) -> Result<()> {
        let id = asked["auth_req_id"].as_str().context("an auth_req_id")?;
        let hook = format!("{}/ciba/test-hook/{HOOK}", self.server.url);
        let http = reqwest::Client::builder().no_proxy().build()?;
        let decision = http.post(hook).query(&[("auth_req_id", id), ("action", action)]);
        decision.send().await?.error_for_status()?;
        Ok(())
    }

    /// Waits for an answer of the server's: what it was sent before has then arrived, too.
    async fn is_there(&self) -> Result<()> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let answer = http.get(format!("{}/healthz", self.server.url)).send().await?;
        answer.error_for_status().map(drop).map_err(Into::into)
    }

    /// The certificate of a client's endpoint.
    fn tls(&self) -> Value {
        json!({ "certificate": self.localhost.certificate, "key": self.localhost.key })
    }
}

fn config(port: u16, ca_file: &str, ciba: &str) -> String {
    format!(
        r#"
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"
store.url = "sqlite:ciba.db"
oauth.registration = "open"
outgoing.ca_file = "{ca_file}"

[login]
issuer = "http://127.0.0.1:1/never-asked"
client_id = "ciba"

[ciba]
enabled = true
modes = ["poll", "ping", "push"]
interval = 1
test_hook_secret = "{HOOK}"
{ciba}

[[client]]
client_id = "reports"
client_secret = "known-to-both-sides"
token_endpoint_auth_method = "client_secret_post"
grant_types = ["{GRANT}", "refresh_token"]
backchannel_token_delivery_mode = "poll"

[[user]]
sub = "alice"
email = "alice@example.com"
name = "Alice Example"
"#
    )
}

/// The metadata of a client, with these members beside those of every client here.
fn registration(mode: &str, more: &[(&str, &str)]) -> Value {
    let mut metadata = json!({
        "client_name": "A library's client",
        "grant_types": [GRANT, "refresh_token"],
        "response_types": [],
        "redirect_uris": [],
        "scope": "openid email offline_access",
        "token_endpoint_auth_method": "client_secret_basic",
        "backchannel_token_delivery_mode": mode,
    });
    for (member, value) in more {
        metadata[member] = json!(value);
    }
    metadata
}

fn ask() -> Value {
    json!({ "scope": "openid email offline_access", "login_hint": "alice@example.com", "binding_message": "Pay 20 EUR" })
}

/// Waits until the script says this thing of itself; returns the whole line.
async fn said(process: &mut Process, name: &str) -> Result<Value> {
    process
        .wait_json(name, PATIENCE, |line| line.get(name).is_some())
        .await
}

/// Waits for the script's end; returns the answers to its polls.
async fn polls(process: &mut Process) -> Result<Vec<Value>> {
    let status = process.finish(PATIENCE).await?;
    ensure!(status.success(), "{}", process.stderr());
    let lines = process
        .stdout()
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<Value>, _>>()?;
    Ok(lines
        .into_iter()
        .filter(|line| line.get("polled").is_some())
        .collect())
}

/// openid-client asks, polls while the request is pending, and gets what it asked for. Returns all that it said.
async fn openid_client_gets_tokens(provider: &Provider, told: Value) -> Result<Value> {
    let mut client = provider.run("openid-client.mjs", told).await?;
    let asked = said(&mut client, "asked").await?["asked"].take();
    assert_eq!(
        (&asked["expires_in"], &asked["interval"]),
        (&json!(300), &json!(1))
    );
    let pending = said(&mut client, "polled").await?;
    assert_eq!(
        (&pending["polled"], &pending["status"]),
        (&json!("authorization_pending"), &json!(400))
    );
    provider.decide(&asked, "allow").await?;
    let granted = said(&mut client, "granted").await?;
    assert_eq!(granted["granted"]["token_type"], "bearer", "{granted}");
    assert_eq!(granted["granted"]["scope"], "openid email offline_access");
    assert_eq!(granted["claims"]["sub"], "alice");
    let user = said(&mut client, "user").await?;
    assert_eq!(
        user["user"],
        json!({ "sub": "alice", "email": "alice@example.com" })
    );
    let refreshed = said(&mut client, "refreshed").await?;
    assert_ne!(
        refreshed["refreshed"]["refresh_token"],
        granted["granted"]["refresh_token"]
    );
    let polls = polls(&mut client).await?;
    assert!(
        polls.iter().all(|poll| poll["polled"] != "slow_down"),
        "{polls:?}"
    );
    Ok(granted)
}

#[tokio::test]
async fn c_275_openid_client_polls_at_its_interval_to_tokens_and_is_never_slowed_down() -> Result<()> {
    let provider = Provider::start("").await?;
    for method in ["client_secret_basic", "client_secret_post"] {
        let registration = registration("poll", &[("token_endpoint_auth_method", method)]);
        let told = json!({ "registration": registration, "ask": ask() });
        let granted = openid_client_gets_tokens(&provider, told).await?;
        assert_eq!(granted["claims"]["alg"], "RS256", "{method}");
    }
    Ok(())
}

#[tokio::test]
async fn c_075_c_160_openid_client_signs_its_authentication_and_its_request() -> Result<()> {
    let provider = Provider::start("").await?;
    for alg in ["ES256", "PS256"] {
        let signs = [
            ("token_endpoint_auth_method", "private_key_jwt"),
            ("token_endpoint_auth_signing_alg", alg),
            ("backchannel_authentication_request_signing_alg", alg),
            ("id_token_signed_response_alg", alg),
        ];
        let told = json!({ "registration": registration("poll", &signs), "ask": ask(), "alg": alg });
        let granted = openid_client_gets_tokens(&provider, told).await?;
        assert_eq!(granted["claims"]["alg"], alg);
    }
    Ok(())
}

#[tokio::test]
async fn c_308_the_library_verifies_an_id_token_that_is_signed_with_eddsa() -> Result<()> {
    let provider = Provider::start("").await?;
    let registration = registration("poll", &[("id_token_signed_response_alg", "EdDSA")]);
    let told = json!({ "registration": registration, "ask": ask() });
    let granted = openid_client_gets_tokens(&provider, told).await?;
    assert_eq!(granted["claims"]["alg"], "EdDSA");
    Ok(())
}

#[tokio::test]
async fn c_266_c_268_openid_client_is_told_of_a_denial_and_of_the_end() -> Result<()> {
    let provider = Provider::start("").await?;
    let told = json!({ "registration": registration("poll", &[]), "ask": ask() });
    let mut client = provider.run("openid-client.mjs", told).await?;
    let asked = said(&mut client, "asked").await?["asked"].take();
    provider.decide(&asked, "deny").await?;
    let refused = said(&mut client, "refused").await?;
    assert_eq!(refused["refused"], "access_denied");

    let mut short = ask();
    short["requested_expiry"] = json!("3");
    let told = json!({ "registration": registration("poll", &[]), "ask": short });
    let mut client = provider.run("openid-client.mjs", told).await?;
    assert_eq!(said(&mut client, "asked").await?["asked"]["expires_in"], 3);
    let refused = said(&mut client, "refused").await?;
    assert_eq!(refused["refused"], "expired_token");
    Ok(())
}

#[tokio::test]
async fn c_004_the_library_reads_what_the_provider_refuses() -> Result<()> {
    let provider = Provider::start("").await?;
    for (member, value, code) in [
        ("login_hint", "nobody@example.com", "unknown_user_id"),
        ("scope", "email", "invalid_scope"),
        ("binding_message", "two\nlines", "invalid_binding_message"),
        ("authorization_details", "{}", "invalid_authorization_details"),
    ] {
        let mut wrong = ask();
        wrong[member] = json!(value);
        let told = json!({ "registration": registration("poll", &[]), "ask": wrong });
        let mut client = provider.run("openid-client.mjs", told).await?;
        let refused = said(&mut client, "refused").await?;
        assert_eq!(
            (&refused["refused"], &refused["status"]),
            (&json!(code), &json!(400))
        );
    }
    Ok(())
}

#[tokio::test]
async fn c_012_openid_client_waits_out_a_restart_of_the_server() -> Result<()> {
    let mut provider = Provider::start("long_poll = 20").await?;
    let told = json!({ "registration": registration("poll", &[]), "ask": ask() });
    let mut client = provider.run("openid-client.mjs", told).await?;
    let asked = said(&mut client, "asked").await?["asked"].take();
    let is_poll = |line: &Value| line["polling"] == "/oauth2/token";
    client.wait_json("a poll", PATIENCE, is_poll).await?;
    provider.is_there().await?;
    provider.server.process.signal(Signal::TERM)?;
    let away = said(&mut client, "polled").await?;
    assert_eq!(
        (&away["polled"], &away["status"]),
        (&json!("temporarily_unavailable"), &json!(503))
    );
    provider.server.process.exit(PATIENCE).await?;
    provider.server = provider.world.server_with_store(&provider.config).await?;
    provider.decide(&asked, "allow").await?;
    let granted = said(&mut client, "granted").await?;
    assert_eq!(granted["claims"]["sub"], "alice");
    Ok(())
}

#[tokio::test]
async fn c_330_openid_client_is_pinged_over_https_and_gets_its_tokens() -> Result<()> {
    let provider = Provider::start("").await?;
    let told = json!({ "registration": registration("ping", &[]), "ask": ask(), "tls": provider.tls() });
    let mut client = provider.run("openid-client.mjs", told).await?;
    let asked = said(&mut client, "asked").await?["asked"].take();
    provider.decide(&asked, "allow").await?;
    let pinged = said(&mut client, "pinged").await?;
    assert_eq!(pinged["pinged"], json!({ "auth_req_id": asked["auth_req_id"] }));
    let granted = said(&mut client, "granted").await?;
    assert_eq!(granted["claims"]["sub"], "alice");
    assert_eq!(polls(&mut client).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn c_361_what_is_pushed_over_https_is_what_jose_computes() -> Result<()> {
    let provider = Provider::start("").await?;
    for alg in ["RS256", "ES256", "EdDSA"] {
        let registration = registration("push", &[("id_token_signed_response_alg", alg)]);
        let told = json!({ "registration": registration, "ask": ask(), "tls": provider.tls() });
        let mut client = provider.run("push.mjs", told).await?;
        let asked = said(&mut client, "asked").await?["asked"].take();
        assert!(asked.get("interval").is_none(), "{asked}");
        provider.decide(&asked, "allow").await?;
        let pushed = said(&mut client, "pushed").await?;
        assert!(pushed["pushed"]["refresh_token"].is_string(), "{pushed}");
        assert_eq!(
            (&pushed["claims"]["sub"], &pushed["claims"]["alg"]),
            (&json!("alice"), &json!(alg))
        );
    }
    Ok(())
}

#[tokio::test]
async fn c_366_a_denial_is_pushed_without_tokens() -> Result<()> {
    let provider = Provider::start("").await?;
    let told = json!({ "registration": registration("push", &[]), "ask": ask(), "tls": provider.tls() });
    let mut client = provider.run("push.mjs", told).await?;
    let asked = said(&mut client, "asked").await?["asked"].take();
    provider.decide(&asked, "deny").await?;
    let pushed = said(&mut client, "pushed").await?["pushed"].take();
    assert_eq!(pushed["error"], "access_denied", "{pushed}");
    assert!(pushed.get("access_token").is_none() && pushed.get("id_token").is_none());
    Ok(())
}

#[tokio::test]
async fn c_270_oauth4webapi_takes_each_step_by_itself() -> Result<()> {
    let provider = Provider::start("").await?;
    let told = json!({ "client_id": "reports", "client_secret": "known-to-both-sides", "ask": ask() });
    let mut client = provider.run("oauth4webapi.mjs", told).await?;
    let asked = said(&mut client, "asked").await?["asked"].take();
    said(&mut client, "polled").await?;
    provider.decide(&asked, "allow").await?;
    let granted = said(&mut client, "granted").await?;
    assert_eq!(granted["claims"]["aud"], "reports");
    let refreshed = said(&mut client, "refreshed").await?;
    assert_ne!(
        refreshed["refreshed"]["refresh_token"],
        granted["granted"]["refresh_token"]
    );
    Ok(())
}
