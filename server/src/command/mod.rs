//! The commands of `ciba-server`, one file each.

mod check;
mod client;
mod dev;
mod init;
mod keys;
mod secret_input;
mod serve;
mod table;
mod user;

pub use check::check;
pub use client::{ClientCommand, client};
pub use dev::dev;
pub use init::init;
pub use keys::{list_keys, rotate_keys};
pub use serve::serve;
pub use user::{UserCommand, user};
