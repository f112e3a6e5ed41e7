//! The Linux kernel's keyring of the user (keyrings(7)), for machines without a desktop: in memory that is never
//! swapped out, open as long as the machine runs. It survives the daemon, not a reboot.

use std::panic::catch_unwind;

use futures_util::future::{BoxFuture, FutureExt as _, pending, ready};
use ipc_proto::{KeychainKind, ProfileName};
use linux_keyutils::{Key, KeyError, KeyRing, KeyRingIdentifier, KeySerialId, KeyType};
use rustix::io::Errno;
use tracing::warn;
use zeroize::Zeroizing;

use super::client::MAX_CLIENT;
use super::item::MAX_ITEM;
use super::{Client, ClientName, Item, Keychain, KeychainError};

const KIND: KeychainKind = KeychainKind::Kernel;

/// How the description of a login's key begins; the profile follows.
const LOGIN: &str = "ciba:";

/// How the description of a client's key begins; the digest of its name follows.
const CLIENT: &str = "ciba-client:";

/// Keys in the user's keyring that are looked through. The quota of a user is 200 by default.
const MAX_KEYS: usize = 16 * 1024;

/// The user's keyring. One key a profile and one a client, which its possessor alone may read.
pub(super) struct Kernel;

impl Keychain for Kernel {
    fn kind(&self) -> KeychainKind {
        KIND
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), KeychainError>> {
        answer(ring().and_then(|_| keys()).map(drop))
    }

    fn load(&self) -> BoxFuture<'_, Result<Vec<Item>, KeychainError>> {
        answer(read(LOGIN, MAX_ITEM, |text| Item::decode(text).ok()))
    }

    fn keep<'a>(&'a self, item: &'a Item) -> BoxFuture<'a, Result<(), KeychainError>> {
        answer(write(&login(&item.profile), &item.encode()))
    }

    fn forget<'a>(&'a self, profile: &'a ProfileName) -> BoxFuture<'a, Result<(), KeychainError>> {
        answer(delete(&login(profile)))
    }

    fn clients(&self) -> BoxFuture<'_, Result<Vec<Client>, KeychainError>> {
        answer(read(CLIENT, MAX_CLIENT, |text| Client::decode(text).ok()))
    }

    fn keep_client<'a>(&'a self, kept: &'a Client) -> BoxFuture<'a, Result<(), KeychainError>> {
        answer(write(&client(&kept.name), &kept.encode()))
    }

    fn forget_client<'a>(&'a self, name: &'a ClientName) -> BoxFuture<'a, Result<(), KeychainError>> {
        answer(delete(&client(name)))
    }

    fn unlocked(&self) -> BoxFuture<'_, ()> {
        pending().boxed()
    }
}

/// Returns what the keys of this kind hold.
fn read<T>(prefix: &str, most: usize, decode: fn(&[u8]) -> Option<T>) -> Result<Vec<T>, KeyError> {
    ring()?;
    let mut found = Vec::new();
    for key in keys()?.into_iter().filter(|key| is_ours(key, prefix)) {
        match text(key, most).and_then(|text| decode(&text)) {
            Some(item) => found.push(item),
            None => warn!(keychain = %KIND, "a key of ciba cannot be read; left out"),
        }
    }
    Ok(found)
}

fn write(description: &str, text: &[u8]) -> Result<(), KeyError> {
    // A new key is for its possessor to read; the user's other processes see only that it is there.
    ring()?.add_key(description, text)?;
    Ok(())
}

fn delete(description: &str) -> Result<(), KeyError> {
    match ring()?.search(description) {
        Ok(key) => key.invalidate(),
        Err(KeyError::KeyDoesNotExist | KeyError::KeyExpired | KeyError::KeyRevoked) => Ok(()),
        Err(error) => Err(error),
    }
}

fn login(profile: &ProfileName) -> String {
    format!("{LOGIN}{profile}")
}

fn client(name: &ClientName) -> String {
    format!("{CLIENT}{}", name.digest())
}

fn is_ours(key: &Key, prefix: &str) -> bool {
    // The crate panics at a description that is longer than its buffer.
    let Ok(Ok(data)) = catch_unwind(|| key.metadata()) else {
        return false;
    };
    data.get_type() == KeyType::User && data.get_description().starts_with(prefix)
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

/// Returns what a key holds, if that is not too long.
fn text(key: Key, most: usize) -> Option<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(vec![0; most]);
    let len = key.read(&mut text).ok()?;
    if len > most {
        return None;
    }
    text.truncate(len);
    Some(text)
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
