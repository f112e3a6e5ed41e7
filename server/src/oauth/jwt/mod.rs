//! JWTs that others made: whose they are, who signed them, and what has to be true of them.

mod assertion;
mod claims;
mod client_keys;
mod jws;
mod key_set;
#[cfg(test)]
pub(crate) mod signer;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use assertion::{ASSERTION_TYPE, Assertion, AssertionRules};
pub(crate) use claims::Claims;
pub(crate) use client_keys::{ClientKeys, KeysOf};
pub(crate) use jws::Jws;
pub(crate) use key_set::{KeySet, KeySetError};
