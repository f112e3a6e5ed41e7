//! End to end with our own programs alone, and the rules of the house that a test can hold.

mod approvals;
mod arrows;
mod daemon;
mod documents;
mod exit_codes;
mod files;
mod floors;
mod refused;
mod road;
mod secrets;
