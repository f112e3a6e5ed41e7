//! Our own server as the peer, as an operator runs it: poll, ping and `private_key_jwt`, and a second program that polls.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ciba_tests::{Output, PATIENCE, Seat, Server, confirm, free_port, until};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, PublicKeyData as _, RsaKeySize};
use serde_json::{Value, json};

use super::Asking;
use crate::site::{Site, UNASKED};

const CLIENT: &str = "agent";
const SECRET: &str = "a-secret-of-256-bits-that-only-a-test-would-write-down";
const GRANT: &str = "urn:openid:params:grant-type:ciba";

/// Whom the client asks.
const HINT: [&str; 2] = ["--login-hint", "alice@example.com"];

/// A server with one client; Alice has a login there, and decides in the terminal.
struct Ours {
    site: Site,
    server: Server,
}

impl Ours {
    /// Starts it; both are TOML: of the section `[ciba]`, and of the client.
    async fn start(ciba: &str, client: &str) -> Result<Self> {
        let site = Site::new(&UNASKED).await?;
        let config = format!(
            "{}[ciba]\nenabled = true\n{ciba}\n[[client]]\nclient_id = \"{CLIENT}\"\n\
             grant_types = [\"{GRANT}\"]\n{client}\n[[user]]\nsub = \"alice\"\nemail = \"alice@example.com\"\n",
            site.config()
        );
        let server = site.world.server(&config).await?;
        let login = site.world.begin_login(&["start", "--url", &server.url]).await?;
        confirm(&login.page).await?;
        let _ = login.end().await?.success();
        Ok(Self { site, server })
    }

    fn asking(&self) -> Asking<'_> {
        Asking {
            world: &self.site.world,
            issuer: &self.server.url,
            client_id: CLIENT,
        }
    }

    /// Waits until Alice is asked, and returns the link of the page.
    async fn asked(&self) -> Result<String> {
        until("a request", PATIENCE, async || {
            let listed = self.site.world.ciba(&["approvals", "--json"]).await.ok()?;
            let request: Value = serde_json::from_str(listed.stdout.lines().next()?).ok()?;
            request["url"].as_str().map(str::to_owned)
        })
        .await
    }

    /// Alice decides at her terminal: `approve` or `deny`.
    async fn decide(&self, word: &str) -> Result<()> {
        let line = format!("{} {word}", ciba_tests::binary("ciba").display());
        let mut seat = Seat::take(&self.site.world, &line)?;
        seat.until_shown("? [y/N] ").await?;
        seat.write_line("y").await?;
        seat.end().await?;
        Ok(())
    }

    /// A client asks, Alice says yes, and the token comes.
    async fn approve(&self, options: &[&str]) -> Result<()> {
        let mut request = self.asking().begin(&[&HINT, options].concat())?;
        self.asked().await?;
        self.decide("approve").await?;
        assert!(!Output::of(&mut request).await?.success().is_empty());
        Ok(())
    }
}

fn with_secret(mode: &str) -> String {
    format!("client_secret = \"{SECRET}\"\nbackchannel_token_delivery_mode = \"{mode}\"")
}

#[tokio::test]
async fn alice_says_yes_and_no_in_her_terminal() -> Result<()> {
    let ours = Ours::start("interval = 1", &with_secret("poll")).await?;
    ours.asking().keep(SECRET, &[]).await?;
    ours.approve(&["--binding-message", "deploy-7f3a"]).await?;

    let mut request = ours.asking().begin(&HINT)?;
    ours.asked().await?;
    ours.decide("deny").await?;
    let denied = Output::of(&mut request).await?;
    assert_eq!(
        (denied.code(), denied.stdout.as_str()),
        (Some(5), ""),
        "{denied:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_ping_comes_long_before_the_interval_is_over() -> Result<()> {
    let listen = format!("127.0.0.1:{}", free_port()?);
    let endpoint = format!("backchannel_client_notification_endpoint = \"http://{listen}/ping\"");
    let client = format!("{}\n{endpoint}", with_secret("ping"));
    // Without the ping the next question would come after the test's patience.
    let interval = PATIENCE.as_secs();
    let ours = Ours::start(&format!("modes = [\"ping\"]\ninterval = {interval}"), &client).await?;
    ours.asking().keep(SECRET, &[]).await?;
    ours.approve(&["--mode", "ping", "--ping-listen", &listen]).await
}

#[tokio::test]
async fn a_client_proves_itself_with_its_key() -> Result<()> {
    let curve = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    for key in [&curve, &rsa] {
        let client = format!(
            "token_endpoint_auth_method = \"private_key_jwt\"\nbackchannel_token_delivery_mode = \"poll\"\n\
             jwks = {{ keys = [{}] }}",
            jwk(key)?
        );
        let ours = Ours::start("interval = 1", &client).await?;
        let file = ours.site.world.home().join("key.pem");
        fs::write(&file, key.serialize_pem())?;
        let file = file.to_str().context("a path")?;
        ours.approve(&["--client-key-file", file]).await?;
    }
    Ok(())
}

/// Returns the public key as an inline table of TOML.
fn jwk(key: &KeyPair) -> Result<String> {
    use base64ct::{Base64UrlUnpadded, Encoding as _};
    let encoded = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
    let public = key.der_bytes();
    if key.is_compatible(&PKCS_ECDSA_P256_SHA256) {
        // An uncompressed point: 4, x, y (SEC 1 §2.3.3).
        let (x, y) = public[1..].split_at(32);
        let (x, y) = (encoded(x), encoded(y));
        return Ok(format!(
            "{{ kty = \"EC\", crv = \"P-256\", x = \"{x}\", y = \"{y}\" }}"
        ));
    }
    // RSAPublicKey (RFC 8017 §A.1.1): a sequence of the modulus, 256 bytes after a zero byte, and the exponent 65537.
    let modulus = public.get(9..9 + 256).context("a modulus of 2048 bits")?;
    Ok(format!(
        "{{ kty = \"RSA\", n = \"{}\", e = \"AQAB\" }}",
        encoded(modulus)
    ))
}

#[tokio::test]
async fn a_second_program_that_polls_costs_time_and_no_token() -> Result<()> {
    let interval = Duration::from_secs(1);
    let ours = Ours::start("interval = 1", &with_secret("poll")).await?;
    ours.asking().keep(SECRET, &[]).await?;
    let mut request = ours.asking().begin(&HINT)?;
    let page = reqwest::Url::parse(&ours.asked().await?)?;
    let id = page.query_pairs().find(|(name, _)| name == "auth_req_id");
    let (_, id) = id.context("an auth_req_id")?;

    // The daemon has to meet a question of this one at least once.
    let (began, mut slowed) = (Instant::now(), 0);
    while began.elapsed() < 3 * interval {
        let error = poll(&ours.server, &id).await?["error"].take();
        assert!(
            error == "slow_down" || error == "authorization_pending",
            "{error}"
        );
        slowed += u32::from(error == "slow_down");
    }
    assert!(slowed > 0);
    ours.decide("approve").await?;
    assert!(!Output::of(&mut request).await?.success().is_empty());
    Ok(())
}

async fn poll(server: &Server, auth_req_id: &str) -> Result<Value> {
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let form = json!({ "grant_type": GRANT, "auth_req_id": auth_req_id });
    let post = http.post(format!("{}/oauth2/token", server.url)).form(&form);
    Ok(post.basic_auth(CLIENT, Some(SECRET)).send().await?.json().await?)
}
