//! The people that this server knows: those who signed in here before, and those whom the configuration names. A hint of
//! a client leads to one of them, or to nobody.

mod code;
mod directory;
mod user;

pub(crate) use code::hashed_code;
pub(crate) use directory::{Users, UsersError};
pub(crate) use user::{User, Wanted};
