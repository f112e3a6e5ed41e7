//! The Linux kernel's keyring of the user (keyrings(7)), for machines without a desktop: in memory that is never
//! swapped out, open as long as the machine runs. It survives the daemon, not a reboot.

use std::panic::catch_unwind;

use futures_util::future::{BoxFuture, FutureExt as _, pending, ready};
use ipc_proto::{KeychainKind, ProfileName};
use linux_keyutils::{Key, KeyError, KeyRing, KeyRingIdentifier, KeySerialId, KeyType};
use rustix::io::Errno;
use tracing::warn;
use zeroize::Zeroizing;

use super::item::MAX_ITEM;
use super::{Item, Keychain, KeychainError};

const KIND: KeychainKind = KeychainKind::Kernel;

/// How the description of a key of ours begins; the profile follows.
const PREFIX: &str = "ciba:";

/// Keys in the user's keyring that are looked through. The quota of a user is 200 by default.
const MAX_KEYS: usize = 16 * 1024;

/// The user's keyring. One key a profile, which its possessor alone may read.
pub(super) struct Kernel;

impl Keychain for Kernel {
    fn kind(&self) -> KeychainKind {
        KIND
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), KeychainError>> {
        answer(ring().and_then(|_| keys()).map(drop))
    }

    fn load(&self) -> BoxFuture<'_, Result<Vec<Item>, KeychainError>> {
        answer(read())
    }

    fn keep<'a>(&'a self, item: &'a Item) -> BoxFuture<'a, Result<(), KeychainError>> {
        answer(write(item))
    }

    fn forget<'a>(&'a self, profile: &'a ProfileName) -> BoxFuture<'a, Result<(), KeychainError>> {
        answer(delete(profile))
    }

    fn unlocked(&self) -> BoxFuture<'_, ()> {
        pending().boxed()
    }
}

fn read() -> Result<Vec<Item>, KeyError> {
    ring()?;
    let mut items = Vec::new();
    for key in keys()?.into_iter().filter(is_ours) {
        match item(key) {
            Some(item) => items.push(item),
            None => warn!(keychain = %KIND, "a key of ciba cannot be read; left out"),
        }
    }
    Ok(items)
}

fn write(item: &Item) -> Result<(), KeyError> {
    // A new key is for its possessor to read; the user's other processes see only that it is there.
    ring()?.add_key(&description(&item.profile), &item.encode())?;
    Ok(())
}

fn delete(profile: &ProfileName) -> Result<(), KeyError> {
    match ring()?.search(&description(profile)) {
        Ok(key) => key.invalidate(),
        Err(KeyError::KeyDoesNotExist | KeyError::KeyExpired | KeyError::KeyRevoked) => Ok(()),
        Err(error) => Err(error),
    }
}

fn description(profile: &ProfileName) -> String {
    format!("{PREFIX}{profile}")
}

fn is_ours(key: &Key) -> bool {
    // The crate panics at a description that is longer than its buffer.
    let Ok(Ok(data)) = catch_unwind(|| key.metadata()) else {
        return false;
    };
    data.get_type() == KeyType::User && data.get_description().starts_with(PREFIX)
}

/// Returns the user's keyring, whose keys this process possesses from now on.
///
/// A process possesses what it finds in its own keyrings. The session's often has the user's in it, but a
/// service's has not, and after a logout it may be revoked. The keyring of the process is ours alone.
fn ring() -> Result<KeyRing, KeyError> {
    let ring = KeyRing::from_special_id(KeyRingIdentifier::User, true)?;
    KeyRing::from_special_id(KeyRingIdentifier::Process, true)?.link_keyring(ring)?;
    Ok(ring)
}

/// Returns the keys of the user's keyring. A keyring reads as their serial numbers; the crate's own way to read
/// one trusts the length that the kernel says, which may be more than fitted.
fn keys() -> Result<Vec<Key>, KeyError> {
    let ring = Key::from_id(KeySerialId::new(KeyRingIdentifier::User as i32));
    let mut bytes = vec![0; MAX_KEYS * size_of::<i32>()];
    let len = ring.read(&mut bytes)?;
    let serials = bytes.get(..len).ok_or(KeyError::QuotaExceeded)?;
    let (serials, _) = serials.as_chunks();
    Ok(serials
        .iter()
        .map(|serial| Key::from_id(KeySerialId::new(i32::from_ne_bytes(*serial))))
        .collect())
}

fn item(key: Key) -> Option<Item> {
    let mut text = Zeroizing::new(vec![0; MAX_ITEM]);
    let len = key.read(&mut text).ok()?;
    Item::decode(text.get(..len)?).ok()
}

fn answer<'a, T: Send + 'a>(done: Result<T, KeyError>) -> BoxFuture<'a, Result<T, KeychainError>> {
    ready(done.map_err(reason)).boxed()
}

fn reason(error: KeyError) -> KeychainError {
    match error {
        KeyError::QuotaExceeded | KeyError::OutOfMemory => KeychainError::Full(KIND),
        // A kernel without keyrings, or a sandbox that keeps them away.
        KeyError::OperationNotSupported | KeyError::PermissionDenied => KeychainError::Absent(KIND),
        KeyError::Unknown(code) if code == Errno::NOSYS.raw_os_error() => KeychainError::Absent(KIND),
        _ => KeychainError::Failed(KIND),
    }
}

#[cfg(test)]
#[cfg(feature = "real")]
mod tests;
