//! What a tool says to its helper on standard input. It may hold a token (git's `store` and `erase`), so it is wiped.

use rustix::io::{Errno, read};
use rustix::stdio;
use zeroize::Zeroizing;

use super::reply::Wiped;
use crate::error::Error;

/// Bytes a tool may say: git and go pass the response headers of a server on.
pub(crate) const MAX_INPUT: usize = 256 * 1024;

/// Bytes a read asks for.
const PIECE: usize = 4 * 1024;

/// Reads standard input to its end.
pub(crate) fn input() -> Result<Zeroizing<Vec<u8>>, Error> {
    let stdin = stdio::stdin();
    read_all(|piece| read(stdin, piece))
}

fn read_all(mut read: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut piece = Zeroizing::new([0; PIECE]);
    let mut all = Wiped::with_room(PIECE);
    let mut length = 0;
    loop {
        match read(&mut *piece) {
            Ok(0) => return Ok(all.into_bytes()),
            Ok(count) => {
                length += count;
                if length > MAX_INPUT {
                    return Err(Error::usage(format!(
                        "standard input is longer than {MAX_INPUT} bytes"
                    )));
                }
                all.push(&piece[..count]);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(Error::internal(format!("standard input cannot be read: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `length` bytes in pieces.
    fn all_of(length: usize) -> Result<usize, ()> {
        let mut left = length;
        let read = |piece: &mut [u8]| {
            let count = left.min(piece.len());
            left -= count;
            Ok(count)
        };
        read_all(read).map(|all| all.len()).map_err(|_| ())
    }

    #[test]
    fn input_has_a_limit() {
        for length in [0, 1, PIECE, PIECE + 1, MAX_INPUT] {
            assert_eq!(all_of(length), Ok(length));
        }
        assert_eq!(all_of(MAX_INPUT + 1), Err(()));
        assert_eq!(all_of(usize::MAX), Err(()));
    }

    #[test]
    fn a_signal_does_not_end_the_input() {
        let mut reads = vec![Ok(0), Ok(3), Err(Errno::INTR), Ok(3)];
        let all = read_all(|_| reads.pop().unwrap_or(Ok(0)));
        assert_eq!(all.map(|all| all.len()).ok(), Some(6));
        assert!(read_all(|_| Err(Errno::IO)).is_err());
    }
}
