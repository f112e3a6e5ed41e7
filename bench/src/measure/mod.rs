//! How things are measured and shown, whatever they are.

pub(crate) mod callgrind;
pub(crate) mod percentile;
pub(crate) mod procfs;
pub(crate) mod table;
