//! The question that is open, and which answer counts: the one of the connection that was asked. Pure.

use thiserror::Error;
use tokio::sync::oneshot;

/// A connection, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asker(pub(crate) u64);

/// Where the one open question lies.
#[derive(Default)]
pub(super) struct Desk {
    last_number: u64,
    open: Option<Open>,
}

struct Open {
    number: u64,
    asker: Asker,
    answer: oneshot::Sender<bool>,
}

/// An answer to a question that is not open, or was put to another client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no such question on this connection, or it was answered")]
pub(crate) struct NotAsked;

impl Desk {
    /// Opens a question in the place of the last one. Returns its number and where its answer comes.
    pub(super) fn open(&mut self, asker: Asker) -> (u64, oneshot::Receiver<bool>) {
        self.last_number += 1;
        let (answer, answered) = oneshot::channel();
        let number = self.last_number;
        self.open = Some(Open {
            number,
            asker,
            answer,
        });
        (number, answered)
    }

    /// Takes the answer to an open question.
    pub(super) fn answer(&mut self, asker: Asker, number: u64, allow: bool) -> Result<(), NotAsked> {
        let is_asked = |open: &mut Open| (open.number, open.asker) == (number, asker);
        let open = self.open.take_if(is_asked).ok_or(NotAsked)?;
        open.answer.send(allow).map_err(|_| NotAsked)
    }

    /// Forgets a question, if it is still open.
    pub(super) fn close(&mut self, number: u64) {
        self.open.take_if(|open| open.number == number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Asker = Asker(1);
    const TWO: Asker = Asker(2);

    #[test]
    fn only_the_first_answer_of_the_one_that_was_asked_counts() {
        for (what, answers, expected) in [
            ("yes", vec![(ONE, 1, true, Ok(()))], Ok(true)),
            ("no", vec![(ONE, 1, false, Ok(()))], Ok(false)),
            (
                "of another connection",
                vec![(TWO, 1, true, Err(NotAsked)), (ONE, 1, false, Ok(()))],
                Ok(false),
            ),
            (
                "another number",
                vec![(ONE, 0, true, Err(NotAsked)), (ONE, 2, true, Err(NotAsked))],
                Err(()),
            ),
            (
                "twice",
                vec![(ONE, 1, false, Ok(())), (ONE, 1, true, Err(NotAsked))],
                Ok(false),
            ),
        ] {
            let mut desk = Desk::default();
            let (number, mut answered) = desk.open(ONE);
            assert_eq!(number, 1);
            for (asker, number, allow, taken) in answers {
                assert_eq!(desk.answer(asker, number, allow), taken, "{what}");
            }
            assert_eq!(answered.try_recv().map_err(drop), expected, "{what}");
        }
    }

    #[test]
    fn a_closed_question_takes_no_answer_and_the_next_one_stays_open() {
        let mut desk = Desk::default();
        assert_eq!(desk.answer(ONE, 0, true), Err(NotAsked), "none was asked");
        let (first, answered) = desk.open(ONE);
        desk.close(first);
        assert_eq!(desk.answer(ONE, first, true), Err(NotAsked));
        drop(answered);
        let (second, mut answered) = desk.open(TWO);
        desk.close(first);
        assert_eq!(desk.answer(TWO, second, true), Ok(()));
        assert_eq!(answered.try_recv(), Ok(true));
        let (third, _) = desk.open(ONE);
        assert_eq!(
            desk.answer(ONE, third, true),
            Err(NotAsked),
            "the client has left"
        );
    }
}
