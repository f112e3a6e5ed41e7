//! The macOS Keychain: one generic password a profile, in the keychain that is open while its user is logged in.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use ipc_proto::{KeychainKind, ProfileName};
use security_framework::base::{Error, Result};
use security_framework::item::{ItemClass, ItemSearchOptions, Limit, SearchResult};
use security_framework::os::macos::keychain::{KeychainUserInteractionLock, SecKeychain};
use security_framework::passwords::{
    PasswordOptions, delete_generic_password, generic_password, set_generic_password,
};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};
use zeroize::Zeroizing;

use super::{Client, ClientName, Item, Keychain, KeychainError};

const KIND: KeychainKind = KeychainKind::Macos;

/// How long a call may take. It waits in a thread of its own, which nothing can call back.
const DEADLINE: Duration = Duration::from_secs(5);

/// The pause before a locked one is looked at again.
const NEXT_LOOK: Duration = Duration::from_secs(60);

/// The service of the passwords that are logins; their account is the profile.
const LOGIN: &str = "ciba";

/// The service of those that are clients; their account is the digest of the name.
const CLIENT: &str = "ciba-client";

/// The attribute that holds the account (`kSecAttrAccount`).
const ACCOUNT: &str = "acct";

/// Codes of SecBase.h and MacErrors.h that tell more than that a call failed.
mod code {
    pub(super) const DISK_FULL: i32 = -34;
    pub(super) const NOT_AVAILABLE: i32 = -25291;
    pub(super) const AUTH_FAILED: i32 = -25293;
    pub(super) const NO_SUCH_KEYCHAIN: i32 = -25294;
    pub(super) const ITEM_NOT_FOUND: i32 = -25300;
    pub(super) const NO_DEFAULT_KEYCHAIN: i32 = -25307;
    pub(super) const INTERACTION_NOT_ALLOWED: i32 = -25308;
    pub(super) const INTERACTION_REQUIRED: i32 = -25315;
}

/// The user's default keychain.
pub(super) struct Macos {
    /// As long as this is held, a locked keychain is an error and never a dialog.
    _no_dialogs: Option<KeychainUserInteractionLock>,
}

impl Macos {
    pub(super) fn new() -> Self {
        Self {
            _no_dialogs: SecKeychain::disable_user_interaction().ok(),
        }
    }
}

impl Keychain for Macos {
    fn kind(&self) -> KeychainKind {
        KIND
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), KeychainError>> {
        in_time(|| SecKeychain::default().map(drop))
    }

    fn load(&self) -> BoxFuture<'_, Result<Vec<Item>, KeychainError>> {
        in_time(|| read(LOGIN, |text| Item::decode(text).ok()))
    }

    fn keep<'a>(&'a self, item: &'a Item) -> BoxFuture<'a, Result<(), KeychainError>> {
        let (profile, secret) = (item.profile.clone(), item.encode());
        in_time(move || set_generic_password(LOGIN, profile.as_str(), &secret))
    }

    fn forget<'a>(&'a self, profile: &'a ProfileName) -> BoxFuture<'a, Result<(), KeychainError>> {
        let profile = profile.clone();
        in_time(move || or_none(delete_generic_password(LOGIN, profile.as_str())).map(drop))
    }

    fn clients(&self) -> BoxFuture<'_, Result<Vec<Client>, KeychainError>> {
        in_time(|| read(CLIENT, |text| Client::decode(text).ok()))
    }

    fn keep_client<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<(), KeychainError>> {
        let (digest, secret) = (client.name.digest(), client.encode());
        in_time(move || set_generic_password(CLIENT, &digest, &secret))
    }

    fn forget_client<'a>(&'a self, name: &'a ClientName) -> BoxFuture<'a, Result<(), KeychainError>> {
        let digest = name.digest();
        in_time(move || or_none(delete_generic_password(CLIENT, &digest)).map(drop))
    }

    /// The system does not tell. The keychain opens with a login at the screen; after a remote one its user has to open it.
    fn unlocked(&self) -> BoxFuture<'_, ()> {
        sleep(NEXT_LOOK).boxed()
    }
}

fn read<T>(service: &str, decode: fn(&[u8]) -> Option<T>) -> Result<Vec<T>> {
    let mut items = Vec::new();
    for account in accounts(service)? {
        let options = PasswordOptions::new_generic_password(service, &account);
        let Some(secret) = or_none(generic_password(options))?.map(Zeroizing::new) else {
            continue;
        };
        match decode(&secret) {
            Some(item) => items.push(item),
            None => warn!(keychain = %KIND, "a password of ciba cannot be read; left out"),
        }
    }
    Ok(items)
}

/// Returns the accounts of our passwords. The system gives the data of one password a call, never of many.
fn accounts(service: &str) -> Result<Vec<String>> {
    let mut search = ItemSearchOptions::new();
    search
        .class(ItemClass::generic_password())
        .service(service)
        .limit(Limit::All)
        .load_attributes(true);
    let found = or_none(search.search())?.unwrap_or_default();
    let account = |result: &SearchResult| result.simplify_dict()?.remove(ACCOUNT);
    Ok(found.iter().filter_map(account).collect())
}

fn or_none<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code() == code::ITEM_NOT_FOUND => Ok(None),
        Err(error) => Err(error),
    }
}

fn in_time<'a, T: Send + 'static>(
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> BoxFuture<'a, Result<T, KeychainError>> {
    let call = spawn_blocking(call);
    Box::pin(async {
        match timeout(DEADLINE, call).await {
            Ok(Ok(Ok(done))) => Ok(done),
            Ok(Ok(Err(error))) => {
                debug!(keychain = %KIND, %error, "a call failed");
                Err(reason(error))
            }
            Ok(Err(_panicked)) => Err(KeychainError::Failed(KIND)),
            Err(_) => Err(KeychainError::Slow(KIND)),
        }
    })
}

fn reason(error: Error) -> KeychainError {
    match error.code() {
        code::INTERACTION_NOT_ALLOWED | code::INTERACTION_REQUIRED | code::AUTH_FAILED => {
            KeychainError::Locked(KIND)
        }
        code::NOT_AVAILABLE | code::NO_SUCH_KEYCHAIN | code::NO_DEFAULT_KEYCHAIN => {
            KeychainError::Absent(KIND)
        }
        code::DISK_FULL => KeychainError::Full(KIND),
        _ => KeychainError::Failed(KIND),
    }
}
