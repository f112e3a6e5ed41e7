//! What was acknowledged survives SIGKILL. The test starts itself again as a writer, kills it while it
//! writes, and looks at what is left.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use store::{Error, OpenMode, Put, Store, open};

use crate::{LATER, NOW, session, sqlite_url};

/// Tells the writer where to write.
const URL_VARIABLE: &str = "CIBA_STORE_TEST_URL";
/// After how many acknowledged lines each writer in turn is killed.
const LIFETIMES: [usize; 5] = [1, 2, 50, 300, 1000];
/// No test needs that long; it only keeps a broken one from hanging.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite_url(&folder);
    for (life, lines) in LIFETIMES.into_iter().enumerate() {
        let acknowledged = write_and_kill(&format!("{url}.{life}"), lines);
        assert!(acknowledged.len() >= lines);
        let store = open(&format!("{url}.{life}"), OpenMode::Existing).unwrap();
        for line in acknowledged {
            check(&*store, &line).await;
        }
    }
}

#[test]
fn no_new_database_is_made_beside_what_a_killed_writer_left() {
    let folder = tempfile::tempdir().unwrap();
    let (url, file) = (sqlite_url(&folder), folder.path().join("ciba.db"));
    let _ = write_and_kill(&url, 50);
    let away = folder.path().join("away");
    std::fs::rename(&file, &away).unwrap();
    let error = open(&url, OpenMode::Create).err().expect("refused");
    assert!(matches!(error, Error::LeftOver { .. }), "{error:?}");
    for name in ["ciba.db-wal", "ciba.db-shm"] {
        assert!(error.to_string().contains(name), "{error}");
        assert!(folder.path().join(name).exists(), "{name} stays for its database");
    }
    assert!(!file.exists());
    std::fs::rename(&away, &file).unwrap();
    drop(open(&url, OpenMode::Create).unwrap());
}

#[test]
fn each_file_that_would_be_replayed_keeps_a_new_database_from_being_made() {
    for suffix in ["-wal", "-shm", "-journal"] {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(format!("ciba.db{suffix}"));
        std::fs::write(&left, "").unwrap();
        let error = open(&sqlite_url(&folder), OpenMode::Create)
            .err()
            .expect("refused");
        assert!(matches!(error, Error::LeftOver { .. }), "{suffix}: {error:?}");
        std::fs::remove_file(&left).unwrap();
        drop(open(&sqlite_url(&folder), OpenMode::Create).unwrap());
    }
}

/// Runs a writer until it has acknowledged so many lines, and returns all that it did acknowledge.
fn write_and_kill(url: &str, lines: usize) -> Vec<String> {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::writer", "--ignored", "--nocapture"])
        .env(URL_VARIABLE, url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(writer.stdout.take().unwrap());
    let mut acknowledged = Vec::new();
    for line in output.lines() {
        // The last line may be half of one, and the test harness prints some of its own.
        let line = line.unwrap();
        if line.starts_with("put ") || line.starts_with("take ") {
            acknowledged.push(line);
        }
        if acknowledged.len() == lines {
            writer.kill().unwrap();
        }
    }
    writer.wait().unwrap();
    acknowledged
}

/// `put N.` was answered: N is there, unless it is one of those that are taken. `take N.`: N is gone.
async fn check(store: &dyn Store, line: &str) {
    let Some((word, id)) = line.strip_suffix('.').and_then(|line| line.split_once(' ')) else {
        return;
    };
    let record = store.get(session(id), NOW).await.unwrap();
    match word {
        "put" if is_taken(id) => {}
        "put" => assert_eq!(record.expect(line).value, id.as_bytes()),
        _ => assert_eq!(record, None, "{line}"),
    }
}

/// Every other writer takes back what it has put.
fn is_taken(id: &str) -> bool {
    id.starts_with(['1', '3'])
}

/// Not a test: the process that is killed. Four tasks write at the same time, so that there are batches.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "what_was_acknowledged_survives_a_kill starts it"]
async fn writer() {
    let store = open(&std::env::var(URL_VARIABLE).unwrap(), OpenMode::Create).unwrap();
    let tasks = ["0", "1", "2", "3"].map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0_u64.. {
                write_one(&*store, &format!("{task}-{n}")).await;
            }
        })
    });
    tokio::time::timeout(DEADLINE, async {
        for task in tasks {
            task.await.unwrap();
        }
    })
    .await
    .expect_err("it writes until it is killed");
}

async fn write_one(store: &dyn Store, id: &str) {
    let put = store
        .put_if_absent(session(id), id.as_bytes().to_vec(), LATER, NOW)
        .await
        .unwrap();
    assert_ne!(put, Put::Exists);
    acknowledge("put", id);
    if is_taken(id) {
        store.take(session(id), NOW).await.unwrap().unwrap();
        acknowledge("take", id);
    }
}

/// One `write` a line, so that what the pipe holds at the end is whole lines.
fn acknowledge(word: &str, id: &str) {
    let mut output = std::io::stdout().lock();
    output.write_all(format!("{word} {id}.\n").as_bytes()).unwrap();
    output.flush().unwrap();
}
