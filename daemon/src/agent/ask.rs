//! What a client asks of the agent: the fields of an operation (I-005), read once and checked.

use device_proto::ResourceUrn;
use ipc_proto::{DEFAULT_RESOURCE, ErrorCode, Failure, KeychainKind, ProfileName};

use crate::server::Server;

/// What `token` and `add` ask.
pub(crate) struct TokenAsk {
    pub(crate) profile: ProfileName,
    pub(crate) resource: ResourceUrn,
    /// Seconds that the token must be valid; the agent decides when the client does not say.
    pub(crate) min_valid: Option<u64>,
    /// Whether a token from memory will not do.
    pub(crate) force: bool,
}

impl TokenAsk {
    /// Reads an operation's fields.
    ///
    /// # Errors
    ///
    /// `bad_request`: the resource is no URN.
    pub(crate) fn of(
        profile: Option<ProfileName>,
        resource: Option<&str>,
        min_valid: Option<u64>,
        force: bool,
    ) -> Result<Self, Failure> {
        Ok(Self {
            profile: profile.unwrap_or_default(),
            resource: urn(resource)?,
            min_valid,
            force,
        })
    }

    /// What a tool asks that knows no more than its resource.
    pub(crate) fn of_rule(profile: ProfileName, resource: ResourceUrn) -> Self {
        Self {
            profile,
            resource,
            min_valid: None,
            force: false,
        }
    }

    /// The same, and a token from memory will not do.
    pub(super) fn forced(&self, min_valid: Option<u64>) -> Self {
        Self {
            profile: self.profile.clone(),
            resource: self.resource.clone(),
            min_valid,
            force: true,
        }
    }
}

/// What `start` asks.
pub(crate) struct StartAsk {
    pub(crate) server: Server,
    pub(crate) profile: ProfileName,
    pub(crate) resource: ResourceUrn,
    pub(crate) one_shot: bool,
    pub(crate) keychain: Option<KeychainKind>,
}

impl StartAsk {
    /// Reads an operation's fields.
    ///
    /// # Errors
    ///
    /// `bad_request`: the resource is no URN, or the URL can be no server's.
    pub(crate) fn of(
        url: &str,
        profile: Option<ProfileName>,
        resource: Option<&str>,
        one_shot: bool,
        keychain: Option<KeychainKind>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            resource: urn(resource)?,
            server: Server::parse(url)?,
            profile: profile.unwrap_or_default(),
            one_shot,
            keychain,
        })
    }
}

/// Which sessions `stop` means.
pub(crate) enum Which {
    One(ProfileName),
    All,
}

impl Which {
    /// Reads an operation's fields.
    pub(crate) fn of(profile: Option<ProfileName>, all: bool) -> Self {
        if all {
            Self::All
        } else {
            Self::One(profile.unwrap_or_default())
        }
    }
}

fn urn(resource: Option<&str>) -> Result<ResourceUrn, Failure> {
    let resource = resource.unwrap_or(DEFAULT_RESOURCE).parse();
    resource.map_err(|problem| Failure::new(ErrorCode::BadRequest, format!("{problem}")))
}
