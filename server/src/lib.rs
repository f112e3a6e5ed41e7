//! The server of ciba: a device session is born, lives and ends here; a person signs in at the identity provider;
//! the token goes out sealed.
//!
//! From the top: a [`command`] builds the `app`; `login` (a person comes back from the provider) hands on to `device`
//! (sessions and their sockets); `token` (what we ask the provider for) lies below both; all other modules are the ground.
//! A module never imports one above it. [`dev`] stands beside: the identity provider of `ciba-server dev`.

#![forbid(unsafe_code)]

mod app;
mod browser;
mod cause;
mod ciba;
mod clock;
pub mod command;
pub mod config;
mod connection;
pub mod dev;
mod device;
mod failures;
#[cfg(fuzzing)]
pub mod fuzz;
mod guard;
pub mod harden;
mod local;
mod login;
mod oauth;
mod openid;
mod outgoing;
mod page;
mod peer;
mod program;
mod random;
mod refusal;
mod serve;
mod shutdown;
mod terminals;
mod throttle;
mod tls;
mod token;
mod users;
