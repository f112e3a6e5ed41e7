//! The challenge, the device's one secret: drawn once, held in one slot of locked memory, wiped with it.

use device_proto::Challenge;
use device_proto::challenge::{NotASecret, SECRET_LEN};
use thiserror::Error;

use crate::memory::{Exhausted, Locked};

/// A challenge in locked memory. No Debug, no Clone.
pub(crate) struct Secret(Locked);

impl Secret {
    /// Draws a new one.
    pub(crate) fn draw() -> Result<Self, DrawError> {
        let draw = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(|_| DrawError::NoRandom);
        Locked::fill(SECRET_LEN, draw).map(Self)
    }

    /// Reads the 43 characters of [`Challenge::expose`], which are for the caller to wipe.
    pub(crate) fn decode(text: &str) -> Result<Self, Unreadable> {
        let read = Locked::fill(SECRET_LEN, |bytes| {
            let bytes = bytes.try_into().expect("asked for exactly this length");
            Challenge::decode(text, bytes).map(drop)?;
            Ok::<_, Unreadable>(())
        })?;
        Ok(Self(read))
    }

    /// Returns a view of it.
    pub(crate) fn challenge(&self) -> Challenge<'_> {
        let bytes = self.0.expose().try_into();
        Challenge::new(bytes.expect("made with exactly this length"))
    }
}

/// Why there is no new challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum DrawError {
    #[error("this system gives no random numbers")]
    NoRandom,
    #[error(transparent)]
    NoMemory(#[from] Exhausted),
}

/// The text is no challenge, or there is no memory for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

impl From<NotASecret> for Unreadable {
    fn from(_: NotASecret) -> Self {
        Self
    }
}

impl From<Exhausted> for Unreadable {
    fn from(_: Exhausted) -> Self {
        Self
    }
}
