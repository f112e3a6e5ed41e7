//! `ciba netrc`: a token as a line of a netrc file, for programs that know nothing else.

use std::os::fd::AsFd;

use rustix::fs::{FileType, Mode, fstat};

use crate::error::Error;
use crate::helper::{self, Credential, Field, Reply, Wanted};
use crate::terminal;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Host that the token is for, with :PORT where that is not 443
    #[arg(value_parser = host)]
    host: String,
}

/// Prints the line.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let credential = helper::credential(&Wanted {
        url: &format!("https://{}/", args.host),
        tool: "netrc",
        refused: None,
    })?;
    let reply = line(&args.host, &credential)?;
    if is_open_to_others(rustix::stdio::stdout()) {
        terminal::tell("warning: others may read the file that the token is written to: chmod 600");
    }
    reply.print()
}

fn line(host: &str, credential: &Credential) -> Result<Reply, Error> {
    // A netrc file knows hosts and no ports, and a word in it ends at a space.
    let machine = host.split(':').next().and_then(Field::new);
    let machine = machine.ok_or_else(|| Error::usage("a host is missing"))?;
    if credential.username.as_str().contains([' ', '"', '\\', '#']) {
        return Err(Error::usage(
            "the rule's username cannot be written into a netrc file",
        ));
    }
    Ok(Reply::default()
        .word("machine ")
        .field(&machine)
        .word(" login ")
        .field(&credential.username)
        .word(" password ")
        .token(&credential.token)
        .word("\n"))
}

fn is_open_to_others(output: impl AsFd) -> bool {
    fstat(output).is_ok_and(|facts| {
        let is_file = FileType::from_raw_mode(facts.st_mode) == FileType::RegularFile;
        is_file && Mode::from_raw_mode(facts.st_mode).intersects(Mode::RWXG | Mode::RWXO)
    })
}

/// Reads a host, and perhaps a port.
fn host(text: &str) -> Result<String, &'static str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:".contains(&byte);
    if text.is_empty() || text.starts_with(':') || !text.bytes().all(is_plain) {
        return Err("a host has letters, digits, dots and dashes (international names as xn--)");
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use std::fs::{File, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use ipc_proto::{Scheme, Secret};

    use super::*;

    fn credential(username: &str) -> Credential {
        Credential {
            token: helper::HeaderText::new(Secret::from(String::from("abc"))).unwrap(),
            expires_at: 5,
            scheme: Scheme::Auto,
            username: Field::new(username).unwrap(),
            serial: 1,
        }
    }

    #[test]
    fn a_line_names_the_host_without_its_port() {
        for host in ["git.example.com", "git.example.com:8443"] {
            let line = line(host, &credential("oauth2")).map(Reply::text);
            let expected = "machine git.example.com login oauth2 password abc\n";
            assert_eq!(line.ok().as_deref(), Some(expected));
        }
        assert!(line("git.example.com", &credential("a password b")).is_err());
    }

    #[test]
    fn a_host_is_plain() {
        assert!(host("git.example.com:8443").is_ok());
        for bad in ["", ":1", "a b", "https://a", "a/b", "u@a", "a\n", "b\u{fc}cher"] {
            assert!(host(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create(directory.path().join("netrc")).unwrap();
        file.set_permissions(Permissions::from_mode(0o644)).unwrap();
        assert!(is_open_to_others(&file));
        file.set_permissions(Permissions::from_mode(0o600)).unwrap();
        assert!(!is_open_to_others(&file));
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(!is_open_to_others(reader));
    }
}
