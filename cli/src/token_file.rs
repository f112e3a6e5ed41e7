//! A token in a file of its owner's alone, for a program that reads it again and again (`ciba exec --refresh-file`).

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Makes the file. It lies in a directory that was checked (I-001), so what has its name already was left behind by an
/// earlier run.
pub(crate) fn create(path: &Path, token: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // `create_new` (O_EXCL) follows no link.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(token.as_bytes())
}

/// Puts another token in its place. A reader finds the old one or the new one, and never a part.
pub(crate) fn replace(path: &Path, token: &str) -> io::Result<()> {
    let next = path.with_extension("next");
    create(&next, token)?;
    fs::rename(next, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_token_is_its_owners_alone_and_is_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        create(&path, "one").unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let open = fs::File::open(&path).unwrap();
        replace(&path, "two").unwrap();
        assert_eq!(
            io::read_to_string(open).unwrap(),
            "one",
            "who reads goes on reading"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_that_lies_there_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("token"), directory.path().join("other"));
        fs::write(&other, "other").unwrap();
        symlink(&other, &path).unwrap();
        create(&path, "one").unwrap();
        assert_eq!(fs::read_to_string(other).unwrap(), "other");
    }
}
