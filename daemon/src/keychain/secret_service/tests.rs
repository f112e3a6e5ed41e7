//! Against a real GNOME Keyring, in every state in which a desktop may have one.

use ciba_tests::{Keyring, PATIENCE, until};
use secret_service::{EncryptionType, SecretService as Service};
use tokio::task::JoinHandle;
use zbus::zvariant::{ObjectPath, OwnedObjectPath};

use super::*;
use crate::keychain::item::tests::{login, parts};

const ABSENT: KeychainError = KeychainError::Absent(KIND);
const LOCKED: KeychainError = KeychainError::Locked(KIND);
const SLOW: KeychainError = KeychainError::Slow(KIND);

fn of(keyring: &Keyring) -> SecretService {
    let (_, address) = keyring.env();
    SecretService::on(address.parse().ok())
}

async fn kept(keychain: &SecretService) -> Result<Vec<[String; 6]>, KeychainError> {
    let items = keychain.load().await?;
    let mut all: Vec<_> = items.iter().map(parts).collect();
    all.sort();
    Ok(all)
}

/// What each of the four calls says.
async fn answers(keychain: &SecretService) -> [Result<(), KeychainError>; 4] {
    [
        keychain.probe().await,
        keychain.load().await.map(drop),
        keychain.keep(&login("new")).await,
        keychain.forget(&"work".parse().unwrap()).await,
    ]
}

/// Starts to wait for the unlocking, and returns when the wait hears what the bus says.
async fn waiting(keyring: &Keyring) -> JoinHandle<()> {
    let keychain = of(keyring);
    let waiting = tokio::spawn(async move { keychain.unlocked().await });
    connected(keyring, 1).await;
    waiting
}

/// Waits until this test has so many connections to its bus.
async fn connected(keyring: &Keyring, wanted: usize) {
    until("connections to begin or end", PATIENCE, async || {
        let connections = keyring.connections_of(std::process::id()).await.ok()?;
        (connections == wanted).then_some(())
    })
    .await
    .unwrap();
}

async fn in_patience<T>(wait: impl Future<Output = T>) -> T {
    timeout(PATIENCE, wait).await.expect("it ends")
}

#[tokio::test]
async fn d_052_one_item_a_profile_is_kept_replaced_and_forgotten() {
    let keyring = Keyring::start().await.unwrap();
    let keychain = of(&keyring);
    assert_eq!(keychain.probe().await, Ok(()));
    assert_eq!(kept(&keychain).await, Ok(vec![]));

    let (old, new, home) = (login("work"), login("work"), login("home"));
    for item in [&old, &home, &new] {
        keychain.keep(item).await.unwrap();
    }
    assert_eq!(kept(&keychain).await, Ok(vec![parts(&home), parts(&new)]));
    let seen = keyring.search("application", "ciba").await.unwrap();
    assert_eq!(seen.matches("label = ").count(), 2, "{seen}");
    let label = "label = ciba: login 'work' at https://ciba.example/base";
    assert!(seen.contains(label), "{seen}");

    for _ in 0..2 {
        keychain.forget(&old.profile).await.unwrap();
        assert_eq!(kept(&keychain).await, Ok(vec![parts(&home)]));
    }
}

#[tokio::test]
async fn d_052_what_is_not_ours_is_left_out_and_left_alone() {
    let keyring = Keyring::start().await.unwrap();
    let keychain = of(&keyring);
    let service = keychain.open(EncryptionType::Dh).await.unwrap();
    let collection = service.get_default_collection().await.unwrap();
    for (attribute, value) in [("application", "other"), LOGIN] {
        let attributes = HashMap::from([(attribute, value)]);
        let item = collection.create_item("not ours", attributes, b"pass", false, "text/plain");
        item.await.unwrap();
    }
    keychain.keep(&login("work")).await.unwrap();
    assert_eq!(keychain.load().await.unwrap_or_default().len(), 1);
    keychain.forget(&"work".parse().unwrap()).await.unwrap();
    assert_eq!(collection.get_all_items().await.unwrap().len(), 2);
}

#[tokio::test]
async fn d_052_nothing_stays_connected() {
    let keyring = Keyring::start().await.unwrap();
    assert_eq!(answers(&of(&keyring)).await, [Ok(()); 4]);
    connected(&keyring, 0).await;
}

#[tokio::test]
async fn d_052_without_a_bus_or_a_service_there_is_no_keychain() {
    let nowhere = tempfile::tempdir().unwrap();
    let no_bus = format!("unix:path={}/bus", nowhere.path().display());
    assert_eq!(
        answers(&SecretService::on(no_bus.parse().ok())).await,
        [Err(ABSENT); 4]
    );
    assert_eq!(answers(&SecretService::on(None)).await, [Err(ABSENT); 4]);

    let bare = Keyring::bus_without_service().await.unwrap();
    assert_eq!(answers(&of(&bare)).await, [Err(ABSENT); 4]);
}

#[tokio::test]
async fn d_052_without_a_default_collection_nothing_is_kept_and_nothing_can_be() {
    let fresh = Keyring::never_unlocked().await.unwrap();
    let keychain = of(&fresh);
    assert_eq!(
        answers(&keychain).await,
        [Err(ABSENT), Ok(()), Err(ABSENT), Ok(())]
    );
    assert_eq!(kept(&keychain).await, Ok(vec![]));
}

#[tokio::test]
async fn d_053_locked_is_not_the_same_as_nothing_kept() {
    let keyring = Keyring::start().await.unwrap();
    let keychain = of(&keyring);
    keyring.lock().await.unwrap();
    assert_eq!(keychain.probe().await, Err(LOCKED));
    assert_eq!(kept(&keychain).await, Ok(vec![]));

    keyring.unlock().await.unwrap();
    let work = login("work");
    keychain.keep(&work).await.unwrap();
    keyring.lock().await.unwrap();
    assert_eq!(answers(&keychain).await, [Err(LOCKED); 4]);

    keyring.unlock_with("wrong").await.unwrap();
    assert_eq!(answers(&keychain).await, [Err(LOCKED); 4]);

    keyring.unlock().await.unwrap();
    assert_eq!(kept(&keychain).await, Ok(vec![parts(&work)]));
}

#[tokio::test]
async fn d_053_unlocking_ends_the_wait() {
    let keyring = Keyring::start().await.unwrap();
    in_patience(of(&keyring).unlocked()).await;

    keyring.lock().await.unwrap();
    let waiting = waiting(&keyring).await;
    unlock_in_place(&of(&keyring)).await;
    in_patience(waiting).await.unwrap();
}

#[tokio::test]
async fn d_053_a_wait_outlives_a_wrong_password_and_a_killed_service() {
    let keyring = Keyring::start().await.unwrap();
    keyring.lock().await.unwrap();
    let waiting = waiting(&keyring).await;
    keyring.unlock_with("wrong").await.unwrap();
    keyring.kill_service().await.unwrap();
    assert!(keyring.is_locked().await.unwrap(), "another one was started");
    assert!(!waiting.is_finished());
    keyring.unlock().await.unwrap();
    in_patience(waiting).await.unwrap();
}

#[tokio::test]
async fn d_053_a_first_collection_ends_the_wait_as_well() {
    let fresh = Keyring::never_unlocked().await.unwrap();
    let waiting = waiting(&fresh).await;
    fresh.unlock().await.unwrap();
    in_patience(waiting).await.unwrap();
}

#[tokio::test]
async fn d_053_a_killed_service_is_locked_until_somebody_opens_the_next() {
    let keyring = Keyring::start().await.unwrap();
    let (keychain, work) = (of(&keyring), login("work"));
    keychain.keep(&work).await.unwrap();
    keyring.kill_service().await.unwrap();
    assert_eq!(answers(&keychain).await, [Err(LOCKED); 4]);
    keyring.unlock().await.unwrap();
    assert_eq!(kept(&keychain).await, Ok(vec![parts(&work)]));
}

#[tokio::test]
async fn d_053_a_dead_bus_ends_the_watch_and_is_no_keychain() {
    let mut keyring = Keyring::start().await.unwrap();
    keyring.lock().await.unwrap();
    let (keychain, watching) = (of(&keyring), of(&keyring));
    let watch = tokio::spawn(async move { watching.watch().await });
    connected(&keyring, 1).await;
    keyring.kill_bus().await.unwrap();
    let ended = in_patience(watch).await.unwrap();
    assert!(ended.is_err_and(|error| error != LOCKED), "{ended:?}");
    assert_eq!(answers(&keychain).await, [Err(ABSENT); 4]);
    assert_eq!(keychain.watch().await, Err(ABSENT));
}

#[tokio::test]
async fn d_052_a_service_that_hangs_costs_a_deadline_and_no_more() {
    let mut keyring = Keyring::start().await.unwrap();
    let keychain = of(&keyring);
    keyring.stop_service().await.unwrap();
    let (work, profile) = (login("work"), "work".parse().unwrap());
    let (probe, load, keep, forget) = in_patience(async {
        tokio::join!(
            keychain.probe(),
            keychain.load(),
            keychain.keep(&work),
            keychain.forget(&profile)
        )
    })
    .await;
    assert_eq!([probe, load.map(drop), keep, forget], [Err(SLOW); 4]);
    assert_eq!(keychain.watch().await, Err(SLOW));
    keyring.continue_service().unwrap();
    assert_eq!(keychain.probe().await, Ok(()));
}

/// Opens the collection as a desktop's prompt does: in the service that runs, with no change of owner.
async fn unlock_in_place(keychain: &SecretService) {
    let bus = keychain.connect().await.unwrap();
    let service = Service::connect_with_existing(EncryptionType::Plain, bus.clone())
        .await
        .unwrap();
    let collection = service.get_default_collection().await.unwrap();
    let session = open_plain_session(&bus).await;
    let password = format!("{}\n", Keyring::PASSWORD).into_bytes();
    let secret = (session, Vec::<u8>::new(), password, "text/plain");
    let path: &ObjectPath<'_> = &collection.collection_path;
    let interface = "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface";
    bus.call_method(
        Some(NAME),
        PATH,
        Some(interface),
        "UnlockWithMasterPassword",
        &(path, secret),
    )
    .await
    .unwrap();
}

async fn open_plain_session(bus: &Connection) -> OwnedObjectPath {
    let input = zbus::zvariant::Value::from("");
    let interface = "org.freedesktop.Secret.Service";
    let reply = bus
        .call_method(
            Some(NAME),
            PATH,
            Some(interface),
            "OpenSession",
            &("plain", input),
        )
        .await
        .unwrap();
    let body = reply.body();
    let (_, session): (zbus::zvariant::OwnedValue, OwnedObjectPath) = body.deserialize().unwrap();
    session
}
