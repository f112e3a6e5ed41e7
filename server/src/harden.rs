//! Closes the process to others before the first secret exists, and says where a fault of ours is without quoting it.

use std::panic;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// No core dump, no debugger of the same user, no message of a panic: each could hold a token. As many files as the
/// system allows: a device is a file. What the system refuses is logged.
pub fn harden() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    report("no core dump", setrlimit(Resource::Core, none));
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        report(
            "not dumpable",
            set_dumpable_behavior(DumpableBehavior::NotDumpable),
        );
    }
    let files = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: files.maximum,
        ..files
    };
    report("as many files as allowed", setrlimit(Resource::Nofile, all));
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a fault of ours");
    }));
}

fn report(measure: &str, done: rustix::io::Result<()>) {
    if let Err(error) = done {
        tracing::warn!(measure, %error, "not hardened");
    }
}
