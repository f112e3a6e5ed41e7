//! Backchannel authentication, by requirement number.

mod clients;
mod decide;
mod details;
mod ground;
mod hints;
mod limits;
mod long_poll;
mod page;
mod parameters;
mod ping;
mod poll;
mod push;
mod races;
mod restart;
mod road;
mod signed;
mod tokens;
mod user_code;
mod verify;
