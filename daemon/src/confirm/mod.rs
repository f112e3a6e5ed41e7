//! Asks the person before a token leaves, for a rule with `confirm = true`: in the terminal of the client that asks for the
//! token, else on the desktop. One question at a time in the whole daemon.

mod desk;
mod desktop;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipc_proto::{ErrorCode, Failure};
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use tokio::time::timeout;

use self::desk::Desk;
pub(crate) use self::desk::{Asker, NotAsked};

/// How long a question waits for its turn.
const TURN: Duration = Duration::from_secs(60);

/// How long a person may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks questions; cheap to clone.
#[derive(Clone)]
pub(crate) struct Confirm {
    turn: Arc<Semaphore>,
    desk: Arc<Mutex<Desk>>,
}

impl Default for Confirm {
    fn default() -> Self {
        Self {
            turn: Arc::new(Semaphore::new(1)),
            desk: Arc::default(),
        }
    }
}

/// Why a token does not leave.
enum Refusal {
    Denied,
    Unanswered,
    Unasked,
}

impl From<Refusal> for Failure {
    fn from(why: Refusal) -> Self {
        let message = match why {
            Refusal::Denied => "you were asked for this token, and said no".into(),
            Refusal::Unanswered => format!(
                "you were asked for this token, and did not answer within {} s",
                PATIENCE.as_secs()
            ),
            Refusal::Unasked => {
                "a rule wants you to be asked for this token, and there is no place to ask".into()
            }
        };
        let failure = Self::new(ErrorCode::Denied, message);
        match why {
            Refusal::Unasked => failure.hint("run the command in a terminal or in a desktop session"),
            Refusal::Denied | Refusal::Unanswered => failure,
        }
    }
}

impl Confirm {
    /// Waits until no other question is open.
    ///
    /// # Errors
    ///
    /// `busy`: the others took too long.
    pub(crate) async fn turn(&self) -> Result<Turn<'_>, Failure> {
        let turn = timeout(TURN, self.turn.acquire()).await;
        match turn {
            Ok(Ok(permit)) => Ok(Turn {
                confirm: self,
                _permit: permit,
            }),
            _ => Err(Failure::new(
                ErrorCode::Busy,
                "you are being asked for another token",
            )),
        }
    }

    /// Takes a person's answer, which has to come over the connection that was asked.
    pub(crate) fn answer(&self, asker: Asker, number: u64, allow: bool) -> Result<(), NotAsked> {
        self.desk().answer(asker, number, allow)
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // A question is open or not, also after a panic.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to ask.
pub(crate) struct Turn<'a> {
    confirm: &'a Confirm,
    _permit: SemaphorePermit<'a>,
}

impl Turn<'_> {
    /// Opens a question that this connection answers.
    pub(crate) fn open(&self, asker: Asker) -> Question<'_> {
        let (number, answer) = self.confirm.desk().open(asker);
        Question {
            confirm: self.confirm,
            number,
            answer,
        }
    }

    /// Asks on the desktop.
    ///
    /// # Errors
    ///
    /// `denied`.
    pub(crate) async fn ask_desktop(&self, question: &str) -> Result<(), Failure> {
        // In a box: the bus takes much room, and few requests come here.
        decided(Box::pin(timeout(PATIENCE, desktop::ask(question))).await.ok())
    }
}

/// An open question.
pub(crate) struct Question<'a> {
    confirm: &'a Confirm,
    pub(crate) number: u64,
    answer: oneshot::Receiver<bool>,
}

impl Question<'_> {
    /// Waits for the answer.
    ///
    /// # Errors
    ///
    /// `denied`.
    pub(crate) async fn answered(mut self) -> Result<(), Failure> {
        let answer = timeout(PATIENCE, &mut self.answer).await.ok();
        decided(answer.map(|answer| Some(answer == Ok(true))))
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.confirm.desk().close(self.number);
    }
}

/// `None`: there was no answer in time. `Some(None)`: there was no place to ask.
fn decided(answer: Option<Option<bool>>) -> Result<(), Failure> {
    match answer {
        Some(Some(true)) => Ok(()),
        Some(Some(false)) => Err(Refusal::Denied.into()),
        Some(None) => Err(Refusal::Unasked.into()),
        None => Err(Refusal::Unanswered.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_answer_in_time_is_a_no() {
        let confirm = Confirm::default();
        let turn = confirm.turn().await.unwrap();
        let begun = tokio::time::Instant::now();
        let failure = turn.open(Asker(1)).answered().await.unwrap_err();
        assert_eq!((failure.code, begun.elapsed()), (ErrorCode::Denied, PATIENCE));
    }

    #[tokio::test(start_paused = true)]
    async fn one_question_at_a_time_and_the_others_wait_so_long() {
        let confirm = Confirm::default();
        let first = confirm.turn().await.unwrap();
        let begun = tokio::time::Instant::now();
        let failure = confirm.turn().await.err().unwrap();
        assert_eq!((failure.code, begun.elapsed()), (ErrorCode::Busy, TURN));
        let (second, ()) = tokio::join!(confirm.turn(), async { drop(first) });
        assert!(second.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_decides() {
        let confirm = Confirm::default();
        let turn = confirm.turn().await.unwrap();
        for (allow, code) in [(true, None), (false, Some(ErrorCode::Denied))] {
            let question = turn.open(Asker(1));
            confirm.answer(Asker(1), question.number, allow).unwrap();
            assert_eq!(question.answered().await.err().map(|failure| failure.code), code);
        }
    }
}
