//! Builds what is measured, the way it ships. Cargo answers at once when all is built.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Where the client is built for: named, so that static linking leaves build scripts and macros alone.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds `cibad`, `ciba-server` and an ordinary `ciba` beside this program, where the kit of the tests looks.
pub(crate) fn build() -> Result<()> {
    if std::env::var_os("CIBA_BIN_DIR").is_some() {
        return Ok(()); // Somebody says where they lie.
    }
    let mut cargo = cargo("build");
    cargo.args(["--workspace", "--exclude", "ciba-bench", "--bins"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    run(&mut cargo)
}

/// Builds the static client and returns its path.
pub(crate) fn build_client() -> Result<PathBuf> {
    let mut cargo = cargo("build");
    cargo
        .args(["--profile", "client", "-p", "ciba", "--target", TARGET])
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    run(&mut cargo)?;
    Ok(target_directory()?.join(TARGET).join("client/ciba"))
}

/// Names and versions of the packages behind the client, itself not counted.
pub(crate) fn packages_behind_client() -> Result<usize> {
    let mut cargo = cargo("tree");
    cargo.args([
        "-p",
        "ciba",
        "-e",
        "normal",
        "--target",
        TARGET,
        "--prefix",
        "none",
        "--no-dedupe",
    ]);
    let output = cargo.output().context("starting cargo")?;
    ensure!(output.status.success(), "{cargo:?}: {}", output.status);
    Ok(packages(&String::from_utf8(output.stdout)?) - 1)
}

/// Distinct `name version` among the lines of `cargo tree --prefix none`.
fn packages(tree: &str) -> usize {
    let name_and_version = |line: &str| -> Option<String> {
        let mut words = line.split_ascii_whitespace();
        Some([words.next()?, words.next()?].join(" "))
    };
    let all: std::collections::BTreeSet<_> = tree.lines().filter_map(name_and_version).collect();
    all.len()
}

fn cargo(command: &str) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut cargo = Command::new(program);
    cargo.arg(command).current_dir(env!("CARGO_MANIFEST_DIR"));
    if let (true, Ok(directory)) = (command == "build", target_directory()) {
        cargo.arg("--target-dir").arg(directory);
    }
    cargo
}

fn run(cargo: &mut Command) -> Result<()> {
    let status = cargo.status().context("starting cargo")?;
    ensure!(status.success(), "{cargo:?}: {status}");
    Ok(())
}

/// `target`, two above this program.
fn target_directory() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let target = this.parent().and_then(Path::parent);
    Ok(target
        .context("this program lies in no target directory")?
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_counts_once_for_each_version() {
        let tree = "ciba v0.1.0 (/src/cli)\nclap v4.6.7\nserde v1.0.2\nclap v4.6.7\nserde v1.0.2 (proc-macro)\nsyn v2.0.1\nsyn v1.0.9\n\n";
        assert_eq!(packages(tree), 5);
    }
}
