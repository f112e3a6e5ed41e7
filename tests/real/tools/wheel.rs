//! A Python package in a file, for those who upload one and those who download it.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

/// The file's name: project, version, and what it runs on.
pub(super) const NAME: &str = "demo_pkg-1.0-py3-none-any.whl";

/// Writes the wheel whose path is its argument.
const WRITE: &str = r#"
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    info = "demo_pkg-1.0.dist-info/"
    wheel.writestr("demo_pkg/__init__.py", "")
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: demo-pkg\nVersion: 1.0\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: demo\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "demo_pkg/__init__.py,,\n" + "".join(f"{info}{name},,\n" for name in ("METADATA", "WHEEL", "RECORD")))
"#;

/// Writes the package into a folder.
pub(super) fn write(folder: &Path) -> Result<()> {
    let mut python = Command::new("python3");
    python.args(["-c", WRITE]).arg(folder.join(NAME));
    ensure!(python.status()?.success(), "python3 writes the package");
    Ok(())
}
