//! Where the programs under test lie: beside the test executable, as one workspace build leaves them.

use std::path::{Path, PathBuf};

/// Names another directory, to test programs that were built elsewhere (a release, an installed package).
const OVERRIDE: &str = "CIBA_BIN_DIR";

/// Returns the path of `ciba`, `cibad` or `ciba-server`.
///
/// # Panics
/// If the program has not been built.
pub fn binary(name: &str) -> PathBuf {
    let path = directory().join(name);
    assert!(
        path.is_file(),
        "{} is missing: build all programs first (cargo build --workspace) or name their folder in {OVERRIDE}",
        path.display()
    );
    path
}

/// The directory that holds the programs: `target/PROFILE`, one above the test executable's `deps`.
pub(crate) fn directory() -> PathBuf {
    if let Some(directory) = std::env::var_os(OVERRIDE) {
        return directory.into();
    }
    let this = std::env::current_exe().expect("a test executable has a path");
    let folder = this.parent().expect("an executable lies in a folder");
    let above = folder.ends_with("deps").then(|| folder.parent()).flatten();
    above.map_or_else(|| folder.to_owned(), Path::to_owned)
}
