//! The audit that the daemon keeps, and the file before it: their entries in order, and those that come.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use ipc_proto::AuditEntry;

/// Bytes that are read at once. The daemon begins a new file long before.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// The audit, as far as it was read.
pub(crate) struct AuditFile {
    path: PathBuf,
    /// The one that is read; `None` before there is one.
    file: Option<File>,
    /// A line that is not yet whole.
    begun: Vec<u8>,
}

impl AuditFile {
    /// An audit of which nothing was read.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            begun: Vec::new(),
        }
    }

    /// Reads what is there; the file before this one as well.
    pub(crate) fn all(&mut self) -> io::Result<Vec<AuditEntry>> {
        let mut before = self.path.as_os_str().to_owned();
        before.push(".1");
        let mut entries = Self::at(before.into()).more()?;
        entries.extend(self.more()?);
        Ok(entries)
    }

    /// Reads what has come since. A file that is not there has no entries.
    pub(crate) fn more(&mut self) -> io::Result<Vec<AuditEntry>> {
        // Before the old one is read to its end: the daemon writes no more to that once there is another.
        let there = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened?),
        };
        let mut entries = self.read_on()?;
        if let Some(there) = there
            && !self.is(&there)?
        {
            self.file = Some(there);
            self.begun.clear();
            entries.extend(self.read_on()?);
        }
        Ok(entries)
    }

    fn is(&self, other: &File) -> io::Result<bool> {
        let Some(file) = &self.file else {
            return Ok(false);
        };
        let (one, other) = (file.metadata()?, other.metadata()?);
        Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
    }

    /// Reads whole lines. One that is no entry, such as one that a full disk cut off, is passed over.
    fn read_on(&mut self) -> io::Result<Vec<AuditEntry>> {
        let Some(file) = &self.file else {
            return Ok(Vec::new());
        };
        file.take(MAX_FILE).read_to_end(&mut self.begun)?;
        let newline = self.begun.iter().rposition(|&byte| byte == b'\n');
        let whole: Vec<u8> = self.begun.drain(..newline.map_or(0, |at| at + 1)).collect();
        let lines = whole.split(|&byte| byte == b'\n');
        Ok(lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    fn line(serial: u64) -> String {
        format!(
            "{{\"time\":\"2026-01-31T12:00:00Z\",\"tool\":\"git\",\"resource\":\"urn:d:git\",\
             \"profile\":\"default\",\"serial\":{serial}}}\n"
        )
    }

    fn serials(entries: io::Result<Vec<AuditEntry>>) -> Vec<u64> {
        entries.unwrap().iter().map(|entry| entry.serial).collect()
    }

    #[test]
    fn entries_come_in_order_and_what_is_none_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let mut audit = AuditFile::at(path.clone());
        assert!(serials(audit.all()).is_empty());
        fs::write(directory.path().join("audit.jsonl.1"), line(7)).unwrap();
        fs::write(&path, format!("{}noise\n\n{{\"time\":\n{}", line(8), line(9))).unwrap();
        assert_eq!(serials(AuditFile::at(path).all()), [7, 8, 9]);
        assert_eq!(serials(audit.more()), [8, 9]);
        assert!(serials(audit.more()).is_empty());
    }

    #[test]
    fn a_line_is_an_entry_when_it_is_whole_and_no_entry_is_lost_when_a_new_file_begins() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let mut file = File::create(&path).unwrap();
        let mut audit = AuditFile::at(path.clone());
        let (one, two) = (line(1), line(2));
        write!(file, "{one}{}", &two[..9]).unwrap();
        assert_eq!(serials(audit.more()), [1]);
        write!(file, "{}", &two[9..]).unwrap();
        fs::rename(&path, directory.path().join("audit.jsonl.1")).unwrap();
        fs::write(&path, line(3)).unwrap();
        assert_eq!(serials(audit.more()), [2, 3]);
    }
}
