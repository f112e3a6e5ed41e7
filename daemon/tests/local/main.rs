//! The daemon's local side, by the real program: who gets in, what a bad client can do, how it starts and ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod clients;
mod configuration;
mod handover;
mod harness;
mod privacy;
mod service;
mod start;
