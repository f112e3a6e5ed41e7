//! What the documents promise is there: every test that docs/security.md names exists, every file in the README's
//! table of the token's way names its step, and docs/configuration.md lists every variable.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

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
                .filter(|name| !name.starts_with("SERVER__"))
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
