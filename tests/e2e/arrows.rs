//! Which crate may need which: the arrows of the architecture, and what the small crates never reach.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// Every crate of the workspace, and all the crates of ours it may need.
const ARROWS: [(&str, &[&str]); 8] = [
    ("ipc-proto", &[]),
    ("device-proto", &[]),
    ("store", &[]),
    ("ciba", &["ipc-proto"]),
    ("cibad", &["ipc-proto", "device-proto"]),
    ("ciba-server", &["device-proto", "store"]),
    ("ciba-tests", ANY),
    ("ciba-bench", ANY),
];

/// Tests and measurements ship with nothing, so they may need everything.
const ANY: &[&str] = &[
    "ipc-proto",
    "device-proto",
    "store",
    "ciba",
    "cibad",
    "ciba-server",
    "ciba-tests",
];

/// What must never be behind a crate: a wire format has no runtime, the client no TLS and no documents either.
const BANS: [(&str, &[&str]); 3] = [
    ("ipc-proto", &["tokio", "rustls", "yrs"]),
    ("ciba", &["tokio", "rustls", "yrs"]),
    ("device-proto", &["tokio"]),
];

/// Packages behind the client, itself not counted.
const CLIENT_PACKAGES_MAX: usize = 30;

/// The target whose packages are counted; others add bindings of their own.
const TARGET: &str = "x86_64-unknown-linux-gnu";

#[test]
fn no_crate_needs_another_than_the_architecture_says() {
    let metadata: Value =
        serde_json::from_slice(&cargo(&["metadata", "--format-version", "1", "--no-deps"])).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<&str> = packages
        .iter()
        .map(|package| package["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        ours,
        ARROWS.iter().map(|(name, _)| *name).collect(),
        "the crates this table knows"
    );
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let (_, allowed) = ARROWS.iter().find(|(known, _)| *known == name).unwrap();
        for needed in package["dependencies"].as_array().unwrap() {
            let tests_alone = needed["kind"] == "dev";
            let needed = needed["name"].as_str().unwrap();
            assert!(
                tests_alone || !ours.contains(needed) || allowed.contains(&needed),
                "{name} must not need {needed}"
            );
        }
    }
}

#[test]
fn small_crates_reach_no_runtime_no_tls_and_no_documents() {
    for (name, banned) in BANS {
        let behind = behind(name);
        for package in banned {
            assert!(!behind.contains(*package), "{name} must not reach {package}");
        }
    }
}

#[test]
fn few_packages_are_behind_the_client() {
    let behind = behind("ciba");
    assert!(
        behind.len() <= CLIENT_PACKAGES_MAX,
        "{} packages behind ciba: {behind:?}",
        behind.len()
    );
}

/// Names of the packages behind one of ours as it ships, so without what only its tests need.
fn behind(name: &str) -> BTreeSet<String> {
    let tree = [
        "tree",
        "-p",
        name,
        "-e",
        "normal,build",
        "--prefix",
        "none",
        "--target",
        TARGET,
    ];
    let listed = String::from_utf8(cargo(&tree)).expect("package names are UTF-8");
    let names: BTreeSet<_> = listed
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect();
    assert!(names.contains(name), "cargo tree lists {name} itself");
    names
        .into_iter()
        .filter(|package| package != name && !package.is_empty())
        .collect()
}

fn cargo(arguments: &[&str]) -> Vec<u8> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let mut command = Command::new(program);
    command.args(arguments).args([
        "--offline",
        "--manifest-path",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"),
    ]);
    let output = command.output().expect("cargo runs");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
