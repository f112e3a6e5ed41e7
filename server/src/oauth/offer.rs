//! What this server offers to clients. Discovery announces it, and registration lets a client ask for nothing else.

use url::Url;

use super::client::{AuthMethod, CIBA_GRANT, CLIENT_CREDENTIALS_GRANT, REFRESH_GRANT};
use crate::config::{Config, Mode, Registration, Tls, is_loopback};

/// What is switched on.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// The scopes; `openid` is one of them.
    pub(crate) scopes: Vec<String>,
    /// The grants of the token endpoint.
    pub(crate) grant_types: Vec<&'static str>,
    /// How clients may authenticate (C-026).
    pub(crate) auth_methods: Vec<AuthMethod>,
    /// How tokens of a backchannel request reach a client; empty: CIBA is off (C-022).
    pub(crate) modes: Vec<Mode>,
    /// Clients may ask for the user's code (C-025).
    pub(crate) user_codes: bool,
    /// `acr_values_supported` (C-109)
    pub(crate) acr_values: Vec<String>,
    /// The types of `authorization_details`; `None`: every type (C-131).
    pub(crate) details_types: Option<Vec<String>>,
    /// Clients can register themselves (C-040).
    pub(crate) registration: bool,
    /// Clients may have endpoints on this machine (C-404).
    pub(crate) loopback: bool,
    /// Where clients with certificates find their endpoints, when that is another origin (RFC 8705 §5).
    pub(crate) mtls_origin: Option<String>,
}

impl Offer {
    /// Returns what a configuration switches on, for a server that is reached at `public_url`.
    pub(crate) fn of(config: &Config, public_url: &Url) -> Self {
        let ciba = config.ciba.as_ref();
        let modes = ciba.map(|ciba| ciba.modes.clone()).unwrap_or_default();
        let is_redeemed = modes.iter().any(|mode| *mode != Mode::Push);
        let grants = [REFRESH_GRANT, CLIENT_CREDENTIALS_GRANT];
        let mtls = config
            .tls
            .clients
            .as_ref()
            .and_then(|clients| clients.public_url.as_ref());
        let details = ciba.and_then(|ciba| ciba.details.as_ref());
        Self {
            scopes: config.oauth.scopes.clone(),
            grant_types: is_redeemed
                .then_some(CIBA_GRANT)
                .into_iter()
                .chain(grants)
                .collect(),
            auth_methods: auth_methods(&config.tls),
            modes,
            user_codes: ciba.is_some_and(|ciba| ciba.user_codes),
            acr_values: ciba.map(|ciba| ciba.acr_values.clone()).unwrap_or_default(),
            details_types: details.map(|types| types.keys().cloned().collect()),
            registration: !matches!(config.oauth.registration, Registration::Off),
            loopback: is_loopback(public_url),
            mtls_origin: mtls.map(|url| url.origin().ascii_serialization()),
        }
    }

    /// Whether the server reads clients' certificates (RFC 8705).
    pub(crate) fn has_certificates(&self) -> bool {
        self.auth_methods.contains(&AuthMethod::SelfSignedTlsClientAuth)
    }

    /// Whether the server answers backchannel authentication requests.
    pub(crate) fn has_ciba(&self) -> bool {
        !self.modes.is_empty()
    }
}

/// Those with a certificate are there where certificates are read; one that an authority has to vouch for needs the
/// authority.
fn auth_methods(tls: &Tls) -> Vec<AuthMethod> {
    let mut methods = vec![
        AuthMethod::ClientSecretBasic,
        AuthMethod::ClientSecretPost,
        AuthMethod::PrivateKeyJwt,
    ];
    if tls.clients.is_some() {
        methods.push(AuthMethod::SelfSignedTlsClientAuth);
        methods.extend(tls.client_ca.is_some().then_some(AuthMethod::TlsClientAuth));
    }
    methods
}

#[cfg(test)]
impl Offer {
    /// Returns what a server offers whose configuration has nothing but an identity provider.
    pub(super) fn plain() -> Self {
        let login = crate::config::Login {
            issuer: "https://idp.example".into(),
            client_id: "ciba".into(),
            client_secret: None,
            scopes: Vec::new(),
            resource: None,
            confirm: crate::config::Confirm::Code,
        };
        let url = Url::parse("https://ciba.example").expect("a URL");
        Self::of(&Config::around(login), &url)
    }
}
