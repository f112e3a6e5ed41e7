//! The commands of `ciba-server`, one file each.

mod check;
mod dev;
mod init;
mod serve;

pub use check::check;
pub use dev::dev;
pub use init::init;
pub use serve::serve;
