//! How a record is named, what it carries, and how large it may be.

use std::fmt;

use crate::{Error, Part};

/// The longest id of a record, in bytes.
pub const ID_BYTES_MAX: usize = 256;
/// The largest value of a record, in bytes (4 MiB).
pub const VALUE_BYTES_MAX: usize = 4 << 20;

/// A kind of record. Each has ids of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Device sessions, by request id.
    Session,
    /// Login attempts at the provider, by `state`.
    Login,
    /// Clients that registered or that an administrator added, by client id.
    Client,
    /// People who have signed in here, by `sub`.
    User,
    /// Browsers in which a person is signed in, by the hash of their cookie.
    Browser,
    /// Backchannel authentication requests, by the hash of their `auth_req_id`.
    Request,
    /// What clients were granted, by the id that their tokens carry.
    Grant,
    /// What may be used once, such as the `jti` of an assertion, by its hash.
    Used,
}

impl Space {
    /// Returns the name under which an engine keeps this kind. Databases in use have it: never change one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Login => "login",
            Self::Client => "client",
            Self::User => "user",
            Self::Browser => "browser",
            Self::Request => "request",
            Self::Grant => "grant",
            Self::Used => "used",
        }
    }
}

/// Names one record. No `Debug`: an id may be all that it takes to get at a login.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    /// The kind of record.
    pub space: Space,
    /// Any text up to [`ID_BYTES_MAX`], compared byte by byte.
    pub id: &'a str,
}

impl Key<'_> {
    /// Checks the limits of a record that is about to be written.
    pub(crate) fn admit(&self, value: &[u8]) -> Result<(), Error> {
        within(self.id.len(), ID_BYTES_MAX, Part::Id)?;
        within(value.len(), VALUE_BYTES_MAX, Part::Value)
    }
}

fn within(length: usize, limit: usize, part: Part) -> Result<(), Error> {
    if length > limit {
        return Err(Error::TooLarge { part, limit });
    }
    Ok(())
}

/// A record as it was when it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// What the writer put there.
    pub value: Vec<u8>,
    /// Which writing this is, for [`Store::compare_and_set`](crate::Store::compare_and_set).
    pub version: Version,
    /// The first second in which the record is gone.
    pub expires: UnixSeconds,
}

/// Leaves the value out: it belongs in no log.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("version", &self.version)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// One writing of one key. Opaque: versions are equal or not, and have no order.
///
/// No two writings of a key share one, not even across a removal: what was read from an earlier life of a
/// key never fits a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub(crate) i64);

/// A point in time, in seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(i64);

impl UnixSeconds {
    /// The latest point in time there is: never, as an expiry.
    pub const MAX: Self = Self(i64::MAX);

    /// Takes seconds; more than engines can keep becomes [`UnixSeconds::MAX`].
    pub const fn new(seconds: u64) -> Self {
        if seconds > i64::MAX.unsigned_abs() {
            Self::MAX
        } else {
            Self(seconds.cast_signed())
        }
    }

    /// Returns the seconds.
    pub const fn seconds(self) -> u64 {
        self.0.unsigned_abs()
    }

    /// Returns the point `seconds` later, or [`UnixSeconds::MAX`].
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self::new(self.seconds().saturating_add(seconds))
    }

    /// As engines keep it, a signed number.
    pub(crate) const fn stored(self) -> i64 {
        self.0
    }

    /// From what an engine kept; before 1970 nothing was.
    pub(crate) const fn from_stored(seconds: i64) -> Self {
        if seconds < 0 { Self(0) } else { Self(seconds) }
    }
}
