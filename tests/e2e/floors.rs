//! Which module may import which inside a program: imports run down the floors, and never in a circle.
//!
//! Text is read, not Rust: a path that begins with `crate`, `super` or a module of the file's own is an import.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

/// A program's rooms, which are the files and folders of its `src`, from the top floor down. A room imports from lower
/// floors alone. Rooms that stand on no floor may be imported by all.
type Floors = &'static [&'static [&'static str]];

const SERVER: Floors = &[
    &["main"],
    &["command"],
    &["app"],
    &["login", "openid"],
    &["device", "ciba"],
    &["oauth"],
    &["token", "users", "browser", "dev", "serve", "guard", "peer"],
    &["connection", "tls"],
    &["config", "refusal", "page", "throttle", "failures", "shutdown"],
    &["outgoing", "program", "clock", "random", "cause", "harden"],
];

const DAEMON: Floors = &[
    &["main"],
    &["run"],
    &["ipc", "notify"],
    &["agent"],
    &["session", "diagnose", "loading"],
    &["sync", "authorize", "handover", "request"],
    &["keychain", "config"],
    &["table", "server", "secret"],
    &["memory", "tls", "ownership"],
];

const CLIENT: Floors = &[
    &["main", "generated"],
    &["args"],
    &["command"],
    &["helper", "login", "approval", "checkup", "service", "logfile"],
    &["ask"],
    &["connection"],
    &["launch", "trust", "terminal"],
    &["environment"],
    &["error"],
    &["exit"],
];

/// Files that import each other, and why they may.
const CIRCLES: [(&str, &str, &str); 0] = [];

#[test]
fn the_servers_imports_run_down() {
    run_down("server", SERVER);
    never_round("server");
}

#[test]
fn the_daemons_imports_run_down() {
    run_down("daemon", DAEMON);
    never_round("daemon");
}

#[test]
fn the_clients_imports_run_down() {
    run_down("cli", CLIENT);
    never_round("cli");
}

fn run_down(program: &str, floors: Floors) {
    let arrows = arrows(program);
    for name in floors.concat() {
        let is_there = arrows
            .iter()
            .any(|(from, to)| room(from) == name || room(to) == name);
        assert!(is_there, "{program} has no {name} that is used");
    }
    for (from, to) in &arrows {
        let [above, below] = [from, to].map(|file| floor(floors, room(file)));
        let runs_down = above.zip(below).is_none_or(|(above, below)| above < below);
        assert!(
            room(from) == room(to) || runs_down,
            "{program}: {from} must not import {to}"
        );
    }
}

fn never_round(program: &str) {
    let arrows: Arrows = arrows(program)
        .into_iter()
        .filter(|arrow| !is_excused(arrow))
        .collect();
    assert_eq!(circles(arrows), Arrows::new(), "{program}: these arrows go round");
}

/// Whether an arrow may go round: a folder's `mod.rs` speaks for the files below it, and they may import it.
fn is_excused((from, to): &(String, String)) -> bool {
    to.starts_with(&format!("{from}::")) || CIRCLES.iter().any(|(one, other, _)| one == from && other == to)
}

#[test]
fn the_built_in_provider_stands_beside_the_rest() {
    for (from, to) in arrows("server") {
        let above = ["main", "command", "app", "dev"].contains(&room(&from));
        assert!(room(&to) != "dev" || above, "{from} must not import {to}");
    }
}

type Arrows = BTreeSet<(String, String)>;

/// Returns the arrows that lie on a circle, or between two.
fn circles(mut arrows: Arrows) -> Arrows {
    loop {
        let from: BTreeSet<_> = arrows.iter().map(|(from, _)| from.clone()).collect();
        let to: BTreeSet<_> = arrows.iter().map(|(_, to)| to.clone()).collect();
        let before = arrows.len();
        arrows.retain(|arrow| to.contains(&arrow.0) && from.contains(&arrow.1));
        if arrows.len() == before {
            return arrows;
        }
    }
}

/// Returns a program's imports, from file to file; a file goes by its module's path: `device::grant`.
fn arrows(program: &str) -> Arrows {
    let files = files(program);
    let mut arrows = Arrows::new();
    for (file, text) in &files {
        for path in paths(file, text, &files) {
            let imported = known(&path, &files);
            arrows.extend(imported.filter(|to| to != file).map(|to| (file.clone(), to)));
        }
    }
    assert!(arrows.len() > 10, "{program}: {arrows:?}");
    arrows
}

/// Returns the module that a path leads to: its longest beginning that is a file.
fn known(path: &[String], files: &BTreeMap<String, String>) -> Option<String> {
    let beginnings = (1..=path.len()).rev().map(|length| path[..length].join("::"));
    beginnings.into_iter().find(|path| files.contains_key(path))
}

/// Returns the paths in a file that begin in this program.
fn paths(file: &str, text: &str, files: &BTreeMap<String, String>) -> Vec<Vec<String>> {
    let own: Vec<String> = match file {
        "main" | "lib" => Vec::new(),
        _ => file.split("::").map(str::to_owned).collect(),
    };
    let mut found = Vec::new();
    for (at, _) in text.match_indices("::") {
        let before = &text[..at];
        let name = before.rsplit(|c: char| !is_in_name(c)).next().unwrap_or_default();
        let preceding = &before[..at - name.len()];
        if preceding.ends_with("::") || preceding.ends_with("in ") || preceding.ends_with('$') {
            continue;
        }
        let child = [&own[..], &[name.to_owned()]].concat();
        let start = match name {
            "crate" => Vec::new(),
            "super" => own[..own.len().saturating_sub(1)].to_vec(),
            "self" => own.clone(),
            _ if files.contains_key(&child.join("::")) => child,
            _ => continue,
        };
        let mut here = Vec::new();
        tree(&text[at + 2..], start, &mut here);
        found.append(&mut here);
    }
    found
}

/// Reads what stands behind `::`: names, and lists of them in braces. Returns what stands behind that.
fn tree<'a>(mut rest: &'a str, mut path: Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    loop {
        if let Some(mut list) = rest.strip_prefix('{') {
            loop {
                let behind = tree(list.trim_start(), path.clone(), found);
                let end = behind.find([',', '}']).unwrap_or(behind.len());
                match behind[end..].strip_prefix(',') {
                    Some(more) => list = more,
                    None => return behind[end..].strip_prefix('}').unwrap_or_default(),
                }
            }
        }
        let end = rest.find(|c: char| !is_in_name(c)).unwrap_or(rest.len());
        match &rest[..end] {
            "super" => drop(path.pop()),
            "self" | "" => {}
            name => path.push(name.to_owned()),
        }
        match rest[end..].strip_prefix("::") {
            Some(more) => rest = more,
            None => {
                found.push(path);
                return &rest[end..];
            }
        }
    }
}

fn is_in_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn room(file: &str) -> &str {
    file.split("::").next().unwrap_or(file)
}

fn floor(floors: Floors, room: &str) -> Option<usize> {
    floors.iter().position(|floor| floor.contains(&room))
}

/// Returns a program's files by module path, without their comments and tests.
fn files(program: &str) -> BTreeMap<String, String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(program)
        .join("src");
    let mut files = BTreeMap::new();
    read(&sources, "", &mut files);
    files
}

fn read(folder: &Path, above: &str, files: &mut BTreeMap<String, String>) {
    let entries = fs::read_dir(folder).expect("a folder of ours can be read");
    for entry in entries.flatten().map(|entry| entry.path()) {
        let stem = entry.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        let module = format!("{above}{stem}");
        if entry.is_dir() {
            read(&entry, &format!("{module}::"), files);
        } else if entry.extension().is_some_and(|ending| ending == "rs") && stem != "tests" {
            let module = module.trim_end_matches("::mod").to_owned();
            files.insert(
                module,
                code(&fs::read_to_string(&entry).expect("a source is text")),
            );
        }
    }
}

/// Returns a file's text without comments and without its tests.
fn code(text: &str) -> String {
    let (code, _) = text.split_once("\n#[cfg(test)]\nmod tests").unwrap_or((text, ""));
    let lines = code
        .lines()
        .map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn paths_are_read_as_rust_means_them() {
    let files = ["a", "a::b", "a::c", "d"].map(|file| (file.to_owned(), String::new()));
    let files = BTreeMap::from(files);
    for (file, text, expected) in [
        ("a::b", "use crate::{a::c::X, d};", &["a::c", "d"][..]),
        (
            "a::b",
            "use super::c::{self, Y as Z}; fn x() { super::W }",
            &["a", "a::c"],
        ),
        ("a", "pub use b::X; use std::d::Y;", &["a::b"]),
        ("d", "pub(in crate::a) fn x(y: crate::a::b::X) {}", &["a::b"]),
    ] {
        let paths = paths(file, text, &files);
        let found: BTreeSet<_> = paths.iter().filter_map(|path| known(path, &files)).collect();
        let found: Vec<_> = found
            .iter()
            .map(String::as_str)
            .filter(|to| *to != file)
            .collect();
        assert_eq!(found, expected, "{text}");
    }
}
