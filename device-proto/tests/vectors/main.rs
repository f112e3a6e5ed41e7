//! Conversations recorded between the genuine Hocuspocus packages, as scripts for our two ends.
//!
//! `../hocuspocus-vectors.json` holds 385 steps in 46 scenarios; `probe-…` are a bare WebSocket against the
//! genuine server. Document `req-7Q2m`, token [`recording::TOKEN`], client ids 1 (device) and 2 (server).

#![expect(clippy::unwrap_used, reason = "a step that is missing fails the test")]

mod device;
mod documents;
mod frames;
mod recording;
mod server;
