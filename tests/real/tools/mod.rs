//! The tools themselves, from end to end: each asks our helper for its token, at a gate that wants one.

mod audit;
mod cargo;
mod confirm;
mod curl;
mod desk;
mod docker;
mod exec;
mod forward;
mod git;
mod go;
mod internet;
mod kubectl;
mod npm;
mod page;
mod pip;
mod ssh;
mod twine;
mod wheel;
mod workplace;
