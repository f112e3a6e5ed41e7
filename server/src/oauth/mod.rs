//! What this server is to OAuth clients: who they are, how they prove it, and the tokens that they get.

pub(crate) mod alg;
pub(crate) mod client;
pub(crate) mod clients;
pub(crate) mod jwt;
pub(crate) mod keys;
pub(crate) mod parameters;
