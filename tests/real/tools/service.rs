//! A service behind a token, by HTTP and by TLS, and the person at whose machine a tool is run.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use ciba_tests::{Output, PATIENCE, Process, Server, binary, confirm, until};
use serde_json::Value;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::site::{RESOURCE, Site, UNASKED};
use crate::tls::Proxy;

/// How long a token lasts here, in seconds: a tool must be done with one before that, and the next is never far.
const LIFETIME: &str = "20";

/// Where `tests/setup.sh` installs pip, uv and go.
const PYTHON_TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/python/bin");

/// Answers those whose token has not ended, and others with a challenge.
pub(super) struct Service {
    http: MockServer,
    revoked: Arc<Mutex<Vec<String>>>,
    tls: Proxy,
}

impl Service {
    /// Starts it; `answer` is for requests with a token that lasts.
    pub(super) async fn start(
        challenge: &str,
        answer: impl Fn(&Request) -> ResponseTemplate + Send + Sync + 'static,
    ) -> Result<Self> {
        let http = MockServer::start().await;
        let challenge = challenge.to_owned();
        let revoked = Arc::<Mutex<Vec<String>>>::default();
        let refused = Arc::clone(&revoked);
        let is_revoked = move |request: &Request| {
            let refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
            token(request).is_some_and(|token| refused.contains(&token))
        };
        let respond = move |request: &Request| match lasts(request) && !is_revoked(request) {
            true => answer(request),
            false => ResponseTemplate::new(401).insert_header("WWW-Authenticate", challenge.as_str()),
        };
        Mock::given(any()).respond_with(respond).mount(&http).await;
        let tls = Proxy::start(http.address().to_string()).await?;
        Ok(Self { http, revoked, tls })
    }

    /// `127.0.0.1:PORT`.
    pub(super) fn plain(&self) -> String {
        self.http.address().to_string()
    }

    /// `https://localhost:PORT`.
    pub(super) fn url(&self) -> &str {
        &self.tls.url
    }

    /// `localhost:PORT`.
    pub(super) fn host(&self) -> &str {
        self.tls.url.trim_start_matches("https://")
    }

    /// The authority that vouches for it, as PEM.
    pub(super) fn authority(&self) -> &str {
        &self.tls.authority
    }

    /// Refuses from now on the tokens that it was shown.
    pub(super) async fn revoke_all(&self) {
        let tokens = self.tokens().await;
        self.revoked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(tokens);
    }

    /// Returns the tokens that it was shown, in order, each once.
    pub(super) async fn tokens(&self) -> Vec<String> {
        let requests = self.http.received_requests().await.unwrap_or_default();
        let mut tokens: Vec<String> = requests.iter().filter_map(token).collect();
        tokens.dedup();
        tokens
    }
}

/// Whether a request carries a token, by Bearer or by Basic, that has not ended.
fn lasts(request: &Request) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    token(request)
        .and_then(|token| end(&token))
        .is_some_and(|end| end > now.as_secs())
}

fn token(request: &Request) -> Option<String> {
    let value = request.headers.get("Authorization")?.to_str().ok()?;
    if let Some(token) = value.strip_prefix("Bearer ") {
        return Some(token.to_owned());
    }
    let pair = Base64::decode_vec(value.strip_prefix("Basic ")?).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    let (_, token) = pair.split_once(':')?;
    (!token.is_empty()).then(|| token.to_owned())
}

/// Returns when a JSON Web Token ends. A service of the world would check its signature as well.
fn end(token: &str) -> Option<u64> {
    let claims = Base64UrlUnpadded::decode_vec(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Value>(&claims).ok()?["exp"].as_u64()
}

/// A person's machine: `ciba` under the names that tools know, and rules.
pub(super) struct Desk {
    pub(super) site: Site,
    server: Server,
    bin: PathBuf,
}

impl Desk {
    /// A person who is logged in, with a rule for this service and this tool alone.
    pub(super) async fn logged_in(service: &str, tool: &str) -> Result<Self> {
        let desk = Self::logged_out(service, tool).await?;
        desk.log_in().await?;
        Ok(desk)
    }

    /// A person with the rule, who has yet to log in.
    pub(super) async fn logged_out(service: &str, tool: &str) -> Result<Self> {
        let mut site = Site::new(&[&UNASKED[..], &["--at-ttl", LIFETIME]].concat()).await?;
        let server = site.server().await?;
        let bin = site.world.home().join("bin");
        fs::create_dir(&bin)?;
        for name in [
            "ciba",
            "keyring",
            "docker-credential-ciba",
            "cargo-credential-ciba",
        ] {
            symlink(binary("ciba"), bin.join(name))?;
        }
        let rule =
            format!("[[host]]\nmatch = \"{service}\"\nresource = \"{RESOURCE}\"\ntool = [\"{tool}\"]\n");
        let config = site.world.home().join(".config/ciba");
        fs::create_dir_all(&config)?;
        fs::write(config.join("config.toml"), rule)?;
        let path = std::env::var_os("PATH").context("PATH is set")?;
        let places = [bin.clone(), PYTHON_TOOLS.into()];
        let places = places.into_iter().chain(std::env::split_paths(&path));
        site.world.set("PATH", std::env::join_paths(places)?);
        site.world.set("CIBA_DAEMON", binary("cibad"));
        Ok(Self { site, server, bin })
    }

    async fn log_in(&self) -> Result<()> {
        let url = &self.server.url;
        let login = self.site.world.begin_login(&["start", "--url", url]).await?;
        confirm(&login.page).await?;
        let _ = login.end().await?.success();
        Ok(())
    }

    /// A link to `ciba`.
    pub(super) fn link(&self, name: &str) -> String {
        self.bin.join(name).display().to_string()
    }

    /// Writes a file of the person's and returns its path.
    pub(super) fn file(&self, name: &str, text: &str) -> Result<String> {
        let path = self.site.world.home().join(name);
        fs::create_dir_all(path.parent().context("a file lies in a directory")?)?;
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    }

    /// Runs a tool to its end.
    pub(super) async fn run(
        &self,
        tool: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Output> {
        let mut command = self.site.world.command(tool);
        command.args(arguments).envs(variables.iter().copied());
        let mut process = Process::spawn(command)
            .with_context(|| format!("{tool} is missing: tests/setup.sh installs it where it can"))?;
        process.close_stdin();
        Output::of(&mut process).await
    }

    /// Waits until the token that the service was shown has ended.
    pub(super) async fn until_ended(&self, service: &Service) -> Result<()> {
        let shown = service.tokens().await;
        let last = shown.last().context("the service was shown a token")?;
        let ends = end(last).context("a token says when it ends")?;
        until("the token's end", PATIENCE, async || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
            (now.as_secs() > ends).then_some(())
        })
        .await
    }

    /// Runs a tool that must succeed, waits until its token has ended, and runs it again: with another token.
    pub(super) async fn runs_across_an_expiry(
        &self,
        service: &Service,
        run: impl AsyncFn() -> Result<Output>,
    ) -> Result<()> {
        let _ = run().await?.success();
        self.until_ended(service).await?;
        let _ = run().await?.success();
        let tokens = service.tokens().await;
        ensure!(tokens.len() >= 2, "the second run brought another token");
        Ok(())
    }
}
