//! The one thread that changes the database. Changes that wait at the same time share a transaction, and so
//! one fsync; each is answered only after the commit that holds it.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::fault::fault;
use crate::Error;

/// How many changes may wait. Who comes later waits for a place, and so does the client behind.
const QUEUE_MAX: usize = 256;
/// How many changes share a transaction at most, so that the first is not held up by a crowd.
const BATCH_MAX: usize = 64;

/// The way to the thread. Dropping it waits until all that was handed over is done.
pub(super) struct Writer {
    /// `None` only while dropping.
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(db: Connection) -> Result<Self, Error> {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let thread = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || write_all(db, jobs))
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
            // An error here is a panic over there, and those who waited have been told.
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
        // An error here: nobody waits any more. That is theirs to decide.
        let _ = answer.send(committed.and_then(|()| result.ok_or_else(ended)));
    }
}

fn write_all(mut db: Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while jobs.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        write_batch(&mut db, std::mem::take(&mut batch));
    }
}

/// Writes the jobs in one transaction. If that fails, each is tried by itself, so that none pays for another.
fn write_batch(db: &mut Connection, mut jobs: Vec<Box<dyn Job>>) {
    let committed = match db.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => commit(transaction, &mut jobs),
        // Another process holds the lock: trying each would only wait as often as there are jobs.
        Err(error) => return answer(jobs, &Err(fault(error))),
    };
    if committed.is_err() && jobs.len() > 1 {
        return jobs.into_iter().for_each(|job| write_batch(db, vec![job]));
    }
    answer(jobs, &committed);
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
