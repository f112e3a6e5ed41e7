//! JWTs that others made, and what has to be true of them.

mod claims;
mod jws;

pub(crate) use claims::Claims;
pub(crate) use jws::Jws;
