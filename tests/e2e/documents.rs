//! What the documents promise is there: every test that docs/security.md names exists, every file in the README's
//! table of the token's way names its step, docs/configuration.md lists every variable, the operators' pages name every key
//! of the server's configuration, and every command of ciba that the pages for people show is one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use ciba_tests::{World, binary};

#[test]
fn every_test_that_the_security_page_names_exists() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(top.join("docs/security.md")).unwrap();
    let named: BTreeSet<&str> = page
        .lines()
        .filter(|line| line.starts_with("| ") && line.matches('|').count() == 5)
        .filter_map(|line| line.trim_end_matches(['|', ' ']).rsplit('|').next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(
        named.len() >= 15,
        "the page's table is not read as it should be: {named:?}"
    );
    let code: String = rust_files(top)
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !code.contains(&format!("fn {name}(")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/security.md names tests that are not there: {missing:?}"
    );
}

#[test]
fn every_file_of_the_tokens_way_names_its_step() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(top.join("README.md")).unwrap();
    let mut steps = 0;
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, step, _, files, _, _] = cells[..] else {
            continue;
        };
        if step.parse::<u8>().is_err() {
            continue;
        }
        steps += 1;
        for file in files.split('`').skip(1).step_by(2) {
            let text = std::fs::read_to_string(top.join(file)).unwrap_or_else(|_| panic!("no file {file}"));
            let comment: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
            let mut words = comment.split(|c: char| !c.is_alphanumeric());
            let named =
                words.any(|word| word.eq_ignore_ascii_case("step") || word.eq_ignore_ascii_case("steps"));
            assert!(
                named && words.any(|word| word == step),
                "{file} does not name step {step}"
            );
        }
    }
    assert_eq!(steps, 11, "the README's table is not read as it should be");
}

#[test]
fn every_variable_is_on_the_configuration_page() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(top.join("docs/configuration.md")).unwrap();
    let mut variables = BTreeSet::new();
    for file in rust_files(top) {
        let text = std::fs::read_to_string(file).unwrap();
        let found = text
            .split("\"CIBA_")
            .skip(1)
            .filter_map(|rest| rest.split('"').next());
        variables.extend(
            found
                // Keys of the server's configuration; a test may write them without `CIBA_SERVER__`.
                .filter(|name| !name.starts_with("SERVER__") && !name.starts_with('_'))
                .map(str::to_owned),
        );
    }
    variables.retain(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    assert!(
        variables.len() >= 10,
        "the code is not read as it should be: {variables:?}"
    );
    variables.retain(|name| !page.contains(&format!("`CIBA_{name}`")));
    assert!(
        variables.is_empty(),
        "docs/configuration.md lacks CIBA_… {variables:?}"
    );
}

#[test]
fn every_command_on_the_pages_for_people_is_one() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (page, at_least) in [
        ("README.md", 15),
        ("docs/credential-helpers.md", 20),
        ("docs/ciba-clients.md", 3),
    ] {
        let text = std::fs::read_to_string(top.join(page)).unwrap();
        let commands = commands(&text);
        assert!(
            commands.len() >= at_least,
            "{page} is not read as it should be: {commands:?}"
        );
        for (words, options) in commands {
            let help = help(&words);
            let known: BTreeSet<&str> = help
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                .collect();
            for option in options {
                assert!(known.contains(option), "{page}: ciba {words:?} has no {option}");
            }
        }
    }
}

/// What a configuration needs beside what the page shows.
const BESIDE: &str = "public_url = \"http://127.0.0.1:8787\"\nstore.url = \"memory:\"\n\
    login.issuer = \"http://127.0.0.1:9\"\nlogin.client_id = \"ciba\"\n";

#[tokio::test]
async fn the_server_takes_what_the_operators_page_shows() {
    let world = World::new().unwrap();
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(top.join("docs/ciba.md")).unwrap();
    let blocks = page.split("```toml\n").skip(1);
    let shown: Vec<&str> = blocks.filter_map(|rest| rest.split("```").next()).collect();
    assert!(
        shown.len() >= 2,
        "the page is not read as it should be: {shown:?}"
    );
    for block in shown {
        // It reads all of the configuration, and reaches nobody.
        let read = world
            .ciba_server("init", &format!("{BESIDE}{block}"))
            .await
            .unwrap();
        let _ = read.success();
    }
}

#[test]
fn every_key_of_the_servers_configuration_is_on_the_operators_pages() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let keys = server_keys(top);
    assert!(keys.len() >= 80, "the code is not read as it should be: {keys:?}");
    let [ciba, server] =
        ["ciba", "server"].map(|page| std::fs::read_to_string(top.join(format!("docs/{page}.md"))).unwrap());
    let pages = format!("{ciba}{server}");
    let is_there = |key: &str| {
        let quoted = [format!("`{key}`"), format!(".{key}`"), format!("`{key} = ")];
        let section = [format!("[{key}]"), format!(".{key}]")];
        quoted
            .iter()
            .chain(&section)
            .any(|written| pages.contains(written))
            || pages
                .lines()
                .any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")))
    };
    // The file of a secret is beside its key: the page says so once.
    let is_file = |key: &str| key.strip_suffix("_file").is_some_and(|key| keys.contains(key));
    let missing: Vec<_> = keys
        .iter()
        .filter(|key| !is_file(key) && !is_there(key))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/ciba.md and docs/server.md lack {missing:?}"
    );

    let tables = ["## Settings of `[ciba]`", "## Limits"].map(|title| {
        let section = ciba.split(title).nth(1).expect("the section");
        section.split("\n## ").next().unwrap()
    });
    let first_cells = tables
        .iter()
        .flat_map(|table| table.lines())
        .filter_map(|line| line.split('|').nth(1));
    let shown: Vec<_> = first_cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(
        shown.len() >= 20,
        "the page is not read as it should be: {shown:?}"
    );
    for key in shown {
        let last = key.trim_matches(['[', ']']).rsplit('.').next().unwrap();
        let is_sign = last.starts_with('…') || last.bytes().all(|byte| byte.is_ascii_uppercase());
        assert!(
            is_sign || keys.contains(last),
            "docs/ciba.md shows {key}, which is no key"
        );
    }
}

/// Returns the names of the keys that the server's configuration may have, from the structures that it is read into.
fn server_keys(top: &Path) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for file in rust_files(&top.join("server/src/config")) {
        let text = std::fs::read_to_string(file).expect("a source file is text");
        for derived in text.split("#[derive(").skip(1) {
            let (traits, item) = derived.split_once(")]").expect("a derive has an end");
            let (head, body) = item.split_once('{').unwrap_or_default();
            if traits.contains("Deserialize") && head.contains("struct ") && !head.contains(';') {
                keys.extend(fields(body.split("\n}").next().unwrap_or_default()));
            }
        }
    }
    keys
}

/// Returns the names by which the fields of a structure are read.
fn fields(body: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut attribute = "";
    for line in body.lines().map(str::trim) {
        let field = line
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("pub(super) ");
        match field.split_once(": ") {
            _ if line.starts_with("///") => continue,
            _ if line.starts_with("#[") => {
                attribute = line;
                continue;
            }
            Some((name, _)) if !attribute.contains("flatten") => {
                let renamed = attribute
                    .split("rename = \"")
                    .nth(1)
                    .and_then(|rest| rest.split('"').next());
                names.push(renamed.unwrap_or(name).trim_start_matches("r#").to_owned());
            }
            _ => {}
        }
        attribute = "";
    }
    names.retain(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    names
}

/// Returns the commands in the code of a page: the words behind `ciba`, and the options that they are shown with.
fn commands(page: &str) -> BTreeMap<Vec<&str>, BTreeSet<&str>> {
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    for (at, part) in page.split("```").enumerate() {
        let code: Vec<&str> = match at % 2 {
            0 => part.split('`').skip(1).step_by(2).collect(),
            _ => part.lines().collect(),
        };
        for line in code {
            let line = line.split(" #").next().unwrap_or_default();
            for (at, _) in line.match_indices("ciba ") {
                if !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "-./".contains(c)) {
                    let (words, options) = command(&line[at + "ciba ".len()..]);
                    found.entry(words).or_default().extend(options);
                }
            }
        }
    }
    found
}

/// Splits a command, up to what is another program's, into the subcommands at its beginning and its options.
fn command(text: &str) -> (Vec<&str>, Vec<&str>) {
    let ends = |word: &&str| !matches!(*word, "--" | "|" | "&" | ">");
    let is_name = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let words = text.split_whitespace().take_while(ends).map(|word| {
        let end = word.find(['\\', '"', '\'', ')', ';', ']']);
        &word[..end.unwrap_or(word.len())]
    });
    let words: Vec<&str> = words.collect();
    let names = words
        .iter()
        .copied()
        .take_while(|word| !word.starts_with('-') && is_name(word));
    let options = words.iter().copied().filter(|word| word.starts_with('-'));
    (names.collect(), options.collect())
}

/// Returns what `ciba WORDS --help` prints.
fn help(words: &[&str]) -> String {
    let run = Command::new(binary("ciba"))
        .args(words)
        .arg("--help")
        .output()
        .expect("ciba can be run");
    assert!(run.status.success(), "ciba {words:?} --help: {run:?}");
    String::from_utf8(run.stdout).expect("help is a text")
}

/// Every Rust file git would show, by hand: folders of build products and packages are left out.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of ours can be read") {
        let path = entry.expect("an entry of it, too").path();
        let name = path
            .file_name()
            .expect("an entry has a name")
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && !name.starts_with('.') && !["target", "node_modules"].contains(&name.as_str()) {
            found.extend(rust_files(&path));
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
    found
}
