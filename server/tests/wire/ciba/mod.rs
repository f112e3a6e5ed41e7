//! Backchannel authentication, by requirement number.

mod decide;
mod long_poll;
mod page;
mod ping;
mod poll;
mod push;
mod races;
mod restart;
mod road;
mod tokens;
mod verify;
