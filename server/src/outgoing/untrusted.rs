//! The HTTP client for URLs that OAuth clients named: notification endpoints and `jwks_uri` (C-400 … C-404). A client
//! must not reach with our hands what it cannot reach itself.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use ipnet::IpNet;
use reqwest::dns::Resolve;
use url::{Host, Url};

use super::address::permit;
use super::authorities::Authorities;
use super::endpoint::{is_loopback_name, is_secure};
use super::resolver::{Permitting, System};
use super::{Answer, CallError, read};

/// How long a connection may take, TLS included (C-335).
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// How long a call may take, the connection included, where nothing else is configured (C-335).
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read (C-331).
const MAX_ANSWER: usize = 64 * 1024;

/// What the operator decides about such calls.
#[derive(Clone)]
pub(crate) struct Rules {
    /// Authorities that are trusted beside the system's (C-400).
    pub(crate) authorities: Authorities,
    /// Networks that may be called although their addresses are special (C-402).
    pub(crate) networks: Arc<[IpNet]>,
    /// How long a call may take.
    pub(crate) timeout: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            authorities: Authorities::default(),
            networks: Arc::new([]),
            timeout: ANSWER_WITHIN,
        }
    }
}

/// A client for URLs that OAuth clients named; cheap to clone.
#[derive(Clone)]
pub(crate) struct UntrustedHttp {
    /// Made when first needed: a server that waits is small.
    client: Arc<OnceLock<reqwest::Client>>,
    names: Arc<dyn Resolve>,
    rules: Rules,
    is_loopback_allowed: bool,
}

impl UntrustedHttp {
    /// `is_loopback_allowed`: our own issuer is on loopback, or this is a development server (C-404).
    pub(crate) fn new(rules: &Rules, is_loopback_allowed: bool) -> Self {
        Self::resolving(Arc::new(System), rules, is_loopback_allowed)
    }

    fn resolving(names: Arc<dyn Resolve>, rules: &Rules, is_loopback_allowed: bool) -> Self {
        Self {
            client: Arc::default(),
            names,
            rules: rules.clone(),
            is_loopback_allowed,
        }
    }

    /// Begins a GET request.
    ///
    /// # Errors
    ///
    /// [`CallError::Certificates`]
    pub(crate) fn get(&self, from: Url) -> Result<reqwest::RequestBuilder, CallError> {
        Ok(self.client()?.get(from))
    }

    /// Begins a POST request.
    ///
    /// # Errors
    ///
    /// [`CallError::Certificates`]
    pub(crate) fn post(&self, to: Url) -> Result<reqwest::RequestBuilder, CallError> {
        Ok(self.client()?.post(to))
    }

    fn client(&self) -> Result<&reqwest::Client, CallError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = self.made()?;
        Ok(self.client.get_or_init(|| client))
    }

    fn made(&self) -> Result<reqwest::Client, CallError> {
        let resolver = Permitting {
            from: Arc::clone(&self.names),
            allowed: Arc::clone(&self.rules.networks),
            is_loopback_allowed: self.is_loopback_allowed,
        };
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(self.rules.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            // A proxy would resolve the name itself, and reach what we must not.
            .no_proxy()
            .dns_resolver(resolver)
            // Each call makes its own connection: none is kept open for a peer that we do not know.
            .pool_max_idle_per_host(0)
            .user_agent("ciba-server")
            .tls_certs_merge(self.rules.authorities.certificates())
            .build();
        client.map_err(|_| CallError::Certificates)
    }

    /// Sends a request and reads its answer, whatever its status.
    ///
    /// # Errors
    ///
    /// [`CallError`]: no answer, or one that is too long.
    pub(crate) async fn fetch(&self, request: reqwest::Request) -> Result<Answer, CallError> {
        read(self.execute(request).await?, MAX_ANSWER).await
    }

    /// Sends a request whose answer is its status and headers alone.
    ///
    /// # Errors
    ///
    /// [`CallError`]: no answer.
    pub(crate) async fn tell(&self, request: reqwest::Request) -> Result<(StatusCode, HeaderMap), CallError> {
        let mut response = self.execute(request).await?;
        let head = (response.status(), std::mem::take(response.headers_mut()));
        // The peer may finish what it has to say, so that it sees no broken connection.
        let mut left = MAX_ANSWER;
        while let Ok(Some(chunk)) = response.chunk().await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
        Ok(head)
    }

    async fn execute(&self, request: reqwest::Request) -> Result<reqwest::Response, CallError> {
        self.permit(request.url())?;
        Ok(self.client()?.execute(request).await?)
    }

    /// Checks what no resolver sees: the scheme, and a host that is an address.
    fn permit(&self, url: &Url) -> Result<(), CallError> {
        if !is_secure(url, self.is_loopback_allowed) {
            return Err(CallError::NotHttps);
        }
        if self.is_loopback_allowed && url.host_str().is_some_and(is_loopback_name) {
            return Ok(());
        }
        match url.host() {
            Some(Host::Ipv4(v4)) => Ok(permit(v4.into(), &self.rules.networks)?),
            Some(Host::Ipv6(v6)) => Ok(permit(v6.into(), &self.rules.networks)?),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
