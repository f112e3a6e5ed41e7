//! The sessions on their way to the next program: bytes in a pipe, which is the kernel's memory.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_setfl};
use zeroize::Zeroizing;

use super::HandOverError;

/// Bytes of one session. More is not what we wrote.
const MAX_ITEM: u32 = 64 * 1024;

/// Bytes that a pipe holds without being asked.
const PIPE: usize = 64 * 1024;

/// Puts every item into a pipe and returns the end to read from. Refuses what does not fit: nobody reads
/// meanwhile.
pub(crate) fn pack<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> Result<OwnedFd, HandOverError> {
    let items: Vec<&[u8]> = items.into_iter().collect();
    fill(&items).map_err(HandOverError::Sessions)
}

fn fill(items: &[&[u8]]) -> io::Result<OwnedFd> {
    let total = items.iter().map(|item| size_of::<u32>() + item.len()).sum();
    let (reader, mut writer) = io::pipe()?;
    widen(&writer, total)?;
    fcntl_setfl(&writer, OFlags::NONBLOCK)?;
    // One write, since a pipe counts in pages. Room from the start: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(total));
    for item in items {
        let length = u32::try_from(item.len())
            .ok()
            .filter(|&length| length <= MAX_ITEM);
        bytes.extend(length.ok_or(io::ErrorKind::InvalidInput)?.to_be_bytes());
        bytes.extend_from_slice(item);
    }
    writer.write_all(&bytes)?;
    Ok(reader.into())
}

/// Asks for a pipe that holds `size` bytes, where that is more than it does unasked.
#[cfg(target_os = "linux")]
fn widen(pipe: impl AsFd, size: usize) -> io::Result<()> {
    if size > PIPE {
        rustix::pipe::fcntl_setpipe_size(pipe, size)?;
    }
    Ok(())
}

/// Elsewhere it holds what it holds.
#[cfg(not(target_os = "linux"))]
fn widen(_pipe: impl AsFd, size: usize) -> io::Result<()> {
    if size > PIPE {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(())
}

/// Takes every item out of the pipe.
pub(crate) fn unpack(pipe: OwnedFd) -> io::Result<Vec<Zeroizing<Vec<u8>>>> {
    let mut pipe = File::from(pipe);
    let mut items = Vec::new();
    loop {
        let mut length = [0; size_of::<u32>()];
        match pipe.read(&mut length[..1])? {
            0 => return Ok(items),
            _ => pipe.read_exact(&mut length[1..])?,
        }
        let length = u32::from_be_bytes(length);
        if length > MAX_ITEM {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut item = Zeroizing::new(vec![0; length as usize]);
        pipe.read_exact(&mut item)?;
        items.push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(items: &[Vec<u8>]) -> Result<OwnedFd, HandOverError> {
        pack(items.iter().map(Vec::as_slice))
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        for items in [
            vec![],
            vec![vec![]],
            vec![b"one".to_vec(), vec![], vec![0xa5; MAX_ITEM as usize]],
        ] {
            let unpacked = unpack(packed(&items).unwrap()).unwrap();
            let unpacked: Vec<Vec<u8>> = unpacked.iter().map(|item| item.to_vec()).collect();
            assert_eq!(unpacked, items);
        }
    }

    #[test]
    fn as_many_sessions_fit_as_there_may_be() {
        const MAX_SESSIONS: usize = 64;
        let usual = vec![vec![1; 700]; MAX_SESSIONS];
        assert_eq!(unpack(packed(&usual).unwrap()).unwrap().len(), MAX_SESSIONS);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_longest_names_fit_too() {
        const MAX_SESSIONS: usize = 64;
        let long = vec![vec![1; 8 * 1024]; MAX_SESSIONS];
        assert_eq!(unpack(packed(&long).unwrap()).unwrap().len(), MAX_SESSIONS);
    }

    #[test]
    fn what_does_not_fit_is_refused_at_once() {
        let limit = MAX_ITEM as usize;
        assert!(matches!(
            packed(&[vec![0; limit + 1]]),
            Err(HandOverError::Sessions(_))
        ));
        let more_than_any_pipe_holds = vec![vec![0; limit]; 1 << 15];
        assert!(matches!(
            packed(&more_than_any_pipe_holds),
            Err(HandOverError::Sessions(_))
        ));
    }

    #[test]
    fn a_pipe_that_is_not_ours_is_an_error() {
        for bytes in [&b"\0\0\0"[..], b"\0\0\0\x02a", b"\xff\xff\xff\xff"] {
            let (reader, mut writer) = io::pipe().unwrap();
            writer.write_all(bytes).unwrap();
            drop(writer);
            assert!(unpack(reader.into()).is_err());
        }
    }
}
