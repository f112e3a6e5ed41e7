//! Backchannel authentication, by requirement number.

mod road;
