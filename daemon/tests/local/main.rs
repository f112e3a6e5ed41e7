//! The daemon's local side, by the real program: who gets in, what a bad client can do, how it starts and ends.

mod clients;
mod harness;
mod privacy;
mod start;
