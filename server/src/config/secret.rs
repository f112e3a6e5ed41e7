//! A secret of the configuration: written at its key, or in a file of its own that the key with `_file` names.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::Error;

/// The variable in which a service manager names the directory of a service's credentials (systemd.exec(5)).
pub(super) const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Where the files lie that a configuration names.
pub(super) struct Places<'a> {
    /// The configuration's own folder.
    pub(super) base: &'a Path,
    /// The credentials, where a service manager hands some over.
    pub(super) credentials: Option<&'a Path>,
}

/// A secret that is written in the configuration itself.
pub(super) struct Inline(Zeroizing<String>);

impl<'de> Deserialize<'de> for Inline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Serde's own words would quote it.
        let text =
            String::deserialize(deserializer).map_err(|_| serde::de::Error::custom("must be a text"))?;
        Ok(Self(Zeroizing::new(text)))
    }
}

/// Returns the secret at a key, if there is one.
///
/// # Errors
///
/// There are two, or the file cannot be read.
pub(super) fn of(
    key: &str,
    inline: Option<Inline>,
    file: Option<PathBuf>,
    places: &Places<'_>,
) -> Result<Option<Zeroizing<String>>, Error> {
    let file_key = format!("{key}_file");
    match (inline, file) {
        (Some(_), Some(_)) => {
            let problem = format!("is given here and as {file_key}: take one away");
            Err(Error::value(key, problem))
        }
        (inline, None) => inline.map(|secret| filled(key, secret.0)).transpose(),
        (None, Some(file)) => {
            let secret = places.find(&file).and_then(|path| read(&path));
            let secret = secret.map_err(|problem| Error::value(&file_key, problem))?;
            filled(&file_key, secret).map(Some)
        }
    }
}

/// Returns the secret of at least so many bytes at a key, if there is one.
///
/// # Errors
///
/// As of [`of`], or it is shorter.
pub(super) fn at_least(
    bytes: usize,
    key: &str,
    (inline, file): (Option<Inline>, Option<PathBuf>),
    places: &Places<'_>,
) -> Result<Option<Zeroizing<String>>, Error> {
    let secret = of(key, inline, file, places)?;
    if secret.as_ref().is_some_and(|secret| secret.len() < bytes) {
        return Err(Error::value(key, format!("must have at least {bytes} bytes")));
    }
    Ok(secret)
}

/// An empty secret is a file that was never filled, or a variable that was never set: it would let everybody in.
fn filled(key: &str, secret: Zeroizing<String>) -> Result<Zeroizing<String>, Error> {
    if secret.trim().is_empty() {
        return Err(Error::value(key, "is empty"));
    }
    Ok(secret)
}

/// Returns what a file holds, without the end of its last line.
fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let text = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

impl Places<'_> {
    /// Returns the path of a file: below `${CREDENTIALS_DIRECTORY}`, or as seen from the configuration.
    pub(super) fn find(&self, file: &Path) -> Result<PathBuf, String> {
        let Ok(credential) = file.strip_prefix(format!("${{{CREDENTIALS}}}")) else {
            return Ok(self.base.join(file));
        };
        let missing = || format!("{CREDENTIALS} is not set; a service manager does so for LoadCredential=");
        Ok(self.credentials.ok_or_else(missing)?.join(credential))
    }
}
