//! A server that asks people on behalf of clients, and the calls of a client of it.

use reqwest::header::HeaderValue;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value;

use crate::kit::browser::http;
use crate::kit::server::Server;
use crate::kit::signer::Signer;
use crate::kit::site::Site;
use crate::kit::until;

/// Opens the approval hook.
pub(crate) const HOOK: &str = "the-secret-of-the-test-hook-of-a-server-on-loopback";

/// The clients' secret.
pub(crate) const SECRET: &str = "a-secret-of-256-bits-that-only-a-test-would-write-down";

/// What is asked for when it does not matter.
pub(crate) const ASK: [(&str, &str); 2] = [("scope", "openid"), ("login_hint", "alice@example.com")];

/// Settings of `[ciba]` under which no limit of C-405 is ever reached.
pub(crate) const NO_LIMITS: &str = "[ciba.limits]\nrequests_per_minute = 0\nundecided_per_client = 0\n\
     undecided_per_user = 0\nlooks_per_minute = 0\n";

/// The path of the backchannel authentication endpoint.
pub(crate) const ASKING: &str = "/oauth2/bc-authorize";

/// A server with `[ciba]` on.
pub(crate) struct Provider {
    pub(crate) site: Site,
    pub(crate) server: Server,
    http: Client,
}

/// What is asked with, and how it is answered: status and code.
pub(crate) type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], (u16, &'a str));

/// An answer of it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

/// Returns a site whose server asks people; `ciba` is TOML of its section.
pub(crate) fn site(ciba: &str) -> Site {
    // Nobody signs in at this provider: the test hook decides.
    site_at("http://127.0.0.1:9", ciba)
}

/// Returns such a site where people sign in at this provider.
pub(crate) fn site_at(issuer: &str, ciba: &str) -> Site {
    let hook = format!("test_hook_secret = \"{HOOK}\"\n{ciba}");
    hookless(Site::new(issuer), &hook)
}

/// Returns such a site where nobody decides, as one that is reached from elsewhere must be (C-235).
pub(crate) fn site_without_hook(ciba: &str) -> Site {
    hookless(Site::new("http://127.0.0.1:9"), ciba)
}

fn hookless(site: Site, ciba: &str) -> Site {
    // Tests wait by looking, and a slow machine looks often.
    let looks = if ciba.contains("[ciba.limits]") {
        ""
    } else {
        "limits.looks_per_minute = 0\n"
    };
    site.and(format!(
        "[ciba]\nenabled = true\n{looks}{ciba}\n\
         [[user]]\nsub = \"alice-1\"\nemail = \"alice@example.com\"\nusername = \"alice\"\nname = \"Alice\"\n\
         [[user]]\nsub = \"bob-2\"\nemail = \"bob@example.com\"\n{}",
        client("agent", "")
    ))
}

/// Returns TOML of a poll client of this name; `more` is more of it.
pub(crate) fn client(id: &str, more: &str) -> String {
    let mode = if more.contains("delivery_mode") {
        ""
    } else {
        "backchannel_token_delivery_mode = \"poll\"\n"
    };
    format!(
        "[[client]]\nclient_id = \"{id}\"\nclient_secret = \"{SECRET}\"\nclient_name = \"The {id}\"\n\
         grant_types = [\"urn:openid:params:grant-type:ciba\", \"refresh_token\"]\n{mode}{more}\n"
    )
}

/// Returns TOML of a poll client that proves itself with `private_key_jwt`; `more` is more of it.
pub(crate) fn signing_client(id: &str, signer: &Signer, more: &str) -> String {
    format!(
        "[[client]]\nclient_id = \"{id}\"\nclient_name = \"The {id}\"\n\
         token_endpoint_auth_method = \"private_key_jwt\"\nbackchannel_token_delivery_mode = \"poll\"\n\
         grant_types = [\"urn:openid:params:grant-type:ciba\"]\njwks = {}\n{more}\n",
        signer.toml()
    )
}

/// Fails with all that is wrong in a table of answers.
#[derive(Default)]
pub(crate) struct Table(Vec<String>);

impl Table {
    /// Takes one row: what was sent, and what the answer should be.
    pub(crate) fn row(&mut self, what: &str, answer: &Answer, expected: (u16, &str)) {
        if let Err(wrong) = answer.is_well_formed() {
            self.0.push(format!("{what}: {wrong}: {answer:?}"));
        }
        if answer.refusal() != expected {
            self.0.push(format!("{what}: {expected:?} expected: {answer:?}"));
        }
    }

    pub(crate) fn end(self) {
        assert!(self.0.is_empty(), "{:#?}", self.0);
    }
}

impl Provider {
    pub(crate) async fn start(mut site: Site) -> Self {
        let server = site.start().await;
        Self {
            site,
            server,
            http: http(),
        }
    }

    /// A server with nothing out of the ordinary.
    pub(crate) async fn plain() -> Self {
        Self::start(site("")).await
    }

    /// Ends the server as a power cut would, and starts it again.
    pub(crate) async fn crash(self) -> Self {
        let Self {
            mut site,
            server,
            http,
        } = self;
        server.kill().await;
        let server = site.start().await;
        Self { site, server, http }
    }

    /// The same server, called where it listens instead of at its public URL.
    pub(crate) fn at_its_address(mut self) -> Self {
        self.server.url = format!("http://{}", self.server.address);
        self
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.url)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(self.url(path))
    }

    /// Posts a form as this client.
    pub(crate) async fn form_as(&self, client: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.post(path).basic_auth(client, Some(SECRET));
        Answer::of(request.form(form)).await
    }

    /// Asks for a person as `agent`, with these parameters in place of those of [`ASK`] or beside them.
    pub(crate) async fn ask(&self, with: &[(&str, &str)]) -> Answer {
        self.ask_as("agent", with).await
    }

    pub(crate) async fn ask_as(&self, client: &str, with: &[(&str, &str)]) -> Answer {
        let kept = ASK
            .iter()
            .filter(|(name, _)| !with.iter().any(|(other, _)| other == name));
        let form: Vec<_> = kept.chain(with).copied().collect();
        self.form_as(client, "/oauth2/bc-authorize", &form).await
    }

    /// Asks with each of these, and compares status and code; the code of a good answer is empty.
    pub(crate) async fn table(&self, rows: &[Row<'_>]) {
        let mut table = Table::default();
        for (what, with, expected) in rows {
            table.row(what, &self.ask(with).await, *expected);
        }
        table.end();
    }

    /// Asks, and returns the `auth_req_id`.
    pub(crate) async fn asked(&self, with: &[(&str, &str)]) -> String {
        let answer = self.ask(with).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text("auth_req_id")
    }

    /// Polls as `agent`.
    pub(crate) async fn poll(&self, auth_req_id: &str) -> Answer {
        self.poll_as("agent", auth_req_id).await
    }

    pub(crate) async fn poll_as(&self, client: &str, auth_req_id: &str) -> Answer {
        let form = [
            ("grant_type", "urn:openid:params:grant-type:ciba"),
            ("auth_req_id", auth_req_id),
        ];
        self.form_as(client, "/oauth2/token", &form).await
    }

    /// The person says yes.
    pub(crate) async fn allow(&self, auth_req_id: &str) -> Answer {
        self.decide(auth_req_id, "allow").await
    }

    /// The person says no.
    pub(crate) async fn deny(&self, auth_req_id: &str) -> Answer {
        self.decide(auth_req_id, "deny").await
    }

    async fn decide(&self, auth_req_id: &str, action: &str) -> Answer {
        let path = format!("/ciba/test-hook/{HOOK}?auth_req_id={auth_req_id}&action={action}");
        Answer::of(self.post(&path)).await
    }

    /// Waits until a request has expired.
    pub(crate) async fn until_expired(&self, auth_req_id: &str) {
        let is_over = async || {
            let refused = self.verify(auth_req_id).await;
            (refused.refusal() == (400, "expired_token")).then_some(())
        };
        until("the expiry", is_over).await;
    }

    /// Runs an administrator's command beside the server; returns what it prints, if that is JSON.
    pub(crate) async fn admin(&self, name: &str, arguments: &[&str]) -> Value {
        let mut command = self.site.command(name);
        command.args(arguments);
        let mut process = ciba_tests::Process::spawn(command).unwrap();
        let output = ciba_tests::Output::of(&mut process).await.unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_str(&output.stdout).unwrap_or(Value::Null)
    }

    /// What an approval page asks about a request.
    pub(crate) async fn verify(&self, auth_req_id: &str) -> Answer {
        let url = self.url(&format!("/ciba/verify?auth_req_id={auth_req_id}"));
        Answer::of(self.http.get(url)).await
    }
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.unwrap();
        Self {
            status,
            headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }

    /// Checks what every answer has (C-003, C-004).
    pub(crate) fn is_well_formed(&self) -> Result<(), &'static str> {
        let header = |name: &str| self.headers.get(name).map(HeaderValue::as_bytes);
        let is_plain = |text: &str| {
            let mut bytes = text.bytes();
            bytes.all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e))
        };
        if header("content-type") != Some(b"application/json") {
            return Err("it is not JSON");
        }
        if header("cache-control") != Some(b"no-store") {
            return Err("caches may keep it");
        }
        if self.status.is_success() {
            return Ok(());
        }
        let body = self.body.as_object().ok_or("it has no body")?;
        let known = ["error", "error_description", "error_uri"];
        if !body.contains_key("error") || !body.keys().all(|name| known.contains(&name.as_str())) {
            return Err("it has other members");
        }
        match body.values().all(|value| value.as_str().is_some_and(is_plain)) {
            true => Ok(()),
            false => Err("a text has characters that RFC 6749 does not allow"),
        }
    }

    pub(crate) fn text(&self, member: &str) -> String {
        self.body[member].as_str().unwrap_or_default().to_owned()
    }

    /// Status and error code.
    pub(crate) fn refusal(&self) -> (u16, &str) {
        (
            self.status.as_u16(),
            self.body["error"].as_str().unwrap_or_default(),
        )
    }

    /// Returns the claims of a JWT in the answer. Nothing is verified.
    pub(crate) fn claims(&self, member: &str) -> Value {
        use base64ct::{Base64UrlUnpadded, Encoding as _};
        let token = self.text(member);
        let payload = token.split('.').nth(1).unwrap();
        serde_json::from_slice(&Base64UrlUnpadded::decode_vec(payload).unwrap()).unwrap()
    }
}
