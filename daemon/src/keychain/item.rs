//! One login as a keychain keeps it: what is needed to go on without a person, and nothing else.

use device_proto::{RequestId, ResourceUrn};
use ipc_proto::ProfileName;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::server::Server;

/// The form of what is written; another one is not read.
const VERSION: u32 = 1;

/// Bytes of an encoded login: the longest names, twice over.
pub(crate) const MAX_ITEM: usize = 8 * 1024;

/// A login: who it is for, where, and the secret that proves it.
pub(crate) struct Item {
    pub(crate) profile: ProfileName,
    pub(crate) server: Server,
    pub(crate) session: RequestId,
    /// The resource of the first token.
    pub(crate) resource: ResourceUrn,
    pub(crate) secret: Secret,
}

/// What was read is no login of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

#[derive(Serialize, Deserialize)]
struct Form<'a> {
    version: u32,
    profile: ProfileName,
    url: &'a str,
    session: RequestId,
    resource: ResourceUrn,
    challenge: &'a str,
}

impl Item {
    /// Returns the login as the JSON that a keychain keeps.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let challenge = self.secret.challenge().expose();
        let form = Form {
            version: VERSION,
            profile: self.profile.clone(),
            url: &self.server.to_string(),
            session: self.session.clone(),
            resource: self.resource.clone(),
            challenge: &challenge,
        };
        // Room from the start: a buffer that grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_ITEM));
        serde_json::to_writer(&mut *text, &form).expect("texts always serialize");
        text
    }

    /// Reads what [`Item::encode`] wrote.
    pub(crate) fn decode(text: &[u8]) -> Result<Self, Unreadable> {
        if text.len() > MAX_ITEM {
            return Err(Unreadable);
        }
        let form: Form<'_> = serde_json::from_slice(text).map_err(|_| Unreadable)?;
        if form.version != VERSION {
            return Err(Unreadable);
        }
        Ok(Self {
            profile: form.profile,
            server: Server::parse(form.url).map_err(|_| Unreadable)?,
            session: form.session,
            resource: form.resource,
            secret: Secret::decode(form.challenge).map_err(|_| Unreadable)?,
        })
    }
}
