//! Where logins (D-052, D-053) and the credentials of clients are kept so that they survive the daemon: one trait, and
//! the places of each system behind it. Nothing here is touched while a token is served.

pub(crate) mod client;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod item;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "macos")]
mod macos;
mod memory;
mod patience;
#[cfg(target_os = "linux")]
mod secret_service;

use std::ffi::OsStr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use ipc_proto::{KeychainKind, ProfileName};
use thiserror::Error;

pub(crate) use self::client::{Client, ClientName};
pub(crate) use self::item::{Item, Unreadable};
#[cfg(target_os = "linux")]
use self::kernel::Kernel;
#[cfg(target_os = "macos")]
use self::macos::Macos;
use self::memory::Memory;
pub(crate) use self::patience::Patience;
#[cfg(target_os = "linux")]
use self::secret_service::SecretService;

/// The variable that names the keychains this daemon may touch, where those are not all. A keychain belongs to
/// the user: a second daemon, with another socket, must be kept from resuming the first one's logins.
const ALLOWED: &str = "CIBA_ALLOWED_KEYCHAINS";

/// A place that keeps logins and clients. Every call answers within a deadline of its own.
pub(crate) trait Keychain: Send + Sync {
    fn kind(&self) -> KeychainKind;

    /// Whether it can keep something now.
    fn probe(&self) -> BoxFuture<'_, Result<(), KeychainError>>;

    /// Returns every login it keeps for ciba. One that cannot be read is left out, and logged.
    fn load(&self) -> BoxFuture<'_, Result<Vec<Item>, KeychainError>>;

    /// Keeps a login in the place of its profile's last one.
    fn keep<'a>(&'a self, item: &'a Item) -> BoxFuture<'a, Result<(), KeychainError>>;

    /// Forgets a profile's login. That there is none is no error.
    fn forget<'a>(&'a self, profile: &'a ProfileName) -> BoxFuture<'a, Result<(), KeychainError>>;

    /// Returns every client it keeps for ciba. One that cannot be read is left out, and logged.
    fn clients(&self) -> BoxFuture<'_, Result<Vec<Client>, KeychainError>>;

    /// Keeps a client in the place of the last one of its name.
    fn keep_client<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<(), KeychainError>>;

    /// Forgets a client. That there is none is no error.
    fn forget_client<'a>(&'a self, name: &'a ClientName) -> BoxFuture<'a, Result<(), KeychainError>>;

    /// Waits until one that was locked or away may be there and open. Never by asking over and over.
    fn unlocked(&self) -> BoxFuture<'_, ()>;
}

/// Why a keychain does not do what it is for. The texts quote nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum KeychainError {
    #[error("this session has no {0} keychain")]
    Absent(KeychainKind),
    #[error("the {0} keychain is locked")]
    Locked(KeychainKind),
    #[error("the {0} keychain does not answer in time")]
    Slow(KeychainKind),
    #[error("the {0} keychain has no room")]
    Full(KeychainKind),
    #[error("the {0} keychain failed")]
    Failed(KeychainKind),
}

/// The keychains of this machine, best first; cheap to clone.
#[derive(Clone)]
pub(crate) struct Keychains(Arc<[Arc<dyn Keychain>]>);

impl Keychains {
    /// Returns those that this system may have and the environment allows; whether one is there, a probe tells.
    pub(crate) fn of_this_system() -> Self {
        let list = std::env::var_os(ALLOWED);
        let list = list.as_deref().map(OsStr::to_string_lossy);
        let lasting = lasting().into_iter();
        let allowed = lasting.filter(|keychain| is_allowed(keychain.kind(), list.as_deref()));
        Self::new(allowed.chain([Arc::new(Memory::default()) as _]))
    }

    pub(crate) fn new(keychains: impl IntoIterator<Item = Arc<dyn Keychain>>) -> Self {
        Self(keychains.into_iter().collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<dyn Keychain>> {
        self.0.iter()
    }

    /// Returns the one of that kind; what this system cannot have keeps nothing.
    pub(crate) fn find(&self, kind: KeychainKind) -> Arc<dyn Keychain> {
        let found = self.iter().find(|keychain| keychain.kind() == kind);
        found.map_or_else(|| Arc::new(Memory::default()) as _, Arc::clone)
    }

    /// Returns the one that is wanted; else the best one that is there. A locked one is there.
    ///
    /// # Errors
    ///
    /// The one that is wanted is not there: nothing is ever kept in a lesser place than was asked for.
    pub(crate) async fn choose(
        &self,
        wanted: Option<KeychainKind>,
    ) -> Result<Arc<dyn Keychain>, KeychainError> {
        if let Some(kind) = wanted {
            let found = self.iter().find(|keychain| keychain.kind() == kind);
            let keychain = found.ok_or(KeychainError::Absent(kind))?;
            return match keychain.probe().await {
                Ok(()) | Err(KeychainError::Locked(_)) => Ok(Arc::clone(keychain)),
                Err(error) => Err(error),
            };
        }
        for keychain in self.iter() {
            match keychain.probe().await {
                Ok(()) | Err(KeychainError::Locked(_)) => return Ok(Arc::clone(keychain)),
                Err(reason) => tracing::info!(%reason, "keychain passed over"),
            }
        }
        Ok(Arc::new(Memory::default()))
    }
}

/// Whether a list of words, with commas between, has this one. Without a list all are allowed.
fn is_allowed(kind: KeychainKind, list: Option<&str>) -> bool {
    list.is_none_or(|list| list.split(',').any(|word| word.trim() == kind.word()))
}

/// Those that keep a login longer than the daemon runs.
#[cfg(target_os = "linux")]
fn lasting() -> [Arc<dyn Keychain>; 2] {
    [Arc::new(SecretService::of_this_session()), Arc::new(Kernel)]
}

/// Those that keep a login longer than the daemon runs.
#[cfg(target_os = "macos")]
fn lasting() -> [Arc<dyn Keychain>; 1] {
    [Arc::new(Macos::new())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_allows_what_it_names_and_nothing_else() {
        let kernel = |list| is_allowed(KeychainKind::Kernel, list);
        assert!(kernel(None) && kernel(Some("kernel")) && kernel(Some("secret-service, kernel")));
        assert!(!kernel(Some("")) && !kernel(Some("memory")) && !kernel(Some("kernel2,kern")));
    }
}
