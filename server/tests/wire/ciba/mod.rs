//! Backchannel authentication, by requirement number.

mod decide;
mod page;
mod ping;
mod poll;
mod push;
mod road;
mod verify;
