//! Writes what is made from the command line's definition, shell completions and manual pages, and fails where
//! the committed files differ. `CIBA_UPDATE=1 cargo test -p ciba generated` writes them anew. A test, and not in
//! `tests/`: only the program itself sees its definition.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::Invocation;
use crate::command::man::PAGES;

/// The file that each shell looks for.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "ciba.bash"),
    (Shell::Zsh, "_ciba"),
    (Shell::Fish, "ciba.fish"),
];

/// Returns the definition with every command in it: on an ordinary run most are never built.
fn definition() -> Command {
    let mut ciba = Invocation::command();
    ciba.build();
    ciba
}

/// Compares a file with what it should be, or writes it where that is wanted.
fn hold(directory: &str, name: &str, expected: &[u8]) {
    let path = place(directory).join(name);
    if std::env::var_os("CIBA_UPDATE").is_some() {
        fs::write(path, expected).unwrap();
        return;
    }
    assert!(
        fs::read(path).is_ok_and(|found| found == expected),
        "{directory}/{name} is out of date: CIBA_UPDATE=1 cargo test -p ciba generated"
    );
}

fn place(directory: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)
}

/// A command that went takes its file along.
fn nothing_else_in(directory: &str, names: &[String]) {
    for entry in fs::read_dir(place(directory)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name), "{directory}/{name} belongs to no command");
    }
}

#[test]
fn completions_are_what_the_command_line_says() {
    for (shell, name) in COMPLETIONS {
        let mut file = Vec::new();
        clap_complete::generate(shell, &mut definition(), "ciba", &mut file);
        hold("completions", name, &file);
    }
    nothing_else_in("completions", &COMPLETIONS.map(|(_, name)| name.to_owned()));
}

#[test]
fn manual_pages_are_what_the_command_line_says() {
    let ciba = definition();
    let commands: Vec<_> = std::iter::once(&ciba).chain(ciba.get_subcommands()).collect();
    let names: Vec<_> = commands.iter().map(|command| file_name(command)).collect();
    for (command, name) in commands.iter().zip(&names) {
        hold("man", name, &page((*command).clone()));
    }
    nothing_else_in("man", &names);
    let embedded = PAGES.map(|(name, _)| name);
    assert_eq!(
        embedded.as_slice(),
        commands
            .iter()
            .map(|command| command.get_name())
            .collect::<Vec<_>>()
    );
}

fn file_name(command: &Command) -> String {
    format!("{}.1", command.get_display_name().unwrap_or(command.get_name()))
}

/// The end of every page.
const ENVIRONMENT: [(&str, &str); 7] = [
    ("CIBA_URL", "The server of \\fBciba start\\fR."),
    ("CIBA_PROFILE", "The login to use."),
    (
        "CIBA_RESOURCE",
        "The resource of \\fBstart\\fR, \\fBtoken\\fR and \\fBadd\\fR.",
    ),
    ("CIBA_KEYCHAIN", "Where \\fBciba start\\fR keeps the login."),
    ("CIBA_SOCKET", "The absolute path of the socket of \\fBcibad\\fR."),
    ("CIBA_DAEMON", "The \\fBcibad\\fR to start."),
    ("NO_COLOR", "No colours, where it is not empty."),
];

const EXIT_STATUS: [(&str, &str); 7] = [
    ("0", "Done."),
    ("1", "It failed for a reason without a number of its own."),
    ("2", "The command line or the environment is wrong."),
    ("3", "Nobody is logged in: \\fBciba start\\fR."),
    ("4", "The server cannot be reached."),
    ("5", "The login or the request was denied."),
    ("6", "Nobody answered in time."),
];

/// Returns a page: what the definition says, and what is true of all commands.
fn page(command: Command) -> Vec<u8> {
    let mut text = Vec::new();
    Man::new(command).render(&mut text).unwrap();
    for (heading, entries) in [("ENVIRONMENT", &ENVIRONMENT), ("EXIT STATUS", &EXIT_STATUS)] {
        writeln!(text, ".SH \"{heading}\"").unwrap();
        for (term, meaning) in entries {
            writeln!(text, ".TP\n\\fB{term}\\fR\n{meaning}").unwrap();
        }
    }
    text
}
