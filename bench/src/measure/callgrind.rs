//! Instructions of a whole process: the one measure of a short program that repeats on a busy machine.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Runs `command` under callgrind, with this standard input, and returns how many instructions it took.
pub(crate) fn instructions(command: &Command, input: Stdio) -> Result<u64> {
    let output = under_callgrind(command)
        .stdin(input)
        .output()
        .context("starting valgrind; is it installed?")?;
    let report = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?} failed under valgrind: {report}"
    );
    collected(&report).with_context(|| format!("no count in valgrind's report: {report}"))
}

fn under_callgrind(command: &Command) -> Command {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--"])
        .arg(command.get_program())
        .args(command.get_args())
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    valgrind
}

/// The count in `==7== Collected : 155123`.
fn collected(report: &str) -> Option<u64> {
    let line = report.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_the_report() {
        let report = "==7== Callgrind, a call-graph generating cache profiler\n==7== \n==7== Events    : Ir\n==7== Collected : 127040\n==7== \n==7== I   refs:      127,040\n";
        assert_eq!(collected(report), Some(127_040));
        assert_eq!(collected("==7== Events    : Ir\n"), None);
    }
}
