//! What `ciba-server` keeps: one trait, and the engines behind it.
//!
//! Start with [`Store`] (what may be asked, and what every engine promises), [`Key`] (how a record is
//! named) and [`open`] (from a URL in the configuration to a store). Values are opaque bytes: what is in
//! them, and that it is sealed, is up to the caller. Time is an argument everywhere; nothing in here
//! reads a clock.

mod contract;
mod error;
mod memory;
mod open;
mod record;
mod sqlite;

pub use contract::{Answer, Put, Store, Swap};
pub use error::{Cause, Error, Part};
pub use open::{OpenMode, folder, open, place};
pub use record::{ID_BYTES_MAX, Key, Record, Space, UnixSeconds, VALUE_BYTES_MAX, Version};
