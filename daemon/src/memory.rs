//! Locked memory, where secrets live: never swapped out, in no core dump, empty in a forked child, wiped on
//! drop. The only unsafe code of ciba, but for a line that macOS asks for (`service/launchd.rs`).

#![expect(
    unsafe_code,
    reason = "pages with such properties come from the system as raw addresses"
)]

use std::collections::HashMap;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous};
use thiserror::Error;
use zeroize::Zeroize as _;

/// Bytes that are mapped at a time. Half of the smallest usual `RLIMIT_MEMLOCK` (64 KiB), so that at least the
/// challenge and the first tokens are locked there.
const CHUNK: usize = 32 * 1024;

/// Bytes of the smallest slot: a key.
const SMALLEST_SLOT: usize = 32;

/// Where all slots come from. One arena of whole pages: unlocking a page that another secret shares
/// would unlock that one too.
static ARENA: LazyLock<Mutex<Arena>> = LazyLock::new(|| Mutex::new(Arena::new()));

/// A secret of fixed length in locked memory. No Debug, no Clone; wiped on drop.
pub(crate) struct Locked {
    slot: NonNull<u8>,
    len: usize,
}

/// The system gives no more memory. What is held stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no memory left for secrets")]
pub(crate) struct Exhausted;

// SAFETY: the slot belongs to this value alone and is written only through `&mut self`.
unsafe impl Send for Locked {}
// SAFETY: `&Locked` gives out nothing but `&[u8]`.
unsafe impl Sync for Locked {}

impl Locked {
    /// Returns `len` bytes written in place, so that no copy exists outside. They are zero before.
    ///
    /// # Errors
    ///
    /// [`Exhausted`], and what `write` says; whatever it has written is wiped.
    pub(crate) fn fill<E: From<Exhausted>>(
        len: usize,
        write: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut secret = Self::zeroed(len)?;
        write(secret.bytes())?;
        Ok(secret)
    }

    /// Returns a copy. The original is for the caller to wipe.
    pub(crate) fn copy_of(secret: &[u8]) -> Result<Self, Exhausted> {
        Self::fill(secret.len(), |copy| {
            copy.copy_from_slice(secret);
            Ok(())
        })
    }

    /// Returns the secret itself.
    pub(crate) fn expose(&self) -> &[u8] {
        // SAFETY: the slot has at least `len` initialized bytes and is ours until drop.
        unsafe { slice::from_raw_parts(self.slot.as_ptr(), self.len) }
    }

    /// Returns the bytes of memory that it takes.
    pub(crate) fn slot_size(&self) -> usize {
        slot_size(self.len)
    }

    fn zeroed(len: usize) -> Result<Self, Exhausted> {
        let slot = arena().take(slot_size(len))?;
        Ok(Self { slot, len })
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: as in `expose`, and `&mut self` makes this the only reference.
        unsafe { slice::from_raw_parts_mut(self.slot.as_ptr(), self.len) }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.bytes().zeroize();
        arena().give_back(self.slot, slot_size(self.len));
    }
}

/// Whether every secret so far lies in pages that are never swapped out.
pub(crate) fn all_locked() -> bool {
    arena().all_locked
}

fn arena() -> MutexGuard<'static, Arena> {
    // Every change is one push, pop or assignment: nothing is half done after a panic.
    ARENA.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Slots come in powers of two, so that a freed one fits the next secret of about that length.
fn slot_size(len: usize) -> usize {
    len.max(SMALLEST_SLOT).next_power_of_two()
}

struct Arena {
    /// Freed slots by size; all zero.
    free: HashMap<usize, Vec<NonNull<u8>>>,
    /// What is left of the last chunk; all zero.
    rest: NonNull<u8>,
    rest_len: usize,
    all_locked: bool,
}

// SAFETY: the pointers are to memory that is never unmapped and belongs to no thread.
unsafe impl Send for Arena {}

impl Arena {
    fn new() -> Self {
        let mut arena = Self {
            free: HashMap::new(),
            rest: NonNull::dangling(),
            rest_len: 0,
            all_locked: true,
        };
        // Should it fail, the first secret is refused.
        let _ = arena.grow(CHUNK);
        arena
    }

    /// Returns `size` zero bytes; `size` comes from [`slot_size`].
    fn take(&mut self, size: usize) -> Result<NonNull<u8>, Exhausted> {
        if let Some(slot) = self.free.get_mut(&size).and_then(Vec::pop) {
            return Ok(slot);
        }
        if self.rest_len < size {
            self.grow(size.max(CHUNK))?;
        }
        let slot = self.rest;
        // SAFETY: `rest` points to `rest_len >= size` bytes of one mapping; the end of it may be pointed to.
        self.rest = unsafe { slot.add(size) };
        self.rest_len -= size;
        Ok(slot)
    }

    /// Takes back a slot that was wiped.
    fn give_back(&mut self, slot: NonNull<u8>, size: usize) {
        self.free.entry(size).or_default().push(slot);
    }

    /// Maps another chunk; it stays for the life of the process. What is left of the last one is given up.
    fn grow(&mut self, size: usize) -> Result<(), Exhausted> {
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: a new anonymous mapping where the system likes touches no memory of ours.
        let mapped = unsafe { mmap_anonymous(ptr::null_mut(), size, protection, flags) };
        let chunk = mapped.map_err(|_| Exhausted)?;
        // SAFETY: exactly the mapping just made.
        let locked = unsafe { mlock(chunk, size) };
        self.all_locked &= locked.is_ok();
        for advice in ADVICE {
            // A kernel that does not know it refuses it; the core limit of zero still holds.
            // SAFETY: exactly the mapping just made. Only a forked child finds it changed.
            let _ = unsafe { madvise(chunk, size, advice) };
        }
        self.rest = NonNull::new(chunk.cast()).expect("a mapping is never at null");
        self.rest_len = size;
        Ok(())
    }
}

/// What pages of secrets are besides locked: in no core dump, and empty in a forked child.
#[cfg(target_os = "linux")]
const ADVICE: [Advice; 2] = [Advice::LinuxDontDump, Advice::LinuxWipeOnFork];
#[cfg(not(target_os = "linux"))]
const ADVICE: [Advice; 0] = [];

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    enum Failed {
        No,
        Exhausted,
    }

    impl From<Exhausted> for Failed {
        fn from(_: Exhausted) -> Self {
            Self::Exhausted
        }
    }

    #[test]
    fn d_035_memory_that_is_not_to_be_had_is_an_error() {
        let more_than_any_machine_has = 1 << 60;
        let failed = Locked::fill(more_than_any_machine_has, |_| Ok::<_, Failed>(()));
        assert_eq!(failed.err(), Some(Failed::Exhausted));
        assert_eq!(Locked::copy_of(b"secret").unwrap().expose(), b"secret");
    }

    /// Looks into a slot that was given back.
    fn peek(slot: NonNull<u8>, len: usize) -> Vec<u8> {
        // SAFETY: chunks are never unmapped. Only one test uses slots of the size it looks into.
        unsafe { slice::from_raw_parts(slot.as_ptr(), len) }.to_vec()
    }

    #[test]
    fn a_secret_is_wiped_on_drop_and_its_slot_used_again() {
        const LEN: usize = 200 * 1024;
        let secret = Locked::copy_of(&[0xa5; LEN]).unwrap();
        let slot = secret.slot;
        assert_eq!(peek(slot, LEN), [0xa5; LEN]);
        drop(secret);
        assert_eq!(peek(slot, LEN), [0; LEN]);
        let again = Locked::copy_of(&[1; LEN]).unwrap();
        assert_eq!(again.slot, slot);
    }

    #[test]
    fn what_was_written_before_a_failure_is_wiped() {
        const LEN: usize = 400 * 1024;
        let mut slot = None;
        let failed = Locked::fill(LEN, |bytes| {
            slot = NonNull::new(bytes.as_mut_ptr());
            bytes.fill(0xa5);
            Err(Failed::No)
        });
        assert_eq!(failed.err(), Some(Failed::No));
        assert_eq!(peek(slot.unwrap(), LEN), [0; LEN]);
    }

    #[test]
    fn every_size_holds_what_was_put_in() {
        let sizes = [0, 1, 31, 32, 33, 2048, 4095, 4097, CHUNK, CHUNK + 1, 100 * 1024];
        let secrets: Vec<Locked> = sizes
            .iter()
            .map(|&len| {
                Locked::fill(len, |bytes| {
                    assert!(bytes.iter().all(|&b| b == 0));
                    bytes.fill(len as u8);
                    Ok::<_, Exhausted>(())
                })
                .unwrap()
            })
            .collect();
        for (secret, len) in secrets.iter().zip(sizes) {
            assert_eq!(secret.expose(), vec![len as u8; len]);
        }
    }

    #[test]
    fn a_thousand_tokens_fit() {
        let tokens: Vec<Locked> = (0..1000u32)
            .map(|n| Locked::copy_of(&n.to_le_bytes().repeat(512)).unwrap())
            .collect();
        for (n, token) in (0..).zip(&tokens) {
            let n: u32 = n;
            assert_eq!(token.expose(), n.to_le_bytes().repeat(512));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn it_says_locked_only_when_the_kernel_does() {
        use rustix::process::{Resource, getrlimit};

        let _secret = Locked::copy_of(b"secret").unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let locked = status
            .lines()
            .find_map(|line| line.strip_prefix("VmLck:"))
            .unwrap();
        let none = locked.trim() == "0 kB";
        assert!(!(all_locked() && none), "VmLck:{locked}");
        assert!(all_locked() || getrlimit(Resource::Memlock).current.is_some());
    }
}
