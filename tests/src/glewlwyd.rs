//! Another OpenID provider that is not ours, in C (Debian's `glewlwyd`): CIBA by poll and ping, and one person who approves
//! or denies over its own API.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use reqwest::header::LOCATION;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::Process;
use crate::wait::{PATIENCE, until};
use crate::world::free_port;

/// What its package creates an empty database with.
const SCHEMA: &str = "/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3";

/// The administrator of an empty database.
const ADMIN: (&str, &str) = ("admin", "password");

/// The person that is asked.
const PERSON: (&str, &str) = ("ada", "ada-password");

/// A running provider with one client and one person; it ends when it is dropped.
pub struct Glewlwyd {
    /// The issuer, `http://127.0.0.1:PORT/api/oidc`.
    pub issuer: String,
    /// The client, which proves itself with `client_secret_basic` or `client_secret_post`.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
    /// The `login_hint` of the person who is asked, in this provider's own form.
    pub hint: String,
    api: String,
    person_session: reqwest::Client,
    _process: Process,
    _home: TempDir,
}

impl Glewlwyd {
    /// Starts it. With an address for pings the client is a ping client, else a poll client.
    pub async fn start(ping: Option<&str>) -> Result<Self> {
        let home = TempDir::with_prefix("glewlwyd-")?;
        let port = free_port()?;
        let process = serve(home.path(), port).await?;
        let api = format!("http://127.0.0.1:{port}/api");
        ready(&api).await?;
        let provider = Self {
            issuer: format!("{api}/oidc"),
            client_id: "agent".into(),
            client_secret: format!("secret-{:016x}", fastrand::u64(..)),
            hint: json!({ "username": PERSON.0 }).to_string(),
            person_session: session()?,
            api,
            _process: process,
            _home: home,
        };
        provider.set_up(ping).await?;
        Ok(provider)
    }

    async fn set_up(&self, ping: Option<&str>) -> Result<()> {
        let admin = session()?;
        self.sign_in(&admin, ADMIN).await?;
        self.post(&admin, "mod/plugin/", &self.plugin()?).await?;
        self.post(&admin, "user/", &person()).await?;
        self.post(&admin, "client/", &self.client(ping)).await?;
        self.sign_in(&self.person_session, PERSON).await?;
        let grant = format!("{}/auth/grant/{}", self.api, self.client_id);
        let granted = self
            .person_session
            .put(grant)
            .json(&json!({ "scope": "openid" }))
            .send()
            .await?;
        ensure!(granted.status().is_success(), "the grant: {}", granted.status());
        Ok(())
    }

    /// Signs with RSA. Of an elliptic curve its library leaves out leading zero bytes of `x` and `y`, which have 32 bytes
    /// whatever their value (RFC 7518 §6.2.1.2); `ciba request` refuses the tokens of such a key, one key in 128.
    fn plugin(&self) -> Result<Value> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        Ok(json!({
            "module": "oidc", "name": "oidc", "display_name": "OIDC", "parameters": {
                "iss": self.issuer, "jwt-type": "rsa", "jwt-key-size": "256",
                "key": key.serialize_pem(), "cert": key.public_key_pem(),
                "access-token-duration": 300, "refresh-token-duration": 3600, "code-duration": 60,
                "auth-type-code-enabled": true, "auth-type-client-enabled": true, "auth-type-refresh-enabled": true,
                "jwks-show": true,
                "oauth-ciba-allowed": true, "oauth-ciba-mode-poll-allowed": true, "oauth-ciba-mode-ping-allowed": true,
                "oauth-ciba-allow-https-non-secure": true,
                "oauth-ciba-default-expiry": 120, "oauth-ciba-maximum-expiry": 300,
            }
        }))
    }

    fn client(&self, ping: Option<&str>) -> Value {
        let mut client = json!({
            "client_id": self.client_id, "name": "Agent", "confidential": true, "enabled": true,
            "password": self.client_secret, "client_secret": self.client_secret,
            "authorization_type": ["urn:openid:params:grant-type:ciba", "refresh_token"],
            "scope": ["openid"],
            "token_endpoint_auth_method": ["client_secret_basic", "client_secret_post"],
            "backchannel_token_delivery_mode": "poll",
        });
        if let Some(address) = ping {
            client["backchannel_token_delivery_mode"] = "ping".into();
            client["backchannel_client_notification_endpoint"] = address.into();
        }
        client
    }

    /// Waits until the person is asked, and returns the number of the question. It is listed a moment before its scopes
    /// are stored, and until then a decision is lost.
    pub async fn asked(&self) -> Result<String> {
        until("a backchannel request", PATIENCE, async || {
            let list = self
                .person_session
                .get(format!("{}/oidc/ciba_user_list", self.api));
            let list: Value = list.send().await.ok()?.json().await.ok()?;
            let question = list.get(0)?;
            let has_scopes = question["scopes"]
                .as_array()
                .is_some_and(|scopes| !scopes.is_empty());
            has_scopes.then(|| question["user_req_id"].as_str().map(str::to_owned))?
        })
        .await
    }

    /// Approves or denies, as the person.
    pub async fn decide(&self, question: &str, approve: bool) -> Result<()> {
        let (word, outcome) = if approve {
            ("g_continue", "complete")
        } else {
            ("cancel", "cancelled")
        };
        let check = format!("{}/oidc/ciba_user_check?{word}&user_req_id={question}", self.api);
        let answer = self.person_session.get(check).send().await?;
        let place = answer.headers().get(LOCATION).context("a redirect")?.to_str()?;
        ensure!(
            place.ends_with(&format!("ciba_message={outcome}")),
            "the decision: {place}"
        );
        Ok(())
    }

    async fn sign_in(&self, session: &reqwest::Client, (name, password): (&str, &str)) -> Result<()> {
        self.post(
            session,
            "auth/",
            &json!({ "username": name, "password": password }),
        )
        .await
    }

    async fn post(&self, session: &reqwest::Client, path: &str, body: &Value) -> Result<()> {
        let answer = session
            .post(format!("{}/{path}", self.api))
            .json(body)
            .send()
            .await?;
        let status = answer.status();
        ensure!(status.is_success(), "{path}: {status}: {}", answer.text().await?);
        Ok(())
    }
}

fn person() -> Value {
    json!({
        "username": PERSON.0, "name": "Ada", "email": "ada@example.test", "password": PERSON.1,
        "enabled": true, "scope": ["openid", "g_profile"],
    })
}

/// What keeps a session's cookie.
fn session() -> Result<reqwest::Client> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .cookie_store(true);
    Ok(client.redirect(reqwest::redirect::Policy::none()).build()?)
}

async fn ready(api: &str) -> Result<()> {
    let client = session()?;
    until("glewlwyd", PATIENCE, async || {
        // Whatever it answers: it serves.
        client.get(api).send().await.ok().map(drop)
    })
    .await
}

async fn serve(home: &Path, port: u16) -> Result<Process> {
    let database = home.join("glewlwyd.db");
    let schema = fs::File::open(SCHEMA).context("Debian's glewlwyd is not installed: run tests/setup.sh")?;
    let made = Command::new("sqlite3")
        .arg(&database)
        .stdin(Stdio::from(schema))
        .status()
        .await?;
    ensure!(made.success(), "no database was made");
    let file = home.join("glewlwyd.conf");
    fs::write(&file, configuration(home, &database, port))?;
    let mut command = Command::new("glewlwyd");
    command.arg(format!("--config-file={}", file.display()));
    Process::spawn(command)
}

fn configuration(home: &Path, database: &Path, port: u16) -> String {
    let (log, database) = (home.join("log"), database.display());
    let log = log.display();
    format!(
        r#"
        port = {port}
        bind_address = "127.0.0.1"
        external_url = "http://127.0.0.1:{port}"
        login_url = "login.html"
        api_prefix = "api"
        log_mode = "file"
        log_level = "DEBUG"
        log_file = "{log}"
        cookie_secure = 0
        session_expiration = 3600
        session_key = "SESSION"
        admin_scope = "g_admin"
        profile_scope = "g_profile"
        user_module_path = "/usr/lib/glewlwyd/user"
        client_module_path = "/usr/lib/glewlwyd/client"
        user_auth_scheme_module_path = "/usr/lib/glewlwyd/scheme"
        plugin_module_path = "/usr/lib/glewlwyd/plugin"
        hash_algorithm = "SHA512"
        database = {{ type = "sqlite3"; path = "{database}"; }};
        "#
    )
}
