//! The whole road as a person goes it: `ciba start`, a real browser, `curl` with the token.

use std::path::Path;
use std::sync::Once;

use anyhow::{Context, Result, ensure};
use ciba_tests::{Browser, Login, PATIENCE, Server, World};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::Value;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::site::{RESOURCE, Site};

/// A phone's screen, CSS pixels.
const PHONE: (u32, u32) = (390, 844);

/// Where to keep pictures of the pages; without it they go with the test.
const PICTURES: &str = "CIBA_TEST_PICTURES";

#[tokio::test]
async fn a_person_logs_in_at_the_built_in_provider() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    let login = world.begin_login(&["start", "--url", &server.url]).await?;
    let browser = Browser::start().await?;
    confirm(&browser, &login, "built-in").await?;
    browser.login_built_in("bob", "demo").await?;
    signed_in(&browser, "Bob Example", "built-in").await?;
    browser.close().await?;
    let done = login.end().await?;
    assert!(done.stderr.contains("Logged in as Bob Example"), "{done:?}");
    let _ = done.success();
    let api = server.ready["demo_api"].as_str().context("a demo API")?;
    assert_eq!(call_by_curl(&world, api).await?["sub"], "bob");
    Ok(())
}

#[tokio::test]
async fn a_person_logs_in_at_a_provider_that_is_not_ours() -> Result<()> {
    let site = Site::new(&[]).await?;
    let server: Server = site.server().await?;
    let login = site.world.begin_login(&["start", "--url", &server.url]).await?;
    let browser = Browser::start().await?;
    confirm(&browser, &login, "oidc-provider").await?;
    browser.login_oidc_provider("alice").await?;
    signed_in(&browser, "alice", "oidc-provider").await?;
    browser.close().await?;
    let _ = login.end().await?.success();

    let api = resource_server(&site.idp.issuer).await?;
    let url = format!("{}/hello", api.uri());
    assert_eq!(call_by_curl(&site.world, &url).await?["sub"], "alice");
    let without = reqwest::Client::builder().no_proxy().build()?.get(&url).send();
    assert_eq!(without.await?.status(), 401, "the API does look at the token");
    let _ = site.world.ciba(&["stop"]).await?.success();
    site.world.until_no_daemon().await
}

/// The person reads our page on a phone, finds the terminal's code there, and goes on.
async fn confirm(browser: &Browser, login: &Login, name: &str) -> Result<()> {
    let (width, height) = PHONE;
    browser.session().set_window_rect(0, 0, width, height).await?;
    browser.goto(&login.page).await?;
    browser.wait_text(&login.user_code).await?;
    picture(browser, &format!("{name}-confirm.png")).await?;
    browser.login_confirm_code().await
}

async fn signed_in(browser: &Browser, subject: &str, name: &str) -> Result<()> {
    let text = browser.wait_text("You are signed in").await?;
    assert!(text.contains(subject), "{text}");
    picture(browser, &format!("{name}-signed-in.png")).await
}

async fn picture(browser: &Browser, file: &str) -> Result<()> {
    let own = tempfile::tempdir()?;
    let folder = std::env::var_os(PICTURES);
    let folder = folder.as_deref().map_or(own.path(), Path::new);
    browser.screenshot(&folder.join(file)).await
}

/// Calls an API both ways the README shows; returns what it answered.
async fn call_by_curl(world: &World, url: &str) -> Result<Value> {
    let ways = [
        r#"curl -sS --fail-with-body -H "Authorization: Bearer $(ciba token)" "$0""#,
        r#"ciba token --header | curl -sS --fail-with-body -H @- "$0""#,
    ];
    let mut answer = Value::Null;
    for way in ways {
        let mut command = world.command("/bin/sh");
        command.args(["-c", way, url]);
        let mut shell = world.spawn(command)?;
        let status = shell.exit(PATIENCE).await?;
        answer = shell
            .wait_json("an answer", PATIENCE, |_| true)
            .await
            .context(way)?;
        ensure!(status.success(), "{way}: {answer}");
    }
    Ok(answer)
}

/// An API that knows of the provider only its issuer and its key set.
struct ResourceServer {
    issuer: String,
    keys: JwkSet,
}

async fn resource_server(issuer: &str) -> Result<MockServer> {
    static CRYPTOGRAPHY: Once = Once::new();
    CRYPTOGRAPHY.call_once(|| {
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    });
    let http = reqwest::Client::builder().no_proxy().build()?;
    let keys = http.get(format!("{issuer}/jwks")).send().await?.json().await?;
    let server = MockServer::start().await;
    let api = ResourceServer {
        issuer: issuer.to_owned(),
        keys,
    };
    Mock::given(path("/hello")).respond_with(api).mount(&server).await;
    Ok(server)
}

impl ResourceServer {
    /// Returns the claims of a token that is meant for this API and was signed by the provider (RFC 9068 §4).
    fn check(&self, token: &str) -> Option<Value> {
        let header = decode_header(token).ok()?;
        let key = DecodingKey::from_jwk(self.keys.find(header.kid.as_deref()?)?).ok()?;
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[RESOURCE]);
        validation.set_issuer(&[&self.issuer]);
        let decoded = decode::<Value>(token, &key, &validation).ok()?;
        Some(decoded.claims)
    }
}

impl Respond for ResourceServer {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let header = request
            .headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let token = header.and_then(|header| header.strip_prefix("Bearer "));
        match token.and_then(|token| self.check(token)) {
            Some(claims) => ResponseTemplate::new(200).set_body_json(claims),
            None => ResponseTemplate::new(401),
        }
    }
}
