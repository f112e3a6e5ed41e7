//! A real OpenID provider (npm `oidc-provider`) on loopback, with controls that make it fail on purpose.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::script::Script;
use crate::wait::{PATIENCE, until};

/// How long one start may take. Once in some hundred starts on a busy machine Node hangs before the provider listens.
const START_WITHIN: Duration = Duration::from_secs(20);

/// How often it is started.
const STARTS: usize = 3;

/// A running provider. `interop/idp/README.md` lists its options and controls.
pub struct Idp {
    /// The issuer, `http://127.0.0.1:PORT`.
    pub issuer: String,
    /// The confidential client (`client_secret_basic`).
    pub client_id: String,
    /// The confidential client's secret, new at every start.
    pub client_secret: String,
    /// The public client, for PKCE alone.
    pub public_client_id: String,
    script: Script,
    http: reqwest::Client,
}

impl Idp {
    /// Starts the provider with the options of `idp.mjs` and returns when it serves.
    pub async fn start(options: &[&str]) -> Result<Self> {
        Self::start_with(options, None).await
    }

    /// The same; it trusts an authority, a file of PEM, beside node's own.
    pub async fn start_trusting(authority: &Path, options: &[&str]) -> Result<Self> {
        Self::start_with(options, Some(authority)).await
    }

    async fn start_with(options: &[&str], authority: Option<&Path>) -> Result<Self> {
        let mut started = Self::start_once(options, authority).await;
        for _ in 1..STARTS {
            if started.is_err() {
                started = Self::start_once(options, authority).await;
            }
        }
        started
    }

    async fn start_once(options: &[&str], authority: Option<&Path>) -> Result<Self> {
        let variable = authority.map(|file| ("NODE_EXTRA_CA_CERTS", file.as_os_str()));
        let mut script = Script::start_in("idp", "idp.mjs", options, variable)?;
        let ready = script
            .process()
            .wait_json("its ready line", START_WITHIN, |line| line["issuer"].is_string())
            .await?;
        let field = |name: &str| {
            ready[name]
                .as_str()
                .map(str::to_owned)
                .with_context(|| format!("the ready line has {name}"))
        };
        Ok(Self {
            issuer: field("issuer")?,
            client_id: field("client_id")?,
            client_secret: field("client_secret")?,
            public_client_id: field("public_client_id")?,
            script,
            http: reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?,
        })
    }

    /// Changes settings while it runs, such as `{"login": "auto:alice", "atTtl": 2}`.
    pub async fn set(&self, settings: &Value) -> Result<()> {
        self.post("set", settings).await.map(drop)
    }

    /// Queues a fault, such as `{"path": "/token", "mode": "status", "status": 503, "times": 1}`.
    pub async fn fail(&self, fault: &Value) -> Result<()> {
        self.post("fail", fault).await.map(drop)
    }

    /// Drops faults and counts, and brings removed accounts back.
    pub async fn clear(&self) -> Result<()> {
        self.post("clear", &json!({})).await.map(drop)
    }

    /// Ends every grant given so far; with an account, that account is gone as well.
    pub async fn revoke(&self, account: Option<&str>) -> Result<()> {
        let body = account.map_or_else(|| json!({}), |account| json!({ "account": account }));
        self.post("revoke", &body).await.map(drop)
    }

    /// Returns settings, queued faults and the count of requests by path.
    pub async fn state(&self) -> Result<Value> {
        let response = self
            .http
            .get(format!("{}/_test/state", self.issuer))
            .send()
            .await?;
        Ok(response.error_for_status()?.json().await?)
    }

    /// Waits until a backchannel request asks a person, and returns its `auth_req_id`.
    pub async fn asked(&self) -> Result<String> {
        until("a backchannel request", PATIENCE, async || {
            let state = self.state().await.ok()?;
            let requests = state["ciba"].as_object()?;
            let mut pending = requests
                .iter()
                .filter(|(_, request)| request["state"] == "pending");
            pending.next().map(|(id, _)| id.clone())
        })
        .await
    }

    /// Decides a backchannel request: `approve` or `deny`.
    pub async fn decide(&self, auth_req_id: &str, result: &str) -> Result<()> {
        let body = json!({ "auth_req_id": auth_req_id, "result": result });
        self.post("ciba", &body).await.map(drop)
    }

    /// The process behind the provider.
    pub fn script(&mut self) -> &mut Script {
        &mut self.script
    }

    async fn post(&self, control: &str, body: &Value) -> Result<Value> {
        let response = self
            .http
            .post(format!("{}/_test/{control}", self.issuer))
            .json(body)
            .send()
            .await?;
        Ok(response.error_for_status()?.json().await?)
    }
}
