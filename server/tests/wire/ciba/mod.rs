//! Backchannel authentication, by requirement number.

mod page;
mod road;
