//! `[[client]]`: a client that the operator names. Its metadata is kept as it is written; what it may be is for `oauth`
//! to say, by the rules that hold for every client.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::Error;
use super::secret::{self, Inline, Places};

/// A client that the operator names.
pub(crate) struct Client {
    /// `client_id`
    pub(crate) id: String,
    /// `client_secret`, of a client that has one.
    pub(crate) secret: Option<Zeroizing<String>>,
    /// A disabled client fails authentication (C-054).
    pub(crate) disabled: bool,
    /// What the operator decides about it.
    pub(crate) terms: Terms,
    /// The members of RFC 7591 §2.
    pub(crate) metadata: Map<String, Value>,
}

/// What the operator decides about one client; it cannot be registered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section")]
pub(crate) struct Terms {
    /// Resources whose tokens it may ask for (RFC 8707); without it, all that the server knows.
    pub(crate) resources: Option<Vec<String>>,
    /// Every request needs a binding message (C-106).
    pub(crate) require_binding_message: bool,
    /// It may name a `client_notification_uri` of its endpoint's origin (C-114).
    pub(crate) client_notification_uri: bool,
    /// A push client may poll once its delivery has failed for good (C-374).
    pub(crate) poll_after_push: bool,
    /// It gets refresh tokens without `offline_access` (C-302).
    pub(crate) refresh_tokens: bool,
}

impl Terms {
    /// Whether the operator decided nothing.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The section as it is written.
#[derive(Deserialize)]
#[serde(expecting = "a section")]
pub(super) struct Section {
    client_id: String,
    client_secret: Option<Inline>,
    client_secret_file: Option<PathBuf>,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    terms: Terms,
    #[serde(flatten)]
    metadata: Map<String, Value>,
}

/// Reads the clients; no two have the same id.
pub(super) fn understand(sections: Vec<Section>, places: &Places<'_>) -> Result<Vec<Client>, Error> {
    let mut clients: Vec<Client> = Vec::new();
    for section in sections {
        let client = section.understand(places)?;
        if clients.iter().any(|other| other.id == client.id) {
            return Err(Error::value("client.client_id", "two clients have the same one"));
        }
        clients.push(client);
    }
    Ok(clients)
}

impl Section {
    fn understand(self, places: &Places<'_>) -> Result<Client, Error> {
        if !is_id(&self.client_id) {
            let problem = format!("must have 1 to {MAX_ID} printable ASCII characters and no space");
            return Err(Error::value("client.client_id", problem));
        }
        let secret = (self.client_secret, self.client_secret_file);
        Ok(Client {
            secret: secret::at_least(MIN_SECRET, "client.client_secret", secret, places)?,
            id: self.client_id,
            disabled: self.disabled,
            terms: self.terms,
            metadata: self.metadata,
        })
    }
}

/// Bytes of a client's secret. It is kept as a fast hash, so it has to be too long to be guessed at.
const MIN_SECRET: usize = 16;

/// Characters of a client's id.
const MAX_ID: usize = 200;

/// Whether a text may be a `client_id`: what RFC 6749 appendix A.1 allows, without the space.
pub(crate) fn is_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}
