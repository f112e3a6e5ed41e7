//! A file that the service manager reads. Each change comes back as a sentence that says what was done.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::error::Error;

/// Units are for everybody to read: there is no secret in them.
const PUBLIC_FILE: u32 = 0o644;

/// What the file is to say, and where.
pub(crate) struct UnitFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl UnitFile {
    /// Writes the file whole or not at all. One that says the same already is left alone.
    pub(crate) fn write(&self) -> Result<Option<String>, Error> {
        let path = &self.path;
        let failed =
            |error: io::Error| Error::internal(format!("{} cannot be written: {error}", path.display()));
        if self.is_current() {
            return Ok(None);
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        // Service managers read only files with the endings they know.
        let unfinished = path.with_added_extension("new");
        fs::write(&unfinished, &self.text)
            .and_then(|()| fs::set_permissions(&unfinished, fs::Permissions::from_mode(PUBLIC_FILE)))
            .and_then(|()| fs::rename(&unfinished, path))
            .map_err(failed)?;
        Ok(Some(format!("wrote {}", path.display())))
    }

    /// Whether the file is there and says the same.
    pub(crate) fn is_current(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|text| text == self.text)
    }

    /// Removes the file if it is there.
    pub(crate) fn remove(&self) -> Result<Option<String>, Error> {
        let path = &self.path;
        match fs::remove_file(path) {
            Ok(()) => Ok(Some(format!("removed {}", path.display()))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::internal(format!(
                "{} cannot be removed: {error}",
                path.display()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_once_and_readable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("systemd/user/cibad.socket");
        let file = |text: &str| UnitFile {
            path: path.clone(),
            text: text.into(),
        };
        let said = |text| file(text).write().unwrap_or_else(|_| panic!("written"));
        assert_eq!(said("one"), Some(format!("wrote {}", path.display())));
        assert_eq!(said("one"), None);
        assert!(said("two").is_some());
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, PUBLIC_FILE);
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn what_is_not_there_need_not_be_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cibad.socket");
        fs::write(&path, "").unwrap();
        let file = UnitFile {
            path,
            text: String::new(),
        };
        assert!(file.remove().is_ok_and(|said| said.is_some()));
        assert!(file.remove().is_ok_and(|said| said.is_none()));
    }
}
