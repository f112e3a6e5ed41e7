//! The tools themselves, from end to end: each asks our helper for its token, at a gate that wants one.

mod audit;
mod cargo;
mod confirm;
mod curl;
mod docker;
mod exec;
mod forward;
mod git;
mod go;
mod kubectl;
mod pip;
mod service;
mod ssh;
mod workplace;
