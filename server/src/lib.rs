//! The server of ciba: a device session is born, lives and ends here; a person signs in at the identity provider;
//! the token goes out sealed.
//!
//! Floors, from the top: [`run`] builds the [`app::App`]; `login` (a person comes back from the provider) hands on to
//! `device` (sessions and their sockets); `token` (what we ask the provider for) lies below both; [`config`] and
//! `http` are the ground. A room never imports one above it.

#![forbid(unsafe_code)]

pub mod app;
mod cause;
mod clock;
pub mod config;
pub mod dev;
mod device;
pub mod harden;
mod http;
mod login;
mod outgoing;
mod random;
mod refusal;
pub mod run;
mod token;
