//! `[ciba.login_hint_token]`: what a `login_hint_token` is, and who may issue one (C-182, C-183).

use std::path::{Path, PathBuf};

use ::url::Url;
use serde::Deserialize;

use crate::config::secret::Places;
use crate::config::{Error, url};

/// What a `login_hint_token` is.
#[derive(Clone)]
pub(crate) enum LoginToken {
    /// A JWT of one of these issuers.
    Jwt(Vec<HintIssuer>),
    /// A text that is looked up like a `login_hint`.
    Opaque,
}

/// A party that may name people to us.
#[derive(Clone)]
pub(crate) struct HintIssuer {
    /// Its `iss`.
    pub(crate) issuer: String,
    pub(crate) keys: IssuerKeys,
}

/// Where the keys of an issuer are.
#[derive(Clone)]
pub(crate) enum IssuerKeys {
    /// This JWK Set, as JSON text from a file of the operator's.
    Set(Vec<u8>),
    /// At the issuer.
    At(Url),
}

/// The section as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section")]
pub(super) struct Section {
    mode: Mode,
    issuer: Vec<IssuerSection>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Jwt,
    Opaque,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
struct IssuerSection {
    iss: String,
    jwks_uri: Option<String>,
    jwks_file: Option<PathBuf>,
}

const URI: &str = "ciba.login_hint_token.issuer.jwks_uri";
const FILE: &str = "ciba.login_hint_token.issuer.jwks_file";

impl Section {
    pub(super) fn understand(self, places: &Places<'_>) -> Result<LoginToken, Error> {
        match (self.mode, self.issuer.is_empty()) {
            (Mode::Opaque, true) => Ok(LoginToken::Opaque),
            (Mode::Opaque, false) => {
                let problem = "has no place where `mode` is opaque";
                Err(Error::value("ciba.login_hint_token.issuer", problem))
            }
            (Mode::Jwt, _) => {
                let issuers = self.issuer.into_iter().map(|issuer| issuer.understand(places));
                issuers.collect::<Result<_, _>>().map(LoginToken::Jwt)
            }
        }
    }
}

impl IssuerSection {
    fn understand(self, places: &Places<'_>) -> Result<HintIssuer, Error> {
        let keys = match (self.jwks_uri, self.jwks_file) {
            (Some(uri), None) => IssuerKeys::At(url::secure(URI, &uri)?),
            (None, Some(file)) => IssuerKeys::Set(read(&places.base.join(file))?),
            _ => return Err(Error::value(URI, "is needed, or jwks_file, and never both")),
        };
        Ok(HintIssuer {
            issuer: self.iss,
            keys,
        })
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(file)
        .map_err(|error| Error::value(FILE, format!("cannot read {}: {error}", file.display())))
}
