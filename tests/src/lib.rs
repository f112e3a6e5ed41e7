//! The kit of the end-to-end tests: our programs in a home of their own, and the real peers around them.
//!
//! Start with [`World`] (our three programs, a temporary home, everything they wrote), [`Browser`] (Chromium)
//! and [`Idp`] (an OpenID provider that is not ours). Whatever a test starts is a [`Process`]: dropping it
//! ends it. Nothing here waits for a time; everything waits for a condition, for at most [`PATIENCE`].
//!
//! Linux only: it reads `/proc` and waits on process descriptors.

mod binaries;
mod browser;
mod chance;
mod cmdlines;
mod gate;
mod glewlwyd;
mod hocuspocus;
mod html;
mod http_login;
mod idp;
mod keyring;
mod login;
mod namespace;
mod process;
mod relay;
mod script;
mod seat;
mod secrets;
mod systemd;
mod wait;
mod world;

pub use binaries::binary;
pub use browser::Browser;
pub use chance::Chance;
pub use cmdlines::CmdlineSampler;
pub use gate::{Answer, Authority, Certified, Gate, Offer, Seen, Service, TlsListener};
pub use glewlwyd::Glewlwyd;
pub use hocuspocus::{PeerServer, Provider};
pub use http_login::{Returning, cancel, confirm, confirm_outcome, outcome, sign_in};
pub use idp::Idp;
pub use keyring::Keyring;
pub use login::Login;
pub use process::Process;
pub use relay::{Network, Relay};
pub use script::Script;
pub use seat::Seat;
pub use secrets::{Haystack, assert_none_anywhere, assert_nowhere};
pub use systemd::{BIN, Systemd};
pub use wait::{PATIENCE, until};
pub use world::{Output, Server, World, free_port};
