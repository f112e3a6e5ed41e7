//! `[login]`: where people sign in, and what the server asks for there.

use std::path::PathBuf;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::secret::{self, Inline, Places};
use super::{Error, url};

/// Where people sign in.
pub(crate) struct Login {
    /// The issuer, exactly as the provider names itself.
    pub(crate) issuer: String,
    /// Our client id there.
    pub(crate) client_id: String,
    /// Our client secret there; `None` for a public client.
    pub(crate) client_secret: Option<Zeroizing<String>>,
    /// The scopes to ask for; `openid` is always among them.
    pub(crate) scopes: Vec<String>,
    /// A resource indicator (RFC 8707) to send along; some providers issue JWTs only for one.
    pub(crate) resource: Option<String>,
    /// Whether the person compares the code first (D-020).
    pub(crate) confirm: Confirm,
}

/// What the person is asked before the redirect to the identity provider (D-020).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Confirm {
    /// To compare the code on the page with the one in the terminal (RFC 8628 §5.4).
    #[default]
    Code,
    /// Nothing.
    None,
}

/// The section as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct Section {
    issuer: String,
    client_id: String,
    client_secret: Option<Inline>,
    client_secret_file: Option<PathBuf>,
    #[serde(default = "default_scopes")]
    scopes: Vec<String>,
    resource: Option<String>,
    #[serde(default)]
    confirm: Confirm,
}

fn default_scopes() -> Vec<String> {
    ["openid", "profile", "offline_access"].map(String::from).to_vec()
}

impl Section {
    pub(super) fn understand(self, places: &Places<'_>) -> Result<Login, Error> {
        url::secure("login.issuer", &self.issuer)?;
        let mut scopes = self.scopes;
        if !scopes.iter().any(|scope| scope == "openid") {
            scopes.insert(0, "openid".into());
        }
        Ok(Login {
            issuer: self.issuer,
            client_id: self.client_id,
            client_secret: secret::of(
                "login.client_secret",
                self.client_secret,
                self.client_secret_file,
                places,
            )?,
            scopes,
            resource: self.resource,
            confirm: self.confirm,
        })
    }
}
