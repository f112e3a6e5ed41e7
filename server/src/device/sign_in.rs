//! A person came back from the identity provider (step 1 of the token's way), and what it comes to for the device (D-022,
//! D-023).

use std::time::Duration;

use device_proto::RequestId;
use zeroize::Zeroizing;

use super::answer::revoke;
use super::edit::{self, edit};
use super::publish::{PublishError, publish};
use super::record::{Record, Stage};
use super::records::{Edit, SessionError};
use super::sessions::Sessions;
use crate::cause::chain;
use crate::clock::now;
use crate::token::{Grant, Person, ProviderError, Redeem, SignedIn};

/// How long a device that is away may take to come back before the code is spent (D-022).
const DEVICE_BACK_WITHIN: Duration = Duration::from_secs(10);

/// Characters of a provider's error text that are kept.
const MAX_DESCRIPTION: usize = 300;

/// What the browser brought back. With several nodes this travels to the one that holds the device, and nothing else does.
pub(crate) enum Return {
    /// The provider's code, and what it takes to spend it.
    Code { code: Zeroizing<String>, redeem: Redeem },
    /// An error of the provider's, or about its answer (RFC 6749 §4.1.2.1).
    Refused { error: String, description: String },
}

/// What signing in came to, for the person.
pub(crate) enum Outcome {
    /// The device has its token.
    SignedIn {
        /// Who signed in.
        person: Box<Person>,
    },
    /// The session ended while the person was at the provider.
    Expired,
    /// The session does not wait for a login any more.
    AlreadyUsed,
    /// The device is away.
    DeviceAway,
    /// The provider, or the person, said no: an OAuth error code.
    Refused { error: String },
    /// The provider does not answer as it should.
    ProviderDown,
    /// This server failed.
    Failed,
}

/// A session that waits for a login, as the person is asked about it.
pub(crate) struct Waiting {
    /// What the device calls itself; nobody has checked it.
    pub(crate) device_name: Option<String>,
    /// Where the request came from.
    pub(crate) address: String,
    /// The code to compare.
    pub(crate) user_code: String,
    /// Seconds since the device asked.
    pub(crate) age: u64,
}

/// Why a person cannot sign in to a session.
pub(crate) enum NotWaiting {
    /// There is none, or its time is over.
    Gone,
    /// A person signed in, or the provider said no.
    Done,
    /// The store failed.
    Store(SessionError),
}

impl Sessions {
    /// Returns the session's request, if a person may still sign in to it.
    pub(crate) async fn waiting(&self, session: &RequestId) -> Result<Waiting, NotWaiting> {
        let found = self.records.find(session).await.map_err(NotWaiting::Store)?;
        let (record, _) = found.ok_or(NotWaiting::Gone)?;
        if !record.is_pending() {
            return Err(NotWaiting::Done);
        }
        Ok(Waiting {
            device_name: record.device_name,
            address: record.address,
            user_code: record.user_code,
            age: now().seconds().saturating_sub(record.created_at),
        })
    }

    /// Does what the browser's return means for the session, and tells the device.
    pub(crate) async fn come_back(&self, session: &RequestId, back: Return) -> Outcome {
        match back {
            Return::Code { code, redeem } => self.sign_in(session, &code, redeem).await,
            Return::Refused { error, description } => {
                self.tell_device(session, &error, &description).await;
                Outcome::Refused { error }
            }
        }
    }

    /// The provider cannot be asked, or said no: the device learns it.
    pub(crate) async fn provider_failed(&self, session: &RequestId, error: &ProviderError) -> Outcome {
        tracing::warn!(error = chain(error), "a login failed");
        self.tell_device(session, error.code(), &error.to_string()).await;
        match error {
            ProviderError::Refused(code) => Outcome::Refused { error: code.clone() },
            _ => Outcome::ProviderDown,
        }
    }

    async fn sign_in(&self, session: &RequestId, code: &str, redeem: Redeem) -> Outcome {
        let Some(room) = self.registry.hold_connected(session, DEVICE_BACK_WITHIN).await else {
            return Outcome::DeviceAway;
        };
        let SignedIn { grant, person } = match self.provider.redeem(code, redeem).await {
            Ok(signed_in) => signed_in,
            Err(error) => return self.provider_failed(session, &error).await,
        };
        match publish(self, &room, &person, &grant).await {
            Ok(()) => Outcome::SignedIn {
                person: Box::new(person),
            },
            Err(error) => self.unpublished(session, &grant, &error).await,
        }
    }

    /// The tokens reached nobody: they are given back, and the device learns that none will come.
    async fn unpublished(&self, session: &RequestId, grant: &Grant, error: &PublishError) -> Outcome {
        tracing::warn!(error = chain(error), "a login's tokens were not published");
        revoke(self, grant).await;
        match error {
            PublishError::NotPending => Outcome::AlreadyUsed,
            PublishError::Expired => Outcome::Expired,
            PublishError::Resource(error) => self.provider_failed(session, error).await,
            PublishError::InvalidTarget => {
                self.tell_device(session, "invalid_target", &error.to_string())
                    .await;
                Outcome::Failed
            }
            PublishError::Sealed | PublishError::Store(_) => {
                let description = "the server could not keep the login";
                self.tell_device(session, "server_error", description).await;
                Outcome::Failed
            }
        }
    }

    async fn tell_device(&self, session: &RequestId, error: &str, description: &str) {
        if let Err(error) = self.fail(session, error, description).await {
            tracing::error!(error = chain(&error), "a failed login could not be kept");
        }
    }

    /// A login failed: the device learns it at once through its doc (D-023), or when it comes back.
    async fn fail(&self, session: &RequestId, error: &str, description: &str) -> Result<(), SessionError> {
        let failed = Stage::Failed {
            error: printable(error),
            description: printable(description),
        };
        let fail = |record: &mut Option<Record>| match record {
            Some(record) if record.is_pending() => {
                record.stage = failed.clone();
                Ok(Edit::Changed(()))
            }
            _ => Ok(Edit::Unchanged(())),
        };
        if let Some(room) = self.registry.hold(session) {
            return edit(self, &room, fail).await;
        }
        self.records.edit(session, fail).await?;
        // The device may have come back meanwhile.
        match self.registry.hold(session) {
            Some(room) => edit::show(self, &room).await,
            None => Ok(()),
        }
    }
}

/// A provider's words end in somebody's terminal: no control characters, no novels.
fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(MAX_DESCRIPTION)
        .collect()
}
