//! Where a line ends (I-003): the one codec that the blocking client and the asynchronous daemon share.

use std::fmt;
use std::ops::Range;

use zeroize::{Zeroize, Zeroizing};

/// Bytes in a line, without its newline (I-003).
pub const MAX_LINE: usize = 64 * 1024;

/// Bytes a fresh buffer holds: a token's answer in one read.
const FIRST_CAPACITY: usize = 4 * 1024;

/// A line longer than [`MAX_LINE`]. The connection cannot go on: where the next line begins is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a line is longer than {MAX_LINE} bytes")
    }
}

impl std::error::Error for TooLong {}

/// Collects bytes and gives out whole lines. Lines may carry tokens, so no byte that went through is left
/// behind (I-008): the buffer is wiped when it moves and when it is dropped.
///
/// ```
/// # use ipc_proto::Lines;
/// let mut lines = Lines::default();
/// let space = lines.space().unwrap();
/// space[..6].copy_from_slice(b"one\ntw");
/// lines.filled(6);
/// assert_eq!(lines.next_line(), Some(&b"one"[..]));
/// assert_eq!(lines.next_line(), None);
/// ```
pub struct Lines {
    buffer: Zeroizing<Vec<u8>>,
    /// What has been read and not yet given out.
    held: Range<usize>,
    /// No newline before this place.
    searched: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            buffer: Zeroizing::new(vec![0; FIRST_CAPACITY]),
            held: 0..0,
            searched: 0,
        }
    }
}

impl Lines {
    /// Returns room for the next read, never empty. Call [`Lines::filled`] with what was read.
    ///
    /// # Errors
    ///
    /// [`TooLong`] when an unfinished line fills [`MAX_LINE`]: checked before the buffer grows.
    pub fn space(&mut self) -> Result<&mut [u8], TooLong> {
        if self.held.len() > MAX_LINE {
            return Err(TooLong);
        }
        if self.held.end == self.buffer.len() {
            self.make_room();
        }
        Ok(&mut self.buffer[self.held.end..])
    }

    /// Says that `count` bytes of [`Lines::space`] were filled.
    pub fn filled(&mut self, count: usize) {
        self.held.end = (self.held.end + count).min(self.buffer.len());
    }

    /// Returns the next whole line without its newline, or `None` until more bytes came.
    pub fn next_line(&mut self) -> Option<&[u8]> {
        let newline = self.buffer[self.searched..self.held.end]
            .iter()
            .position(|&b| b == b'\n');
        let Some(at) = newline else {
            self.searched = self.held.end;
            return None;
        };
        let line = self.held.start..self.searched + at;
        self.held.start = line.end + 1;
        self.searched = self.held.start;
        Some(&self.buffer[line])
    }

    /// Whether a line has begun and not ended (I-007 gives it ten seconds).
    pub fn is_unfinished(&self) -> bool {
        !self.held.is_empty()
    }

    /// Moves what is held to the front, into a larger buffer if it is full. A plain `Vec` would leave the
    /// old bytes behind when it grows.
    fn make_room(&mut self) {
        let capacity = if self.held.start > 0 {
            self.buffer.len()
        } else {
            (self.buffer.len() * 2).min(MAX_LINE + 1)
        };
        let mut larger = Zeroizing::new(vec![0; capacity]);
        larger[..self.held.len()].copy_from_slice(&self.buffer[self.held.clone()]);
        self.searched -= self.held.start;
        self.held = 0..self.held.len();
        self.buffer.zeroize();
        self.buffer = larger;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `bytes` in pieces of at most `step` and returns the lines, or the refusal.
    fn split(bytes: &[u8], step: usize) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = lines.space()?;
            let n = rest.len().min(space.len()).min(step);
            space[..n].copy_from_slice(&rest[..n]);
            lines.filled(n);
            rest = &rest[n..];
            while let Some(line) = lines.next_line() {
                out.push(line.to_vec());
            }
        }
        Ok(out)
    }

    #[test]
    fn i_003_the_longest_line_passes_and_one_byte_more_does_not() {
        let mut bytes = vec![b'x'; MAX_LINE];
        bytes.push(b'\n');
        assert_eq!(split(&bytes, 4096).unwrap()[0].len(), MAX_LINE);
        bytes.insert(0, b'x');
        bytes.push(b'\n');
        assert_eq!(split(&bytes, 4096), Err(TooLong));
    }

    #[test]
    fn i_003_an_endless_line_is_refused_before_memory_grows() {
        let mut lines = Lines::default();
        let mut taken = 0;
        while let Ok(space) = lines.space() {
            taken += space.len();
            let n = space.len();
            space.fill(b'x');
            lines.filled(n);
        }
        assert_eq!(taken, MAX_LINE + 1);
        assert_eq!(lines.buffer.len(), MAX_LINE + 1);
    }

    #[test]
    fn an_unfinished_line_is_told_from_silence() {
        let mut lines = Lines::default();
        assert!(!lines.is_unfinished());
        lines.space().unwrap()[0] = b'{';
        lines.filled(1);
        assert!(lines.is_unfinished());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn lines_do_not_depend_on_how_the_bytes_arrive(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..9000),
            step in 1usize..5000,
        ) {
            let end = text.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
            let whole: Vec<Vec<u8>> = text[..end].split_inclusive(|&b| b == b'\n').map(|l| l[..l.len() - 1].to_vec()).collect();
            prop_assert_eq!(split(&text, step).unwrap(), whole);
        }
    }
}
