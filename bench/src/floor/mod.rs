//! Floors: servers that do nothing but what cannot be left out, each in a process of its own.

pub(crate) mod agent;
pub(crate) mod server;
