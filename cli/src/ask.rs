//! A question to the daemon and its one answer, within a time that the command sets. Events in between are passed over.

use std::fmt::Display;
use std::time::{Duration, Instant};

use ipc_proto::{ErrorCode, Hello, Message, Op, PROTOCOL};
use serde::de::DeserializeOwned;

use crate::connection::{Connection, too_late};
use crate::error::Error;
use crate::terminal::Progress;

/// How often a person is shown for how long a command has waited.
const TICK: Duration = Duration::from_secs(1);

/// Asks the daemon, which is started when there is none. A daemon that leaves or becomes another program meanwhile is
/// asked again, once: only for what may be asked twice.
pub(crate) fn whoever_serves<T>(
    op: Op,
    ask: impl Fn(Connection, Op) -> Result<T, Error>,
) -> Result<T, Error> {
    again_if_left(op, |op| ask(Connection::connect_or_start()?, op))
}

/// The same, of the daemon that runs; `None` when none does.
pub(crate) fn whoever_runs<T>(
    op: Op,
    ask: impl Fn(Connection, Op) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    again_if_left(op, |op| {
        let running = Connection::connect()?;
        running.map(|connection| ask(connection, op)).transpose()
    })
}

fn again_if_left<T>(op: Op, mut ask: impl FnMut(Op) -> Result<T, Error>) -> Result<T, Error> {
    match ask(op.clone()) {
        Err(error) if has_left(&error) => ask(op),
        asked => asked,
    }
}

/// Asks the daemon that runs for its protocol, version and pid; `None` when none does.
pub(crate) fn hello(patience: Duration) -> Result<Option<Hello>, Error> {
    whoever_runs(Op::Hello { protocol: PROTOCOL }, |connection, op| {
        connection.ask(op, patience)
    })
}

/// Whether the daemon left before it had answered.
pub(crate) fn has_left(error: &Error) -> bool {
    error
        .failure()
        .is_some_and(|failure| failure.code == ErrorCode::Leaving)
}

impl Connection {
    /// Sends a request and returns its one answer.
    pub(crate) fn ask<T: DeserializeOwned>(mut self, op: Op, patience: Duration) -> Result<T, Error> {
        self.send(op)?;
        self.answer(patience)
    }

    /// Waits for the one answer to what was sent.
    pub(crate) fn answer<T: DeserializeOwned>(&mut self, patience: Duration) -> Result<T, Error> {
        let answer = self.answer_before(Instant::now() + patience)?;
        answer.ok_or_else(|| too_late(patience))
    }

    /// Does the same as [`Connection::ask`], and after a second shows a person how long it has been waiting.
    pub(crate) fn ask_visibly<T: DeserializeOwned>(
        mut self,
        op: Op,
        patience: Duration,
        what: impl Display,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let mut progress = None;
        let mut waited = Duration::ZERO;
        self.send(op)?;
        loop {
            waited = (waited + TICK).min(patience);
            if let Some(answer) = self.answer_before(begun + waited)? {
                return Ok(answer);
            }
            if waited == patience {
                return Err(too_late(patience));
            }
            progress = progress.or_else(Progress::new);
            if let Some(line) = &progress {
                line.show(format_args!("{what} … {} s", waited.as_secs()));
            }
        }
    }

    /// Passes over events until the answer comes; `None` when `deadline` comes first.
    fn answer_before<T: DeserializeOwned>(&mut self, deadline: Instant) -> Result<Option<T>, Error> {
        loop {
            match self.next(Some(deadline))? {
                Some(Message::Answer(answer)) => return Ok(Some(answer)),
                Some(Message::Failure(failure)) => return Err(failure.into()),
                Some(Message::Event(_) | Message::UnknownEvent) => {}
                None => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_daemon_that_hangs_is_a_timeout() {
        let (ours, _silent) = UnixStream::pair().unwrap();
        let asked = Connection::from(ours).ask::<Hello>(Op::Watch {}, Duration::from_millis(20));
        assert!(matches!(asked, Err(Error::Told(failure)) if failure.code == ErrorCode::Timeout));
    }

    #[test]
    fn a_daemon_that_hangs_is_not_watched_for_ever() {
        let (ours, _silent) = UnixStream::pair().unwrap();
        let asked =
            Connection::from(ours).ask_visibly::<Hello>(Op::Watch {}, Duration::from_millis(20), "Waiting");
        assert!(matches!(asked, Err(Error::Told(failure)) if failure.code == ErrorCode::Timeout));
    }

    #[test]
    fn a_daemon_that_chatters_does_not_move_the_deadline() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let event = b"{\"id\":1,\"event\":\"connected\",\"profile\":\"default\"}\n";
        let chatter = std::thread::spawn(move || while theirs.write_all(event).is_ok() {});
        let asked = Connection::from(ours).ask::<Hello>(Op::Watch {}, Duration::from_millis(20));
        assert!(matches!(asked, Err(Error::Told(failure)) if failure.code == ErrorCode::Timeout));
        chatter.join().unwrap();
    }
}
