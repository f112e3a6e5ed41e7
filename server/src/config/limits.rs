//! `[limits]`: what one address may ask, and how long a login may take.

use std::num::NonZeroU32;

use serde::Deserialize;

use super::Error;

/// What one address may ask.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section")]
pub(crate) struct Limits {
    /// Logins begun, a minute (D-004).
    pub(crate) logins_per_minute: NonZeroU32,
    /// How long a login may take, seconds (D-005).
    pub(crate) login_expires_in: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            logins_per_minute: NonZeroU32::new(30).expect("30 is not zero"),
            login_expires_in: 600,
        }
    }
}

/// Seconds a login may take: long enough to find the phone, short enough to mean this terminal.
const LOGIN_EXPIRES_IN: std::ops::RangeInclusive<u64> = 5..=3600;

impl Limits {
    pub(super) fn checked(self) -> Result<Self, Error> {
        if LOGIN_EXPIRES_IN.contains(&self.login_expires_in) {
            return Ok(self);
        }
        let (least, most) = LOGIN_EXPIRES_IN.into_inner();
        let problem = format!("must be {least} to {most} seconds");
        Err(Error::value("limits.login_expires_in", problem))
    }
}
