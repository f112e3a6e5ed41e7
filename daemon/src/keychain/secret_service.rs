//! The desktop's keychain: GNOME Keyring, KWallet or KeePassXC behind freedesktop.org's Secret Service API, over
//! D-Bus. Each call makes a connection of its own, since a handle to a service that was restarted is of no use
//! and an idle daemon needs none; the wait for an unlocking keeps one.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use futures_util::future::{BoxFuture, pending, ready};
use futures_util::stream::{self, Stream, StreamExt as _};
use ipc_proto::{KeychainKind, ProfileName};
use secret_service::{EncryptionType, Error, SecretService as Service};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};
use zbus::{Address, Connection, MatchRule, MessageStream, connection, fdo, message};
use zeroize::Zeroizing;

use super::patience::pauses;
use super::{Client, ClientName, Item, Keychain, KeychainError};

const KIND: KeychainKind = KeychainKind::SecretService;

/// How long a call may take from connecting to the last answer. A service that hangs never answers.
const DEADLINE: Duration = Duration::from_secs(5);

/// The attributes of an item of ours. Services may keep them in clear.
const LOGIN: (&str, &str) = ("application", "ciba");
const PROFILE: &str = "profile";
const CLIENT: (&str, &str) = ("application", "ciba-client");
const NAME_DIGEST: &str = "client";

const CONTENT_TYPE: &str = "application/json";

/// The encryption of a session through which no secret passes: it costs no key exchange.
const NO_SECRETS: EncryptionType = EncryptionType::Plain;

/// The API's names on the bus.
const NAME: &str = "org.freedesktop.secrets";
const PATH: &str = "/org/freedesktop/secrets";

/// Errors that tell more than that a call failed.
const IS_LOCKED: &str = "org.freedesktop.Secret.Error.IsLocked";
const SERVICE_UNKNOWN: &str = "org.freedesktop.DBus.Error.ServiceUnknown";
const CANNOT_START: &str = "org.freedesktop.DBus.Error.Spawn.";

/// The Secret Service of a bus. Items lie in the default collection, and no prompt is ever opened to unlock it.
pub(super) struct SecretService {
    /// `None` when the environment names no bus.
    bus: Option<Address>,
}

impl SecretService {
    /// Returns the one of this session, if it has any.
    pub(super) fn of_this_session() -> Self {
        Self::on(Address::session().ok())
    }

    fn on(bus: Option<Address>) -> Self {
        Self { bus }
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let bus = self.bus.clone().ok_or(Error::Unavailable)?;
        Ok(connection::Builder::address(bus)?.build().await?)
    }

    async fn open(&self, secrets: EncryptionType) -> Result<Service<'static>, Error> {
        Service::connect_with_existing(secrets, self.connect().await?).await
    }

    /// Returns what the items of this application hold.
    async fn read<T>(
        &self,
        application: (&str, &str),
        decode: fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let service = self.open(EncryptionType::Dh).await?;
        let found = service.search_items(HashMap::from([application])).await?;
        if !found.locked.is_empty() {
            if found.unlocked.is_empty() {
                return Err(Error::Locked);
            }
            warn!(keychain = %KIND, "some items of ciba are locked; left out");
        }
        let mut items = Vec::with_capacity(found.unlocked.len());
        for kept in &found.unlocked {
            let secret = Zeroizing::new(kept.get_secret().await?);
            match decode(&secret) {
                Some(item) => items.push(item),
                None => warn!(keychain = %KIND, "an item of ciba cannot be read; left out"),
            }
        }
        Ok(items)
    }

    async fn write(&self, label: &str, attributes: HashMap<&str, &str>, secret: &[u8]) -> Result<(), Error> {
        let service = self.open(EncryptionType::Dh).await?;
        let collection = service.get_default_collection().await?;
        // Some services answer a write to a locked collection with a prompt.
        collection.ensure_unlocked().await?;
        let replace = true;
        collection
            .create_item(label, attributes, secret, replace, CONTENT_TYPE)
            .await?;
        Ok(())
    }

    async fn write_login(&self, item: &Item) -> Result<(), Error> {
        let label = format!("ciba: login '{}' at {}", item.profile, item.server);
        self.write(&label, login(&item.profile), &item.encode()).await
    }

    async fn write_client(&self, kept: &Client) -> Result<(), Error> {
        let ClientName { issuer, client_id } = &kept.name;
        let label = format!("ciba: client '{client_id}' at {issuer}");
        self.write(&label, client(&kept.name.digest()), &kept.encode())
            .await
    }

    async fn delete(&self, attributes: HashMap<&str, &str>) -> Result<(), Error> {
        let service = self.open(NO_SECRETS).await?;
        let found = service.search_items(attributes).await?;
        for kept in &found.unlocked {
            kept.delete().await?;
        }
        if found.locked.is_empty() {
            Ok(())
        } else {
            Err(Error::Locked)
        }
    }

    /// Returns once the default collection was seen open, or with what kept it from watching on.
    async fn watch(&self) -> Result<(), KeychainError> {
        let bus = in_time(self.connect()).await?;
        // Heard before the first look: no change falls between.
        let mut changes = in_time(changes(&bus)).await?;
        loop {
            match in_time(is_open(bus.clone())).await {
                Err(KeychainError::Locked(_) | KeychainError::Absent(_)) => {}
                open_or_failed => return open_or_failed,
            }
            let Some(Ok(())) = changes.next().await else {
                return Err(KeychainError::Failed(KIND));
            };
        }
    }
}

impl Keychain for SecretService {
    fn kind(&self) -> KeychainKind {
        KIND
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), KeychainError>> {
        Box::pin(in_time(async { is_open(self.connect().await?).await }))
    }

    fn load(&self) -> BoxFuture<'_, Result<Vec<Item>, KeychainError>> {
        Box::pin(in_time(self.read(LOGIN, |text| Item::decode(text).ok())))
    }

    fn keep<'a>(&'a self, item: &'a Item) -> BoxFuture<'a, Result<(), KeychainError>> {
        Box::pin(in_time(self.write_login(item)))
    }

    fn forget<'a>(&'a self, profile: &'a ProfileName) -> BoxFuture<'a, Result<(), KeychainError>> {
        Box::pin(in_time(self.delete(login(profile))))
    }

    fn clients(&self) -> BoxFuture<'_, Result<Vec<Client>, KeychainError>> {
        Box::pin(in_time(self.read(CLIENT, |text| Client::decode(text).ok())))
    }

    fn keep_client<'a>(&'a self, kept: &'a Client) -> BoxFuture<'a, Result<(), KeychainError>> {
        Box::pin(in_time(self.write_client(kept)))
    }

    fn forget_client<'a>(&'a self, name: &'a ClientName) -> BoxFuture<'a, Result<(), KeychainError>> {
        Box::pin(in_time(async { self.delete(client(&name.digest())).await }))
    }

    fn unlocked(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if self.bus.is_none() {
                return pending().await;
            }
            // A bus that was lost, or a service that failed, is watched again.
            let mut pauses = pauses();
            while self.watch().await.is_err() {
                sleep(pauses.next()).await;
            }
        })
    }
}

fn login(profile: &ProfileName) -> HashMap<&str, &str> {
    HashMap::from([LOGIN, (PROFILE, profile.as_str())])
}

fn client(digest: &str) -> HashMap<&str, &str> {
    HashMap::from([CLIENT, (NAME_DIGEST, digest)])
}

async fn is_open(bus: Connection) -> Result<(), Error> {
    let service = Service::connect_with_existing(NO_SECRETS, bus).await?;
    service.get_default_collection().await?.ensure_unlocked().await
}

/// Returns what may mean that the default collection was unlocked: any signal of the service (services differ in
/// which they send), and a new owner of its name. That the old one left is no reason to ask: the bus would start
/// another one, in the way of somebody who is about to.
async fn changes(bus: &Connection) -> Result<impl Stream<Item = zbus::Result<()>> + Unpin + use<>, Error> {
    let signals = MatchRule::builder()
        .msg_type(message::Type::Signal)
        .sender(NAME)?
        .path_namespace(PATH)?
        .build();
    let signals = MessageStream::for_match_rule(signals, bus, None).await?;
    let names = fdo::DBusProxy::new(bus).await?;
    let owners = names.receive_name_owner_changed_with_args(&[(0, NAME)]).await?;
    let has_owner =
        |change: &fdo::NameOwnerChanged| ready(change.args().is_ok_and(|change| change.new_owner.is_some()));
    Ok(stream::select(
        signals.map(|signal| signal.map(drop)),
        owners.filter(has_owner).map(|_| Ok(())),
    ))
}

async fn in_time<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, KeychainError> {
    match timeout(DEADLINE, call).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            debug!(keychain = %KIND, %error, "a call failed");
            Err(reason(&error))
        }
        Err(_) => Err(KeychainError::Slow(KIND)),
    }
}

fn reason(error: &Error) -> KeychainError {
    match error {
        // The user did not answer a prompt that the service puts before everything.
        Error::Locked | Error::Prompt => KeychainError::Locked(KIND),
        Error::NoResult | Error::Unavailable => KeychainError::Absent(KIND),
        Error::Zbus(error) => bus_reason(error),
        Error::ZbusFdo(fdo::Error::ZBus(error)) => bus_reason(error),
        _ => KeychainError::Failed(KIND),
    }
}

fn bus_reason(error: &zbus::Error) -> KeychainError {
    match error {
        zbus::Error::Connection(..) => KeychainError::Absent(KIND),
        zbus::Error::MethodError(name, ..) => match name.as_str() {
            IS_LOCKED => KeychainError::Locked(KIND),
            SERVICE_UNKNOWN => KeychainError::Absent(KIND),
            name if name.starts_with(CANNOT_START) => KeychainError::Absent(KIND),
            _ => KeychainError::Failed(KIND),
        },
        _ => KeychainError::Failed(KIND),
    }
}

#[cfg(test)]
#[cfg(feature = "real")]
mod tests;
