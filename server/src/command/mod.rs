//! The commands of `ciba-server`, one file each.

mod check;
mod dev;
mod init;
mod keys;
mod serve;

pub use check::check;
pub use dev::dev;
pub use init::init;
pub use keys::{list_keys, rotate_keys};
pub use serve::serve;
