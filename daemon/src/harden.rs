//! Closes the process to others before the first secret exists: no core dump, no debugger, no readable file.

use rustix::fs::Mode;
use rustix::io;
use rustix::process::{Resource, Rlimit, setrlimit, umask};

/// Something that should protect this process and does not.
pub(crate) struct Gap {
    pub(crate) measure: &'static str,
    pub(crate) cause: io::Errno,
}

/// Hardens the process and returns what the system refused; the daemon serves all the same, and says so.
#[must_use]
pub(crate) fn harden() -> Vec<Gap> {
    umask(Mode::RWXG | Mode::RWXO);
    let measures = [
        ("no core dump", forbid_core()),
        ("not dumpable", forbid_tracing()),
    ];
    measures
        .into_iter()
        .filter_map(|(measure, done)| done.err().map(|cause| Gap { measure, cause }))
        .collect()
}

fn forbid_core() -> io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)
}

/// Keeps other processes of the same user from attaching a debugger or reading `/proc/PID/mem`.
#[cfg(target_os = "linux")]
fn forbid_tracing() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};

    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// Elsewhere the hardened runtime of a signed program does it.
#[cfg(not(target_os = "linux"))]
fn forbid_tracing() -> io::Result<()> {
    Ok(())
}
