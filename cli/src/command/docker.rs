//! `ciba docker setup`: tells docker, in its own configuration, that `ciba` has the tokens of a registry.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::process::getpid;
use serde_json::{Map, Value, json};

use crate::environment::variable;
use crate::error::Error;
use crate::terminal;

/// Bytes of docker's configuration.
const MAX_CONFIG: u64 = 1024 * 1024;

/// The section that says which helper has a registry's credentials.
const SECTION: &str = "credHelpers";

/// What docker puts `docker-credential-` in front of.
const HELPER: &str = "ciba";

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Let docker get the tokens of a registry from ciba
    Setup {
        /// Registry, as it stands in an image's name: host, or host:port
        #[arg(value_parser = registry)]
        host: String,

        /// Print what would stand in docker's configuration, and change nothing
        #[arg(long)]
        print: bool,
    },
}

pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let Action::Setup { host, print } = &args.action;
    if *print {
        return terminal::print_json(&json!({ SECTION: { host: HELPER } }));
    }
    let path = config_file()?;
    write_down(host, &path).map_err(|error| not_written(&path, &error))?;
    terminal::tell(format_args!("docker gets the tokens of {host} from ciba"));
    if !is_on_path("docker-credential-ciba") {
        terminal::tell(
            "docker looks for docker-credential-ciba on the PATH: make a link of that name to ciba",
        );
    }
    Ok(())
}

fn registry(text: &str) -> Result<String, &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    if text.is_empty() || !text.chars().all(allowed) {
        return Err("a registry is a host, or a host and a port");
    }
    Ok(text.to_owned())
}

/// Returns where docker's configuration is.
fn config_file() -> Result<PathBuf, Error> {
    let directory = variable("DOCKER_CONFIG").map(PathBuf::from);
    let directory = directory.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".docker")));
    directory
        .map(|directory| directory.join("config.json"))
        .ok_or_else(|| Error::usage("neither DOCKER_CONFIG nor HOME is set"))
}

fn not_written(path: &Path, error: &io::Error) -> Error {
    Error::internal(format!("{} stays as it is: {error}", path.display()))
        .hint("ciba docker setup HOST --print shows what belongs there")
}

/// Adds the registry; the rest of the file stays. Whoever reads it meanwhile finds the old one or the new one.
fn write_down(host: &str, path: &Path) -> io::Result<()> {
    // A link stays a link: the file may be kept among other settings.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let text = with_registry(&read(&path)?, host)?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let next = path.with_extension(format!("{}.ciba", getpid().as_raw_nonzero()));
    let written = write_new(&next, &path, &text).and_then(|()| fs::rename(&next, &path));
    if written.is_err() {
        let _ = fs::remove_file(&next);
    }
    written
}

fn read(path: &Path) -> io::Result<String> {
    match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok("{}".into()),
        Ok(file) if file.len() > MAX_CONFIG => Err(io::Error::other("it is too long")),
        _ => fs::read_to_string(path),
    }
}

/// Passwords may stand there: the new file is for the same readers as the old one, and a first one for its owner alone.
fn write_new(next: &Path, old: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

    let mut options = File::options();
    let mut file = options.write(true).create_new(true).mode(0o600).open(next)?;
    if let Ok(old) = old.metadata() {
        file.set_permissions(fs::Permissions::from_mode(old.permissions().mode() & 0o777))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn with_registry(config: &str, host: &str) -> io::Result<String> {
    let strange = || io::Error::other("it is no JSON object as docker has it");
    let mut config: Map<String, Value> = serde_json::from_str(config).map_err(|_| strange())?;
    let section = config.entry(SECTION).or_insert_with(|| json!({}));
    let section = section.as_object_mut().ok_or_else(strange)?;
    section.insert(host.to_owned(), HELPER.into());
    // docker indents with a tab.
    let mut text = Vec::new();
    let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut writer = serde_json::Serializer::with_formatter(&mut text, tabs);
    serde::Serialize::serialize(&config, &mut writer)?;
    text.push(b'\n');
    String::from_utf8(text).map_err(|_| strange())
}

fn is_on_path(program: &str) -> bool {
    variable("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|place| place.join(program).exists()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_registry_is_a_host_and_perhaps_a_port() {
        for good in ["registry.example.com", "localhost:5000", "[::1]:5000"] {
            assert!(registry(good).is_ok(), "{good}");
        }
        for bad in ["", "https://h", "h/a", "h a", "h\n", "h\"", "ü"] {
            assert!(registry(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_else_docker_was_told_stays() {
        let before =
            r#"{"auths":{"a":{"auth":"eA=="}},"credHelpers":{"gcr.io":"gcloud","h":"old"},"credsStore":"x"}"#;
        let after: Value = serde_json::from_str(&with_registry(before, "h").unwrap()).unwrap();
        let expected = json!({
            "auths": {"a": {"auth": "eA=="}},
            "credHelpers": {"gcr.io": "gcloud", "h": "ciba"},
            "credsStore": "x",
        });
        assert_eq!(after, expected);
        for strange in ["", "[]", "{", "{\"credHelpers\":[]}"] {
            assert!(with_registry(strange, "h").is_err(), "{strange}");
        }
    }

    #[test]
    fn a_file_is_made_replaced_whole_and_kept_for_its_readers() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(".docker").join("config.json");
        let mode = || path.metadata().unwrap().permissions().mode() & 0o777;
        write_down("a", &path).unwrap();
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        write_down("b", &path).unwrap();
        assert_eq!(mode(), 0o640);
        let expected = "{\n\t\"credHelpers\": {\n\t\t\"a\": \"ciba\",\n\t\t\"b\": \"ciba\"\n\t}\n}\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(fs::read_dir(home.path().join(".docker")).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_understood_stays_and_a_link_stays_a_link() {
        let home = tempfile::tempdir().unwrap();
        let (file, link) = (home.path().join("file"), home.path().join("link"));
        fs::write(&file, "no JSON").unwrap();
        symlink(&file, &link).unwrap();
        assert!(write_down("a", &link).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "no JSON");
        fs::write(&file, "{}").unwrap();
        write_down("a", &link).unwrap();
        assert!(link.is_symlink());
        assert!(fs::read_to_string(&file).unwrap().contains("ciba"));
    }
}
