//! The daemon's log files, a day each: their last lines, and what is written behind them from then on.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::changes::Changes;
use crate::error::Error;
use crate::terminal::{self, Plain};

/// Bytes of a file in which its last lines are looked for.
const MAX_TAIL: u64 = 4 * 1024 * 1024;

/// The log, from its newest file on.
pub(crate) struct Log {
    directory: PathBuf,
    /// The newest file, read to its end.
    file: File,
    path: PathBuf,
    /// A line that is not yet whole.
    begun: Vec<u8>,
}

impl Log {
    /// Opens the newest file of a directory.
    pub(crate) fn open(directory: PathBuf) -> Result<Self, Error> {
        let path = files(&directory).pop().ok_or_else(|| nothing_in(&directory))?;
        let file = File::open(&path).map_err(|error| unread(&error))?;
        Ok(Self {
            directory,
            file,
            path,
            begun: Vec::new(),
        })
    }

    /// Prints the last lines, some of them from older files if need be.
    pub(crate) fn print_last(&mut self, count: usize) -> Result<(), Error> {
        let mut pieces = vec![end_of(&mut self.file).map_err(|error| unread(&error))?];
        let older = files(&self.directory)
            .into_iter()
            .rev()
            .filter(|path| *path < self.path);
        for path in older {
            if pieces.iter().map(|piece| lines(piece)).sum::<usize>() >= count {
                break;
            }
            // A day that was cleared away in between is no loss.
            pieces.extend(File::open(path).and_then(|mut file| end_of(&mut file)));
        }
        let text: Vec<&str> = pieces.iter().rev().flat_map(|piece| piece.lines()).collect();
        print(&text[text.len().saturating_sub(count)..])
    }

    /// Prints what is written from now on, for ever.
    pub(crate) fn follow(mut self) -> Result<(), Error> {
        let changes = Changes::of(&self.directory).map_err(|error| unread(&error))?;
        loop {
            self.print_new()?;
            match self.next_day() {
                Some(path) => {
                    // What was written to the old file since is read before it is left.
                    self.print_new()?;
                    self.file = File::open(&path).map_err(|error| unread(&error))?;
                    self.path = path;
                }
                None => changes.wait().map_err(|error| unread(&error))?,
            }
        }
    }

    fn print_new(&mut self) -> Result<(), Error> {
        let text = self.new_lines().map_err(|error| unread(&error))?;
        print(&text.lines().collect::<Vec<_>>())
    }

    /// Returns what was written since and ends with a newline; the rest waits for its own.
    fn new_lines(&mut self) -> io::Result<String> {
        self.file.read_to_end(&mut self.begun)?;
        let newline = self.begun.iter().rposition(|&byte| byte == b'\n');
        let whole: Vec<u8> = self.begun.drain(..newline.map_or(0, |at| at + 1)).collect();
        Ok(String::from_utf8_lossy(&whole).into_owned())
    }

    /// Returns the file that has come after this one.
    fn next_day(&self) -> Option<PathBuf> {
        files(&self.directory).into_iter().find(|path| *path > self.path)
    }
}

/// Returns the log's files, oldest first: their names have the day in them.
fn files(directory: &Path) -> Vec<PathBuf> {
    let is_log = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("cibad") && name.ends_with(".log"))
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(is_log).collect();
    files.sort();
    files
}

/// Returns the end of a file as text, and leaves the file there.
fn end_of(file: &mut File) -> io::Result<String> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_TAIL)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn lines(text: &str) -> usize {
    text.lines().count()
}

fn print(lines: &[&str]) -> Result<(), Error> {
    let text: String = lines.iter().map(|line| format!("{}\n", Plain(line))).collect();
    terminal::print(text.as_bytes())
}

fn nothing_in(directory: &Path) -> Error {
    Error::internal(format!("there is no log in {}", directory.display()))
        .hint("a daemon that systemd runs writes to: journalctl --user --unit cibad")
}

fn unread(error: &io::Error) -> Error {
    Error::internal(format!("the log cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_line_is_shown_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let mut written = File::create(directory.path().join("cibad.log")).unwrap();
        let Ok(mut log) = Log::open(directory.path().to_owned()) else {
            panic!("there is a log")
        };
        write!(written, "one\ntw").unwrap();
        assert_eq!(log.new_lines().unwrap(), "one\n");
        assert_eq!(log.new_lines().unwrap(), "");
        writeln!(written, "o").unwrap();
        assert_eq!(log.new_lines().unwrap(), "two\n");
    }

    #[test]
    fn only_the_end_of_a_huge_file_is_read() {
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(MAX_TAIL).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        writeln!(file, "last").unwrap();
        let end = end_of(&mut file).unwrap();
        assert_eq!(end.len() as u64, MAX_TAIL);
        assert!(end.ends_with("last\n"));
    }
}
