//! `ciba audit`: which tokens were handed out, from the file that the daemon keeps beside its log.

use ipc_proto::{AuditEntry, ProfileName};

use crate::audit_file::AuditFile;
use crate::changes::Changes;
use crate::error::Error;
use crate::terminal::{self, Plain};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Entries to show, the last ones
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50)]
    lines: usize,

    /// Go on with the tokens that are handed out from now on, until interrupted
    #[arg(short, long)]
    follow: bool,

    /// Print a JSON object for each
    #[arg(long)]
    json: bool,
}

/// Shows the last entries. Asks no daemon: the file outlives it.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let path = ipc_proto::audit_file(|name| std::env::var_os(name))
        .ok_or_else(|| Error::usage("HOME is not set: there is no place for an audit"))?;
    let directory = path.parent().unwrap_or(&path).to_owned();
    let mut audit = AuditFile::at(path);
    let changes = args.follow.then(|| Changes::of(&directory)).transpose();
    let changes = changes.map_err(|error| unread(&error))?;
    let all = audit.all().map_err(|error| unread(&error))?;
    print(&all[all.len().saturating_sub(args.lines)..], args.json)?;
    while let Some(changes) = &changes {
        changes.wait().map_err(|error| unread(&error))?;
        print(&audit.more().map_err(|error| unread(&error))?, args.json)?;
    }
    Ok(())
}

fn unread(error: &std::io::Error) -> Error {
    Error::internal(format!("the audit cannot be read: {error}"))
}

fn print(entries: &[AuditEntry], json: bool) -> Result<(), Error> {
    entries.iter().try_for_each(|entry| {
        if json {
            terminal::print_json(entry)
        } else {
            terminal::print(line(entry).as_bytes())
        }
    })
}

/// Returns an entry as a line.
fn line(entry: &AuditEntry) -> String {
    let host = entry.host.as_deref().unwrap_or("-");
    let program = entry.executable.as_deref().unwrap_or("-");
    let pid = entry.pid.map_or_else(|| "-".into(), |pid| pid.to_string());
    let login = entry.profile.as_ref().map(ProfileName::as_str);
    let profile = login.or(entry.client_id.as_deref()).unwrap_or("-");
    let words = [
        &entry.time,
        &entry.tool,
        host,
        &entry.resource,
        profile,
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
}
