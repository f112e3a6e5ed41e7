//! What this server is to OAuth clients: who they are, how they prove it, and the tokens that they get.

pub(crate) mod alg;
mod bearer;
pub(crate) mod client;
pub(crate) mod clients;
pub(crate) mod configured;
pub(crate) mod enrol;
pub(crate) mod issuer;
pub(crate) mod jwt;
pub(crate) mod keys;
pub(crate) mod metadata;
pub(crate) mod offer;
pub(crate) mod parameters;
pub(crate) mod plain;
pub(crate) mod register;
