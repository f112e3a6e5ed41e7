//! What a file can do to a store: be missing, foreign, newer, damaged, readable by others, or shared.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Barrier};
use std::thread;

use rusqlite::Connection;
use store::{Error, OpenMode, Put, Space, Store, open, place};
use tempfile::TempDir;

use crate::{LATER, NOW, session, sqlite_url};

/// A folder for one database file, which need not be there.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ciba.db")
    }

    fn open(&self, mode: OpenMode) -> Result<Arc<dyn Store>, Error> {
        open(&sqlite_url(&self.folder), mode)
    }

    fn create(&self) -> Arc<dyn Store> {
        self.open(OpenMode::Create).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// What an administrator would use beside the server.
    fn sql(&self) -> Connection {
        Connection::open(self.file()).unwrap()
    }
}

async fn put(store: &Arc<dyn Store>, id: &str, value: &[u8]) {
    let put = store
        .put_if_absent(session(id), value.to_vec(), LATER, NOW)
        .await
        .unwrap();
    assert_ne!(put, Put::Exists);
}

async fn value(store: &Arc<dyn Store>, id: &str) -> Option<Vec<u8>> {
    store
        .get(session(id), NOW)
        .await
        .unwrap()
        .map(|record| record.value)
}

fn refusal(opened: Result<Arc<dyn Store>, Error>) -> Error {
    opened.err().expect("it must not open")
}

#[test]
fn a_url_that_names_no_store_is_told_the_ones_that_do() {
    let urls = [
        "",
        "memory",
        "memory:x",
        "sqlite",
        "sqlite:",
        "sqlite://ciba.db",
        "SQLITE:x",
        "redis://:pw@h/",
        "/ciba.db",
    ];
    for url in urls {
        let error = refusal(open(url, OpenMode::Create));
        assert!(matches!(error, Error::UnknownUrl), "{url}: {error:?}");
        assert_eq!(
            error.to_string(),
            "the store's URL must be `memory:` or `sqlite:PATH`"
        );
    }
}

#[tokio::test]
async fn records_outlive_the_process() {
    let place = Place::new();
    let store = place.create();
    put(&store, "a", b"one").await;
    let before = store.get(session("a"), NOW).await.unwrap();
    drop(store);
    let store = place.open(OpenMode::Existing).unwrap();
    assert_eq!(store.get(session("a"), NOW).await.unwrap(), before);
    assert_eq!(store.take(session("a"), NOW).await.unwrap().unwrap(), b"one");
    drop(store);
    assert_eq!(value(&place.create(), "a").await, None);
}

#[tokio::test]
async fn nobody_else_may_read_the_files() {
    let place = Place::new();
    let store = place.create();
    put(&store, "a", b"one").await;
    assert_eq!(place.files(), ["ciba.db", "ciba.db-shm", "ciba.db-wal"]);
    for file in place.files() {
        let mode = fs::metadata(place.folder.path().join(&file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_file_that_others_may_read_is_closed_to_them() {
    let place = Place::new();
    let store = place.create();
    put(&store, "a", b"one").await;
    for file in place.files() {
        fs::set_permissions(place.folder.path().join(&file), Permissions::from_mode(0o644)).unwrap();
    }
    let again = place.open(OpenMode::Existing).unwrap();
    for file in place.files() {
        let mode = fs::metadata(place.folder.path().join(&file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(value(&again, "a").await.unwrap(), b"one");
}

#[tokio::test]
async fn nothing_is_written_to_a_file_that_is_gone() {
    let place = Place::new();
    let store = place.create();
    put(&store, "a", b"one").await;
    fs::remove_file(place.file()).unwrap();
    let refused = store
        .put_if_absent(session("b"), b"two".to_vec(), LATER, NOW)
        .await;
    assert!(matches!(refused, Err(Error::Replaced)), "{refused:?}");
    assert!(matches!(store.delete(session("a")).await, Err(Error::Replaced)));
    assert!(matches!(store.ping().await, Err(Error::Replaced)));
    assert!(matches!(store.get(session("a"), NOW).await, Err(Error::Replaced)));
    assert!(!place.file().exists(), "nor is it made anew");
}

#[tokio::test]
async fn nothing_is_written_when_another_file_is_in_its_place() {
    let place = Place::new();
    let store = place.create();
    let other = Place::new();
    put(&other.create(), "theirs", b"one").await;
    let before = fs::read(other.file()).unwrap();
    let away = place.folder.path().join("away");
    fs::rename(place.file(), &away).unwrap();
    fs::rename(other.file(), place.file()).unwrap();
    assert!(matches!(
        store.delete(session("theirs")).await,
        Err(Error::Replaced)
    ));
    assert_eq!(fs::read(place.file()).unwrap(), before);
    // Back where it was, it goes on.
    fs::rename(&away, place.file()).unwrap();
    put(&store, "a", b"one").await;
}

/// What was acknowledged may be in the log alone.
#[tokio::test]
async fn nothing_is_written_when_the_log_is_gone_or_another() {
    for suffix in ["-wal", "-shm"] {
        let place = Place::new();
        let store = place.create();
        put(&store, "a", b"one").await;
        let log = place.folder.path().join(format!("ciba.db{suffix}"));
        let away = place.folder.path().join("away");
        fs::rename(&log, &away).unwrap();
        let gone = store.ping().await;
        assert!(matches!(gone, Err(Error::Replaced)), "{suffix}: {gone:?}");
        fs::copy(&away, &log).unwrap();
        let another = store.delete(session("a")).await;
        assert!(matches!(another, Err(Error::Replaced)), "{suffix}: {another:?}");
        fs::rename(&away, &log).unwrap();
        put(&store, "b", b"two").await;
    }
}

/// A database beside which no log was ever kept is as good: a backup that was made by VACUUM INTO, say.
#[tokio::test]
async fn the_log_is_minded_from_the_first_change_on() {
    let place = Place::new();
    drop(place.create());
    place.sql().pragma_update(None, "journal_mode", "delete").unwrap();
    let store = place.open(OpenMode::Existing).unwrap();
    fs::remove_file(place.folder.path().join("ciba.db-wal")).unwrap();
    assert!(matches!(store.ping().await, Err(Error::Replaced)));
}

#[tokio::test]
async fn behind_a_link_the_log_lies_beside_the_file() {
    let (place, links) = (Place::new(), Place::new());
    drop(place.create());
    std::os::unix::fs::symlink(place.file(), links.file()).unwrap();
    let store = links.open(OpenMode::Existing).unwrap();
    put(&store, "a", b"one").await;
    assert_eq!(links.files(), ["ciba.db"]);
    fs::remove_file(place.folder.path().join("ciba.db-wal")).unwrap();
    assert!(matches!(store.ping().await, Err(Error::Replaced)));
}

#[test]
fn dropping_leaves_the_database_in_one_file() {
    let place = Place::new();
    drop(place.create());
    assert_eq!(place.files(), ["ciba.db"]);
}

/// The only test that minds the current folder, which is the process's.
#[test]
fn a_relative_path_is_a_file_in_the_current_folder_whatever_its_name() {
    let (place, before) = (Place::new(), std::env::current_dir().unwrap());
    std::env::set_current_dir(place.folder.path()).unwrap();
    for url in ["sqlite:ciba.db", "sqlite::memory:", "sqlite:file:x?mode=ro"] {
        drop(open(url, OpenMode::Create).unwrap());
    }
    std::env::set_current_dir(before).unwrap();
    assert_eq!(place.files(), [":memory:", "ciba.db", "file:x?mode=ro"]);
}

#[test]
fn an_existing_store_must_exist() {
    let place = Place::new();
    assert!(matches!(refusal(place.open(OpenMode::Existing)), Error::Missing));
    assert!(!place.file().exists());
    drop(place.create());
    drop(place.open(OpenMode::Existing).unwrap());
}

#[test]
fn a_place_that_cannot_hold_a_file_is_refused() {
    let place = Place::new();
    fs::create_dir(place.file()).unwrap();
    assert!(matches!(
        refusal(place.open(OpenMode::Create)),
        Error::Location(_)
    ));
    assert!(matches!(
        refusal(place.open(OpenMode::Existing)),
        Error::Location(_)
    ));
    let no_folder = format!("sqlite:{}/none/ciba.db", place.folder.path().display());
    assert!(matches!(
        refusal(open(&no_folder, OpenMode::Create)),
        Error::Location(_)
    ));
    assert!(matches!(
        refusal(open("sqlite:a\0b", OpenMode::Create)),
        Error::Location(_)
    ));
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let place = Place::new();
    let garbage = b"no database, but longer than a header of one ".repeat(100);
    fs::write(place.file(), &garbage).unwrap();
    assert!(matches!(refusal(place.open(OpenMode::Create)), Error::Corrupt(_)));
    assert_eq!(fs::read(place.file()).unwrap(), garbage);
}

/// Truncated, perhaps. Making a new store of it would hide that there was one.
#[test]
fn an_empty_file_is_refused_and_left_alone() {
    let place = Place::new();
    fs::write(place.file(), "").unwrap();
    assert!(matches!(
        refusal(place.open(OpenMode::Existing)),
        Error::Corrupt(_)
    ));
    assert!(matches!(refusal(place.open(OpenMode::Create)), Error::Corrupt(_)));
    assert_eq!(fs::read(place.file()).unwrap(), b"");
}

#[test]
fn another_programs_database_is_refused_and_left_alone() {
    for preparation in [
        "CREATE TABLE theirs (x)",
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 1",
    ] {
        let place = Place::new();
        place.sql().execute_batch(preparation).unwrap();
        let before = fs::read(place.file()).unwrap();
        assert!(
            matches!(refusal(place.open(OpenMode::Create)), Error::Foreign),
            "{preparation}"
        );
        assert_eq!(fs::read(place.file()).unwrap(), before);
    }
}

/// Its mode, too: a file that others share is not ours to close.
#[test]
fn another_programs_file_keeps_its_mode() {
    for (mode, theirs) in [
        (OpenMode::Existing, true),
        (OpenMode::Create, true),
        (OpenMode::Create, false),
    ] {
        let place = Place::new();
        match theirs {
            true => place.sql().execute_batch("CREATE TABLE theirs (x)").unwrap(),
            false => fs::write(place.file(), "no database").unwrap(),
        }
        fs::set_permissions(place.file(), Permissions::from_mode(0o664)).unwrap();
        let _ = refusal(place.open(mode));
        let left = fs::metadata(place.file()).unwrap().permissions().mode();
        assert_eq!(left & 0o777, 0o664, "{mode:?}");
        assert_eq!(place.files(), ["ciba.db"]);
    }
}

#[test]
fn a_newer_schema_is_refused() {
    let place = Place::new();
    drop(place.create());
    place.sql().pragma_update(None, "user_version", 7).unwrap();
    let error = refusal(place.open(OpenMode::Existing));
    assert!(
        matches!(error, Error::SchemaNewer { found: 7, known: 1 }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_damaged_page_is_an_error_and_no_panic() {
    let place = Place::new();
    let store = place.create();
    for n in 0..100 {
        put(&store, &n.to_string(), &[7; 1000]).await;
    }
    drop(store);
    let mut bytes = fs::read(place.file()).unwrap();
    let (_first_page, rest) = bytes.split_at_mut(4096);
    rest.fill(0xff);
    fs::write(place.file(), bytes).unwrap();
    let store = place.open(OpenMode::Existing).unwrap();
    assert!(matches!(
        store.get(session("1"), NOW).await,
        Err(Error::Corrupt(_))
    ));
    assert!(matches!(
        store.take(session("1"), NOW).await,
        Err(Error::Corrupt(_))
    ));
    assert!(matches!(store.ping().await, Err(Error::Corrupt(_))));
}

#[tokio::test]
async fn an_administrator_may_work_beside_the_server() {
    let place = Place::new();
    let (server, admin) = (place.create(), place.create());
    put(&server, "a", b"one").await;
    assert_eq!(value(&admin, "a").await.unwrap(), b"one");
    admin.delete(session("a")).await.unwrap();
    put(&server, "a", b"two").await;
    drop(server);
    assert_eq!(value(&admin, "a").await.unwrap(), b"two");
}

#[tokio::test]
async fn one_server_has_a_store_until_it_ends_and_an_administrator_may_look_on() {
    let (place, links) = (Place::new(), Place::new());
    assert!(matches!(refusal(place.open(OpenMode::Alone)), Error::Missing));
    assert_eq!(place.files(), [""; 0]);
    drop(place.create());
    std::os::unix::fs::symlink(place.file(), links.file()).unwrap();
    let server = place.open(OpenMode::Alone).unwrap();
    for another in [&place, &links] {
        assert!(matches!(refusal(another.open(OpenMode::Alone)), Error::InUse));
    }
    put(&server, "a", b"one").await;
    assert_eq!(value(&place.create(), "a").await.unwrap(), b"one");
    drop(server);
    assert_eq!(place.files(), ["ciba.db", "ciba.db.lock"]);
    drop(links.open(OpenMode::Alone).unwrap());
}

#[test]
fn many_may_open_a_new_store_at_once_and_get_the_same() {
    const OPENERS: usize = 8;
    let place = Place::new();
    let start = Barrier::new(OPENERS);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    thread::scope(|scope| {
        for n in 0..OPENERS {
            let (place, start, runtime) = (&place, &start, &runtime);
            scope.spawn(move || {
                start.wait();
                runtime.block_on(put(&place.create(), &n.to_string(), b""));
            });
        }
    });
    assert_eq!(place.files(), ["ciba.db"]);
    let store = place.open(OpenMode::Existing).unwrap();
    let count = runtime.block_on(store.count(Space::Session, NOW)).unwrap();
    assert_eq!(count, OPENERS as u64);
}

#[tokio::test]
async fn while_another_holds_the_lock_changes_fail_and_reads_go_on() {
    let place = Place::new();
    let store = place.create();
    put(&store, "a", b"one").await;
    let other = place.sql();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (first, second) = tokio::join!(store.take(session("a"), NOW), store.delete(session("a")));
    assert!(matches!(
        (first, second),
        (Err(Error::Unavailable(_)), Err(Error::Unavailable(_)))
    ));
    assert_eq!(value(&store, "a").await.unwrap(), b"one");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.take(session("a"), NOW).await.unwrap().unwrap(), b"one");
}

#[test]
fn a_place_is_a_files_path_and_never_shows_a_password() {
    assert_eq!(place("memory:"), "memory:");
    assert_eq!(place("sqlite:/var/lib/ciba.db"), "/var/lib/ciba.db");
    assert!(place("sqlite:ciba.db").ends_with("/ciba.db") && place("sqlite:ciba.db").starts_with('/'));
    for url in [
        "redis://:pw@host",
        "sqlite://:pw@host",
        "pw",
        "memory:pw",
        "sqlite:",
        "",
    ] {
        assert_eq!(place(url), "the store", "{url}");
    }
}

#[test]
fn errors_say_what_to_do_and_quote_nothing() {
    let place = Place::new();
    let error = refusal(place.open(OpenMode::Existing));
    assert_eq!(error.to_string(), "there is no store at this place yet");
    assert!(
        !refusal(open("redis://:hunter2@host/", OpenMode::Create))
            .to_string()
            .contains("hunter2")
    );
}
