//! What the identity provider says of itself (OpenID Connect Discovery §4): its document and keys, looked for when they
//! are needed, believed for a while.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use openidconnect::{DiscoveryError, IssuerUrl};
use tokio::sync::{Mutex, MutexGuard};

use super::ProviderError;
use super::oidc::Metadata;
use crate::outgoing::{CallError, Http};

/// An unknown `kid` makes us look for new keys at most this often, whatever the provider signs with.
const KEYS_KEPT: Duration = Duration::from_secs(60);

/// How long the document and its keys are believed: a key that was withdrawn is not trusted for longer.
const METADATA_KEPT: Duration = Duration::from_secs(3600);

/// How long an old document is used without another look, after one that failed or was given up.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Which of the provider's keys a caller needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// Those that are known.
    Known,
    /// Newer ones: none of the known ones has signed what the caller checks.
    Newer,
}

/// The document of one issuer.
pub(super) struct Discovery {
    issuer: IssuerUrl,
    /// How long a document is believed.
    kept: Duration,
    found: RwLock<Option<Found>>,
    /// Held by the caller who looks.
    look: Mutex<Look>,
}

/// How the last looks went.
#[derive(Default)]
struct Look {
    failed: Option<(Instant, ProviderError)>,
    /// When a caller last began to look for a newer document.
    began: Option<Instant>,
}

#[derive(Clone)]
struct Found {
    metadata: Arc<Metadata>,
    at: Instant,
    /// When an unknown key last made us look again.
    keys_asked: Option<Instant>,
}

impl Found {
    /// Whether it has the keys that a caller needs, or there is no use in asking for newer ones yet.
    fn serves(&self, keys: Keys) -> bool {
        let may_ask = self.keys_asked.is_none_or(|asked| asked.elapsed() >= KEYS_KEPT);
        let wants_newer = keys == Keys::Newer && may_ask;
        !wants_newer && !self.metadata.jwks().keys().is_empty()
    }
}

impl Discovery {
    pub(super) fn new(issuer: IssuerUrl) -> Self {
        Self {
            issuer,
            kept: METADATA_KEPT,
            found: RwLock::default(),
            look: Mutex::default(),
        }
    }

    pub(super) fn issuer(&self) -> &IssuerUrl {
        &self.issuer
    }

    /// Returns the document. While there is an old one, one caller looks for a newer and the others do not wait for it:
    /// the provider may hang. While there is none, all callers wait for the one who looks, and share its failure.
    pub(super) async fn metadata(&self, http: &Http, keys: Keys) -> Result<Arc<Metadata>, ProviderError> {
        let came = Instant::now();
        if let Some(known) = self.known(keys) {
            if known.at.elapsed() >= self.kept
                && let Ok(look) = self.look.try_lock()
            {
                self.look_for_newer(http, look).await;
            }
            // Old keys are better than no login, while the provider is away.
            return Ok(self.latest().unwrap_or(known).metadata);
        }
        let mut look = self.look.lock().await;
        if let Some(known) = self.known(keys) {
            return Ok(known.metadata);
        }
        match &look.failed {
            Some((at, error)) if *at > came => Err(error.clone()),
            _ => self.look(http, &mut look, keys).await,
        }
    }

    async fn look_for_newer(&self, http: &Http, mut look: MutexGuard<'_, Look>) {
        if look.began.is_none_or(|began| began.elapsed() >= LOOK_AGAIN) {
            look.began = Some(Instant::now());
            if self.look(http, &mut look, Keys::Known).await.is_ok() {
                look.began = None;
            }
        }
    }

    async fn look(&self, http: &Http, look: &mut Look, keys: Keys) -> Result<Arc<Metadata>, ProviderError> {
        let asked = Metadata::discover_async(self.issuer.clone(), http).await;
        let metadata = asked.map_err(plain).inspect_err(|error| {
            look.failed = Some((Instant::now(), error.clone()));
        })?;
        let found = Found {
            metadata: Arc::new(metadata),
            at: Instant::now(),
            keys_asked: (keys == Keys::Newer).then(Instant::now),
        };
        let metadata = Arc::clone(&found.metadata);
        *self.found.write().unwrap_or_else(PoisonError::into_inner) = Some(found);
        Ok(metadata)
    }

    fn latest(&self) -> Option<Found> {
        self.found.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the latest document, if its keys will do.
    fn known(&self, keys: Keys) -> Option<Found> {
        self.latest().filter(|found| found.serves(keys))
    }
}

fn plain(error: DiscoveryError<CallError>) -> ProviderError {
    match error {
        DiscoveryError::Request(cause) => cause.into(),
        DiscoveryError::Validation(_) => {
            ProviderError::Nonsense("it names another issuer than the configured one")
        }
        _ => ProviderError::Nonsense("discovery failed"),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use serde_json::json;
    use tokio::net::TcpListener;
    use tokio::sync::watch;

    use super::*;

    struct Asked {
        discovery: Discovery,
        http: Http,
    }

    impl Asked {
        async fn check(&self) -> Result<(), ProviderError> {
            self.discovery.metadata(&self.http, Keys::Known).await.map(drop)
        }
    }

    /// A provider whose discovery answers while it is open, and which counts the looks.
    struct Provider {
        asked: Arc<Asked>,
        is_open: watch::Sender<bool>,
        looks: watch::Receiver<usize>,
    }

    async fn provider(kept: Duration) -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let (is_open, looks) = (watch::Sender::new(true), watch::Sender::new(0));
        let (opens, seen, base) = (is_open.subscribe(), looks.subscribe(), issuer.clone());
        let document = async move || {
            looks.send_modify(|looks| *looks += 1);
            opens.clone().wait_for(|is_open| *is_open).await.unwrap();
            axum::Json(json!({
                "issuer": base,
                "authorization_endpoint": base,
                "token_endpoint": base,
                "jwks_uri": format!("{base}/keys"),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }))
        };
        let key = json!({ "kty": "RSA", "use": "sig", "kid": "1", "alg": "RS256", "n": "AQAB", "e": "AQAB" });
        let keys = async move || axum::Json(json!({ "keys": [key] }));
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route("/keys", get(keys));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let issuer = IssuerUrl::new(issuer).unwrap();
        let http = Http::new(issuer.url()).unwrap();
        let mut discovery = Discovery::new(issuer);
        discovery.kept = kept;
        Provider {
            asked: Arc::new(Asked { discovery, http }),
            is_open,
            looks: seen,
        }
    }

    #[tokio::test]
    async fn a_discovery_that_hangs_holds_up_nobody_who_has_an_old_document() {
        let Provider {
            asked,
            is_open,
            mut looks,
        } = provider(Duration::ZERO).await;
        asked.check().await.unwrap();
        is_open.send_replace(false);
        let one = Arc::clone(&asked);
        let one = tokio::spawn(async move { one.check().await });
        looks.wait_for(|looks| *looks == 2).await.unwrap();
        for _ in 0..3 {
            asked.check().await.unwrap();
        }
        assert!(!one.is_finished(), "one looks");
        // The caller who looked gave up: no other looks at once.
        one.abort();
        assert!(one.await.unwrap_err().is_cancelled());
        asked.check().await.unwrap();
        assert_eq!(*looks.borrow(), 2);
    }

    #[tokio::test]
    async fn a_document_is_looked_for_when_it_is_old_and_once_by_all_who_have_none() {
        let Provider { asked, looks, .. } = provider(METADATA_KEPT).await;
        let (first, second) = tokio::join!(asked.check(), asked.check());
        assert!(first.is_ok() && second.is_ok());
        asked.check().await.unwrap();
        assert_eq!(*looks.borrow(), 1);
        let Provider { asked, looks, .. } = provider(Duration::ZERO).await;
        for _ in 0..3 {
            asked.check().await.unwrap();
        }
        assert_eq!(*looks.borrow(), 3);
    }
}
