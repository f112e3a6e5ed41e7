//! `ciba audit`: which tokens were handed out, from the file that the daemon keeps beside its log.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use ipc_proto::AuditEntry;

use crate::error::Error;
use crate::terminal::{self, Plain};

/// Bytes of a file that are read. The daemon begins a new one long before.
const MAX_FILE: u64 = 64 * 1024 * 1024;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Entries to show, the last ones
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50)]
    lines: usize,

    /// Print a JSON object for each
    #[arg(long)]
    json: bool,
}

/// Shows the last entries. Asks no daemon: the file outlives it.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let file = ipc_proto::audit_file(|name| std::env::var_os(name))
        .ok_or_else(|| Error::usage("HOME is not set: there is no place for an audit"))?;
    let mut last = VecDeque::new();
    for file in [before(&file), file] {
        read(&file, args.lines, &mut last)
            .map_err(|error| Error::internal(format!("the audit cannot be read: {error}")))?;
    }
    for entry in &last {
        if args.json {
            terminal::print_json(entry)?;
        } else {
            terminal::print(line(entry).as_bytes())?;
        }
    }
    Ok(())
}

/// Returns the file before this one.
fn before(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

/// Adds a file's entries, of which the last `count` stay. A line that is none, such as one that a full disk cut off, is
/// passed over; a file that is not there has none.
fn read(path: &Path, count: usize, last: &mut VecDeque<AuditEntry>) -> io::Result<()> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    for line in BufReader::new(file.take(MAX_FILE)).split(b'\n') {
        last.extend(serde_json::from_slice::<AuditEntry>(&line?));
        while last.len() > count {
            last.pop_front();
        }
    }
    Ok(())
}

/// Returns an entry as a line.
fn line(entry: &AuditEntry) -> String {
    let host = entry.host.as_deref().unwrap_or("-");
    let program = entry.executable.as_deref().unwrap_or("-");
    let pid = entry.pid.map_or_else(|| "-".into(), |pid| pid.to_string());
    let profile = entry.profile.to_string();
    let words = [
        &entry.time,
        &entry.tool,
        host,
        &entry.resource,
        &profile,
        &pid,
        program,
    ];
    let words: Vec<String> = words.iter().map(|word| Plain(word).to_string()).collect();
    format!("{}\n", words.join("  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = r#"{"time":"2026-01-31T12:00:00Z","tool":"git","pid":42,"executable":"/usr/bin/ciba","host":"git.example.com","resource":"urn:d:git","profile":"default","serial":7}"#;

    #[test]
    fn an_entry_is_a_line_that_moves_no_cursor() {
        let entry: AuditEntry = serde_json::from_str(ENTRY).unwrap();
        assert_eq!(
            line(&entry),
            "2026-01-31T12:00:00Z  git  git.example.com  urn:d:git  default  42  /usr/bin/ciba\n"
        );
        let entry = AuditEntry {
            host: None,
            pid: None,
            executable: Some("\x1b[2J".into()),
            ..entry
        };
        assert_eq!(
            line(&entry),
            "2026-01-31T12:00:00Z  git  -  urn:d:git  default  -  \u{fffd}[2J\n"
        );
    }

    #[test]
    fn the_last_entries_stay_and_what_is_none_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let second = ENTRY.replace("\"serial\":7", "\"serial\":8");
        std::fs::write(before(&path), format!("{ENTRY}\n")).unwrap();
        std::fs::write(&path, format!("{second}\nnoise\n\n{{\"time\":")).unwrap();
        let numbers = |count| {
            let mut last = VecDeque::new();
            for file in [before(&path), path.clone()] {
                read(&file, count, &mut last).unwrap();
            }
            last.iter().map(|entry| entry.serial).collect::<Vec<_>>()
        };
        assert_eq!(numbers(50), [7, 8]);
        assert_eq!(numbers(1), [8]);
        assert!(numbers(0).is_empty());
    }
}
