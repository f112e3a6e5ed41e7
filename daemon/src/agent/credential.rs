//! Gets a tool its token when the service may have refused the one before.

use std::sync::{Arc, MutexGuard, PoisonError};

use device_proto::ResourceUrn;
use ipc_proto::{ErrorCode, Failure, ProfileName};
use tokio::time::Instant;

use super::rejections::{PAUSE, Rejections, Verdict};
use super::supply::supply;
use super::{Agent, TokenAsk};
use crate::session::{Handle, now};
use crate::table::Token;

/// Seconds by which the clocks of daemon and server may differ. A server whose clock is behind takes a demand that just
/// exceeds the token in memory for one that this token meets.
const CLOCKS_DIFFER: u64 = 300;

/// What is known of the token that the tool had before.
#[derive(Clone, Copy)]
pub(crate) enum Refused {
    /// Nothing.
    Unknown,
    /// The service refused the token of this number.
    Told(u64),
    /// The same, as the tool's conduct suggests. A wrong guess must not cost the tool its token.
    Guessed(u64),
}

impl Agent {
    /// As [`Agent::token`], but with another token than one that the service refused.
    pub(crate) async fn credential(&self, ask: TokenAsk, refused: Refused) -> Result<Arc<Token>, Failure> {
        let source = (ask.profile.clone(), ask.resource.clone());
        match refused {
            Refused::Unknown => {}
            Refused::Told(serial) => self.rejections().note(source, serial, Instant::now()),
            Refused::Guessed(serial) => self.rejections().guess(source, serial, Instant::now()),
        }
        let session = self.token_source(&ask.profile).await?;
        let token = self.unrefused(&session, &ask, refused).await?;
        session.note_use(&token);
        Ok(token)
    }

    /// Notes that a service refused the token of this number.
    pub(crate) fn reject(&self, profile: &ProfileName, resource: &ResourceUrn, serial: u64) {
        let source = (profile.clone(), resource.clone());
        self.rejections().note(source, serial, Instant::now());
    }

    /// Notes that a service refused the token in memory, if there is one.
    pub(crate) fn reject_held(&self, profile: &ProfileName, resource: &ResourceUrn) {
        let session = self.sessions().token_source(profile);
        if let Some(held) = session.and_then(|session| session.held(resource, now())) {
            self.reject(profile, resource, held.serial());
        }
    }

    async fn unrefused(
        &self,
        session: &Handle,
        ask: &TokenAsk,
        refused: Refused,
    ) -> Result<Arc<Token>, Failure> {
        let Some(held) = session.held(&ask.resource, now()) else {
            return supply(session, ask).await;
        };
        let source = (ask.profile.clone(), ask.resource.clone());
        let is_guess = matches!(refused, Refused::Guessed(_));
        let verdict = self
            .rejections()
            .judge(&source, held.serial(), is_guess, Instant::now());
        match (verdict, refused) {
            (Verdict::TooSoon, Refused::Told(_)) => Err(too_soon()),
            // Another service may take what one has refused.
            (Verdict::Serve | Verdict::TooSoon, _) => supply(session, ask).await,
            (Verdict::Renew, _) => {
                let _under_way = Renewal { agent: self, source };
                let renewed = renew(session, ask, &held).await;
                match refused {
                    Refused::Guessed(_) => renewed.or(Ok(held)),
                    Refused::Unknown | Refused::Told(_) => renewed,
                }
            }
        }
    }

    fn rejections(&self) -> MutexGuard<'_, Rejections> {
        // Numbers and times are whole after any panic.
        self.0.rejections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A renewal under way. It ends also when its client leaves.
struct Renewal<'a> {
    agent: &'a Agent,
    source: (ProfileName, ResourceUrn),
}

impl Drop for Renewal<'_> {
    fn drop(&mut self) {
        self.agent.rejections().renewed(&self.source);
    }
}

/// Gets a token in the place of this one.
async fn renew(session: &Handle, ask: &TokenAsk, held: &Token) -> Result<Arc<Token>, Failure> {
    let left = held.expires_at.saturating_sub(now());
    for min_valid in [None, Some(left.saturating_add(CLOCKS_DIFFER))] {
        let token = supply(session, &ask.forced(min_valid)).await?;
        if token.serial() != held.serial() {
            return Ok(token);
        }
    }
    let message = "the service refused the token, and the provider gives no other one";
    Err(Failure::new(ErrorCode::InvalidTarget, message)
        .hint("ciba stop, then ciba start: a new login has new tokens"))
}

fn too_soon() -> Failure {
    let message = format!(
        "the service refused two tokens within {} s; it may want another resource or more rights",
        PAUSE.as_secs()
    );
    Failure::new(ErrorCode::Busy, message)
}
