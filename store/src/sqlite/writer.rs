//! The one thread that changes the database. Changes that wait at the same time share a transaction, and so
//! one fsync; each is answered only after the commit that holds it.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::fault::fault;
use crate::Error;

/// How many changes may wait. A later one waits for a place, and so does the client that asked for it.
const QUEUE_MAX: usize = 256;
/// How many changes share a transaction at most, so that the first does not wait for too many others.
const BATCH_MAX: usize = 64;

/// The handle of the thread. Dropping it waits until all that was handed over is done.
pub(super) struct Writer {
    /// `None` only while dropping.
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. While `check_files` fails nothing is written, and nothing that was written is acknowledged.
    pub(super) fn start(
        db: Connection,
        check_files: impl Fn() -> Result<(), Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let thread = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || write_all(db, jobs, &check_files))
            .map_err(|error| Error::Unavailable(Arc::new(error)))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Runs a change on the thread and returns what it returned, once that is on disk.
    ///
    /// The change may run more than once, each time from the same state.
    pub(super) async fn run<T, F>(&self, change: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(ended)?;
        queue
            .send(Box::new(Change {
                change,
                result: None,
                answer,
            }))
            .await
            .map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // An error here is a panic over there, and the callers that waited have been told.
            let _ = thread.join();
        }
    }
}

fn ended() -> Error {
    Error::Unavailable(Arc::new(std::io::Error::other("the writer thread has ended")))
}

/// One waiting change, whatever its type of answer.
trait Job: Send {
    fn run(&mut self, db: &Connection) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

struct Change<T, F> {
    change: F,
    result: Option<T>,
    answer: oneshot::Sender<Result<T, Error>>,
}

impl<T, F> Job for Change<T, F>
where
    T: Send,
    F: Fn(&Connection) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.result = Some((self.change)(db)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let Self { result, answer, .. } = *self;
        // An error here means that the caller waits no longer, which is for the caller to decide.
        let _ = answer.send(committed.and_then(|()| result.ok_or_else(ended)));
    }
}

/// Fails unless the files are those that were opened.
type CheckFiles<'a> = &'a dyn Fn() -> Result<(), Error>;

fn write_all(mut db: Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>, check_files: CheckFiles<'_>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while jobs.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        let batch = std::mem::take(&mut batch);
        match check_files() {
            Ok(()) => write_batch(&mut db, batch, check_files),
            failed => answer(batch, &failed),
        }
    }
}

/// Writes the jobs in one transaction. If that fails, each is tried by itself, so that one that fails takes no other along.
fn write_batch(db: &mut Connection, mut jobs: Vec<Box<dyn Job>>, check_files: CheckFiles<'_>) {
    let committed = match db.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => commit(transaction, &mut jobs),
        // Another process holds the lock: trying each would only wait as often as there are jobs.
        Err(error) => return answer(jobs, &Err(fault(error))),
    };
    if committed.is_err() && jobs.len() > 1 {
        return jobs
            .into_iter()
            .for_each(|job| write_batch(db, vec![job], check_files));
    }
    // Once more: the files may have gone while it was written.
    answer(jobs, &committed.and_then(|()| check_files()));
}

fn commit(transaction: Transaction<'_>, jobs: &mut [Box<dyn Job>]) -> Result<(), Error> {
    for job in jobs {
        job.run(&transaction).map_err(fault)?;
    }
    transaction.commit().map_err(fault)
}

fn answer(jobs: Vec<Box<dyn Job>>, committed: &Result<(), Error>) {
    for job in jobs {
        job.answer(committed.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc as blocking;
    use std::task::{Context, Waker};

    use tokio::task::unconstrained;

    use super::*;

    const INSERT: &str = "INSERT INTO child VALUES (?1, ?2)";

    /// A database in which a row may be refused when it is written (a check) or by the commit (an orphan).
    fn database() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "PRAGMA foreign_keys = on;
             CREATE TABLE parent (id INTEGER PRIMARY KEY);
             CREATE TABLE child (id INTEGER PRIMARY KEY CHECK (id >= 0),
                                 parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED);",
        )
        .unwrap();
        db
    }

    fn insert(id: i64, parent: Option<i64>) -> (Box<dyn Job>, oneshot::Receiver<Result<i64, Error>>) {
        let (answer, answered) = oneshot::channel();
        let change = move |db: &Connection| db.execute(INSERT, (id, parent)).map(|_| id);
        (
            Box::new(Change {
                change,
                result: None,
                answer,
            }),
            answered,
        )
    }

    #[test]
    fn a_failing_change_takes_no_other_along() {
        let mut db = database();
        let refused_at_once = insert(-1, None);
        let refused_by_the_commit = insert(2, Some(7));
        let batch = [
            insert(1, None),
            refused_at_once,
            refused_by_the_commit,
            insert(3, None),
        ];
        let (jobs, answers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        write_batch(&mut db, jobs, &|| Ok(()));
        let answers: Vec<_> = answers
            .into_iter()
            .map(|answer| answer.blocking_recv().unwrap())
            .collect();
        assert!(matches!(
            answers[..],
            [
                Ok(1),
                Err(Error::Unavailable(_)),
                Err(Error::Unavailable(_)),
                Ok(3)
            ]
        ));
        let kept: i64 = db
            .query_row("SELECT sum(id) FROM child", [], |row| row.get(0))
            .unwrap();
        assert_eq!(kept, 1 + 3);
    }

    #[test]
    fn a_batch_without_failures_is_one_transaction() {
        let mut db = database();
        // The child is written before its parent: that only works within one transaction.
        let (child, child_answered) = insert(1, Some(7));
        let (answer, parent_answered) = oneshot::channel();
        let change = |db: &Connection| db.execute("INSERT INTO parent VALUES (7)", []);
        write_batch(
            &mut db,
            vec![
                child,
                Box::new(Change {
                    change,
                    result: None,
                    answer,
                }),
            ],
            &|| Ok(()),
        );
        assert_eq!(child_answered.blocking_recv().unwrap().unwrap(), 1);
        assert_eq!(parent_answered.blocking_recv().unwrap().unwrap(), 1);
    }

    #[tokio::test]
    async fn what_was_written_while_the_files_went_is_not_acknowledged() {
        let gone = Arc::new(AtomicBool::new(false));
        let seen = gone.clone();
        let check_files = move || {
            let gone = seen.load(Ordering::Relaxed);
            (!gone).then_some(()).ok_or(Error::Replaced)
        };
        let writer = Writer::start(database(), check_files).unwrap();
        let in_the_middle = writer.run(move |_| {
            gone.store(true, Ordering::Relaxed);
            Ok(())
        });
        assert!(matches!(in_the_middle.await, Err(Error::Replaced)));
    }

    #[tokio::test]
    async fn a_full_disk_is_told_and_reading_goes_on() {
        let db = database();
        db.pragma_update(None, "max_page_count", 10).unwrap();
        let writer = Writer::start(db, || Ok(())).unwrap();
        let fill = |db: &Connection| db.execute("INSERT INTO child VALUES (1, zeroblob(1 << 20))", []);
        assert!(matches!(writer.run(fill).await, Err(Error::Full(_))));
        let count =
            |db: &Connection| db.query_row("SELECT count(*) FROM child", [], |row| row.get::<_, i64>(0));
        assert_eq!(writer.run(count).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_dead_thread_is_told_and_holds_nobody_up() {
        let writer = Writer::start(database(), || Ok(())).unwrap();
        let died = writer
            .run(|_| -> rusqlite::Result<()> { panic!("on purpose") })
            .await;
        assert!(matches!(died, Err(Error::Unavailable(_))));
        assert!(matches!(writer.run(|_| Ok(())).await, Err(Error::Unavailable(_))));
    }

    /// A writer in the middle of a change, until the test sends on the channel or drops it.
    fn busy_writer() -> (Writer, blocking::Sender<()>) {
        let writer = Writer::start(database(), || Ok(())).unwrap();
        let (begun, has_begun) = blocking::channel();
        let (go_on, may_go_on) = blocking::channel();
        hand_over(&mut pin!(writer.run(move |_| {
            let _ = begun.send(());
            let _ = may_go_on.recv();
            Ok(())
        })));
        has_begun.recv().unwrap();
        (writer, go_on)
    }

    /// Polls once. (Unconstrained, for else a task hands over only so many in one go.)
    fn hand_over<T>(change: &mut (impl Future<Output = Result<T, Error>> + Unpin)) {
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(unconstrained(change)).poll(&mut context).is_pending());
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_waits() {
        let (writer, go_on) = busy_writer();
        let mut waiting: Vec<_> = (0..=QUEUE_MAX)
            .map(|n| Box::pin(writer.run(move |_| Ok(n))))
            .collect();
        waiting.iter_mut().for_each(hand_over);
        assert_eq!(writer.queue.as_ref().unwrap().capacity(), 0);
        drop(go_on);
        for (n, change) in waiting.into_iter().enumerate() {
            assert_eq!(change.await.unwrap(), n);
        }
    }

    #[test]
    fn dropping_finishes_what_was_handed_over_even_if_nobody_waits_for_it() {
        const CHANGES: usize = BATCH_MAX + 1;
        let (writer, go_on) = busy_writer();
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..CHANGES {
            let done = done.clone();
            hand_over(&mut pin!(
                writer.run(move |_| Ok(done.fetch_add(1, Ordering::Relaxed)))
            ));
        }
        let dropping = thread::spawn(move || drop(writer));
        drop(go_on);
        dropping.join().unwrap();
        assert_eq!(done.load(Ordering::Relaxed), CHANGES);
    }
}
