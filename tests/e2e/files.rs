//! What every source file of the workspace keeps to: a first line that says what it is for, a name that does
//! so too, and a place in the list of its test suite.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Names that say nothing about what is in a file.
const EMPTY_NAMES: [&str; 7] = ["util", "utils", "helper", "helpers", "common", "misc", "types"];

/// Folders that hold nothing we wrote.
const FOREIGN: [&str; 4] = ["target", "node_modules", "corpus", "artifacts"];

#[test]
fn every_file_says_first_what_it_is_for() {
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("//! "),
            "{} does not open with //!",
            file.display()
        );
    }
}

#[test]
fn every_file_name_says_what_is_in_it() {
    for file in sources() {
        let stem = file.file_stem().and_then(OsStr::to_str).unwrap();
        assert!(!EMPTY_NAMES.contains(&stem), "{} needs a name", file.display());
    }
}

#[test]
fn every_file_of_a_suite_is_listed_in_its_main() {
    for (suite, list) in [("e2e", "main"), ("real", "main"), ("real/tools", "mod")] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(suite);
        let lines = fs::read_to_string(folder.join(list).with_extension("rs")).unwrap();
        let own = |file: &PathBuf| file.parent() == Some(&folder);
        for file in rust_files(&folder).into_iter().filter(own) {
            let stem = file.file_stem().and_then(OsStr::to_str).unwrap();
            let listed = lines.lines().any(|line| line == format!("mod {stem};"));
            assert!(
                stem == list || listed,
                "{} runs nowhere: list it in {suite}/{list}.rs",
                file.display()
            );
        }
    }
}

/// Every Rust file of the workspace.
fn sources() -> Vec<PathBuf> {
    let found = rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    assert!(
        found.iter().any(|file| file.ends_with("e2e/files.rs")),
        "this file is among them"
    );
    found
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).expect("a folder of ours can be read");
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if path.is_dir() && !FOREIGN.contains(&name) && !name.starts_with('.') {
            found.extend(rust_files(&path));
        } else if path.extension() == Some(OsStr::new("rs")) {
            found.push(path);
        }
    }
    found
}
