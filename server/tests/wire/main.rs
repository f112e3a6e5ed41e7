//! Requirement tests of the server: the real program, driven over HTTP and WebSocket from outside.
//!
//! `kit` has the server, the two who talk to it (`browser` and `device`), and an identity provider that can misbehave.
//! `session` has the tests of device sessions, `sign_in` those of browser sessions, `oauth` those of the OpenID provider, `tls`
//! those with certificates, by requirement number.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod ciba;
mod kit;
mod oauth;
mod session;
mod sign_in;
mod tls;
