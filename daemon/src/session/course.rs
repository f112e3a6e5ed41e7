//! What a session does next, decided without I/O: what happened and when go in, what to do comes out. The state
//! that people see is beside it, in [`State`].

use std::time::Duration;

use device_proto::ResourceUrn;
use device_proto::ask::{Ask, Reply};
use ipc_proto::{ErrorCode, Event, Failure, Link, SessionState};
use tokio::time::Instant;

use super::flight::Flights;
use super::renewals::Renewals;
use super::state::{Happening, Phase, State};
use super::{over, slow};
use crate::sync::Lost;
use crate::words;

/// Time for the server to confirm that the session ended (D-052).
pub(super) const END_DEADLINE: Duration = Duration::from_secs(5);

/// Time for the first link to stand. Without it the person would log in, and nobody here would hear of it.
const FIRST_LINK: Duration = Duration::from_secs(10);

/// How long after the page's end the server's own word is awaited.
const EXPIRY_GRACE: Duration = Duration::from_secs(5);

/// The id of the ask that ends the session. The others are numbers.
const END_ID: &str = "end";

/// Why a WebSocket that was asked to end was closed as it should.
const CLOSE_NORMAL: u16 = 1000;

/// A moment, by both clocks, and a die for it.
#[derive(Clone, Copy)]
pub(super) struct Now {
    pub(super) instant: Instant,
    /// Unix seconds.
    pub(super) unix: u64,
    /// Uniform in 0..1.
    pub(super) chance: f64,
}

/// What happened to a session. `W` waits for a token, `E` for the end.
pub(super) enum Input<W, E> {
    /// The link, or the doc, or what was kept.
    Happened(Happening),
    /// A token of the resource was stored; it ends then (Unix seconds).
    Token(ResourceUrn, u64),
    /// A token was used that should be renewed at the first time and ends at the second (Unix seconds).
    Used(ResourceUrn, u64, u64),
    /// The server answered an ask.
    Replied(Reply),
    /// The ask could not be sent: too many are.
    NotSent(String),
    /// Somebody wants a token that lasts beyond a time (Unix seconds).
    Fetch(ResourceUrn, u64, W),
    /// Somebody wants it ended, here and on the server.
    End(E),
    /// Another login takes its place.
    LetGo,
    /// Nobody waits for this login any more.
    Abandoned,
    /// The time that [`Course::next_due`] said has come.
    Tick,
}

/// What to do about it, in this order.
pub(super) enum Effect<W> {
    Tell(Event),
    Send(Ask),
    /// Have the link come back at once.
    Hurry,
    Answer(W, Result<(), Failure>),
    /// No token may be handed out any more.
    ClearTokens,
    /// Put the login into the keychain.
    Keep,
    /// Take it out.
    Forget,
}

/// How a session ended.
pub(super) struct End<E> {
    /// Whether the server knows.
    pub(super) told: bool,
    /// Who waited for it.
    pub(super) waiters: Vec<E>,
}

/// The course of one session.
pub(super) struct Course<W, E> {
    stage: Stage<E>,
    flights: Flights<W>,
    renewals: Renewals,
    patience: Option<Patience>,
    is_lasting: bool,
}

enum Stage<E> {
    /// It goes on, also when it has failed: somebody has to read why.
    Lives,
    /// The server has yet to confirm its end.
    Ending {
        due: Instant,
        is_sent: bool,
        waiters: Vec<E>,
    },
    Over(End<E>),
}

/// How long a login waits for its person.
struct Patience {
    first_link: Instant,
    page: Instant,
}

impl<W, E> Course<W, E> {
    /// A login that a person has yet to do. It goes to a keychain when it `is_lasting`.
    pub(super) fn of_login(page_lasts: Duration, is_lasting: bool, now: Instant) -> Self {
        Self {
            patience: Some(Patience {
                first_link: now + FIRST_LINK,
                page: now + page_lasts + EXPIRY_GRACE,
            }),
            is_lasting,
            ..Self::resumed()
        }
    }

    /// A login that was done before this daemon was.
    pub(super) fn resumed() -> Self {
        Self {
            stage: Stage::Lives,
            flights: Flights::default(),
            renewals: Renewals::default(),
            patience: None,
            is_lasting: false,
        }
    }

    /// Takes in what happened at `now`; changes what is shown, and returns what to do.
    pub(super) fn handle(&mut self, input: Input<W, E>, state: &mut State, now: Now) -> Vec<Effect<W>> {
        let mut turn = Turn {
            course: self,
            state,
            now,
            effects: Vec::new(),
        };
        turn.take(input);
        turn.follow_up();
        turn.effects
    }

    /// Returns when something has to happen by itself.
    pub(super) fn next_due(&self, state: &State, now: Now) -> Option<Instant> {
        let patience = self.patience.as_ref();
        let first_link = patience
            .filter(|_| state.waits_for_first_link())
            .map(|patience| patience.first_link);
        let page = patience
            .filter(|_| is_pending(state))
            .map(|patience| patience.page);
        let ending = match self.stage {
            Stage::Ending { due, .. } => Some(due),
            Stage::Lives | Stage::Over(_) => None,
        };
        let by_wall_clock = [self.renewals.next(), state.notice_at()]
            .into_iter()
            .flatten()
            .min();
        let wall = by_wall_clock.map(|at| now.instant + Duration::from_secs(at.saturating_sub(now.unix)));
        [self.flights.next_due(now.instant), ending, first_link, page, wall]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether it lasts only as long as somebody follows it.
    pub(super) fn lives_by_followers(&self, state: &State, one_shot: bool) -> bool {
        matches!(self.stage, Stage::Lives) && (one_shot || is_pending(state))
    }

    /// Whether nothing more happens to it.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over(_))
    }

    /// Returns how it ended.
    pub(super) fn into_end(self) -> End<E> {
        match self.stage {
            Stage::Over(end) => end,
            Stage::Ending { waiters, .. } => End { told: false, waiters },
            Stage::Lives => End {
                told: false,
                waiters: Vec::new(),
            },
        }
    }
}

fn is_pending(state: &State) -> bool {
    *state.phase() == Phase::Pending
}

/// One input's way through the course.
struct Turn<'a, W, E> {
    course: &'a mut Course<W, E>,
    state: &'a mut State,
    now: Now,
    effects: Vec<Effect<W>>,
}

impl<W, E> Turn<'_, W, E> {
    fn take(&mut self, input: Input<W, E>) {
        match input {
            Input::Happened(Happening::Lost(why)) => self.lost(why),
            Input::Happened(Happening::Denied) => self.denied(),
            Input::Happened(happening) => self.tell(happening),
            Input::Token(resource, expires_at) => self.token(&resource, expires_at),
            Input::Used(resource, at, expires_at) => self.course.renewals.plan(resource, at, expires_at),
            Input::Replied(reply) => self.replied(reply),
            Input::NotSent(id) => self.not_sent(&id),
            Input::Fetch(resource, until, waiter) => self.fetch(resource, until, Some(waiter)),
            Input::End(waiter) => self.end(Some(waiter)),
            Input::LetGo => self.finish(true),
            Input::Abandoned => self.abandon(),
            Input::Tick => self.tick(),
        }
    }

    fn tell(&mut self, happening: Happening) {
        let Some(event) = self.state.handle(happening, self.now.unix) else {
            return;
        };
        let is_ended = matches!(&event, Event::Session { state, .. } if *state == SessionState::Ended);
        self.effects.push(Effect::Tell(event));
        if is_ended {
            self.effects.push(Effect::Forget);
        }
    }

    fn token(&mut self, resource: &ResourceUrn, expires_at: u64) {
        self.course.renewals.renewed(resource);
        let lasts = |wanted: &ResourceUrn, until| wanted == resource && expires_at > until;
        let satisfied = self.course.flights.satisfied(lasts);
        self.answer(satisfied, &Ok(()));
        // Each later token finds the login kept already; keeping it once more would be a write for nothing.
        if std::mem::take(&mut self.course.is_lasting) {
            self.effects.push(Effect::Keep);
        }
    }

    fn replied(&mut self, reply: Reply) {
        let is_end = reply.id() == END_ID;
        match reply {
            Reply::Ended { .. } => self.finish(true),
            Reply::Error { .. } if is_end => self.finish(false),
            Reply::TokenReady { id, .. } => self.answered(&id, &Ok(())),
            Reply::Error {
                id,
                error,
                error_description,
            } => self.refused(&id, &error, &error_description),
        }
    }

    fn refused(&mut self, id: &str, error: &str, description: &str) {
        let failure = words::failure(error, description);
        if error == "temporarily_unavailable" {
            let Now { instant, chance, .. } = self.now;
            return self.course.flights.put_off(id, failure, instant, chance);
        }
        self.answered(id, &Err(failure));
    }

    fn not_sent(&mut self, id: &str) {
        match &mut self.course.stage {
            // Should it never fit, the deadline ends the session.
            Stage::Ending { is_sent, .. } if id == END_ID => *is_sent = false,
            _ => {
                let busy = Failure::new(ErrorCode::Busy, "too many tokens are asked for at once");
                self.answered(id, &Err(busy));
            }
        }
    }

    fn answered(&mut self, id: &str, with: &Result<(), Failure>) {
        if let Some((_, waiters)) = self.course.flights.answered(id) {
            self.answer(waiters, with);
        }
    }

    fn answer(&mut self, waiters: Vec<W>, with: &Result<(), Failure>) {
        let answers = waiters
            .into_iter()
            .map(|waiter| Effect::Answer(waiter, with.clone()));
        self.effects.extend(answers);
    }

    fn fail_flights(&mut self, failure: Failure) {
        let waiters = self.course.flights.all();
        self.answer(waiters, &Err(failure));
    }

    /// A link that stood comes back soon: who waits, waits on. One that was not to be had is an answer.
    fn lost(&mut self, why: Lost) {
        let stood = self.is_connected();
        self.tell(Happening::Lost(why));
        self.course.flights.connection_lost(self.now.instant);
        if let Stage::Ending { is_sent, .. } = &mut self.course.stage {
            *is_sent = false;
            if why == Lost::Closed(Some(CLOSE_NORMAL)) || !stood {
                return self.finish(stood);
            }
        }
        if !stood {
            self.fail_flights(self.state.unreachable());
        }
        self.hurry();
    }

    fn denied(&mut self) {
        self.tell(Happening::Denied);
        if matches!(self.course.stage, Stage::Ending { .. }) {
            self.finish(true);
        }
    }

    fn fetch(&mut self, resource: ResourceUrn, until: u64, waiter: Option<W>) {
        self.course
            .flights
            .join(resource, until, waiter, self.now.instant);
        self.hurry();
    }

    /// Ends the session on the server; here it ends when that is known, or too slow.
    fn end(&mut self, waiter: Option<E>) {
        match &mut self.course.stage {
            Stage::Lives => {
                if waiter.is_some() {
                    self.effects.push(Effect::Forget);
                }
                self.course.stage = Stage::Ending {
                    due: self.now.instant + END_DEADLINE,
                    is_sent: false,
                    waiters: waiter.into_iter().collect(),
                };
                self.hurry();
            }
            Stage::Ending { waiters, .. } | Stage::Over(End { waiters, .. }) => waiters.extend(waiter),
        }
        if self.state.is_denied() {
            self.finish(true);
        }
    }

    /// The server is told, so that nobody signs in to a page whose terminal has left.
    fn abandon(&mut self) {
        if is_pending(self.state) {
            // From here on a new login may take its place.
            self.tell(Happening::Ended);
        }
        self.end(None);
    }

    fn finish(&mut self, told: bool) {
        let waiters = match &mut self.course.stage {
            Stage::Ending { waiters, .. } => std::mem::take(waiters),
            Stage::Over(_) => return,
            Stage::Lives => Vec::new(),
        };
        self.course.stage = Stage::Over(End { told, waiters });
    }

    fn tick(&mut self) {
        let Now { instant, unix, .. } = self.now;
        for (waiter, trouble) in self.course.flights.overdue(instant) {
            let failure = trouble.unwrap_or_else(slow);
            self.effects.push(Effect::Answer(waiter, Err(failure)));
        }
        if matches!(self.course.stage, Stage::Ending { due, .. } if due <= instant) {
            return self.finish(false);
        }
        if let Some(Patience { first_link, page }) = self.course.patience {
            if first_link <= instant {
                self.tell(Happening::Unlinked);
            }
            if page <= instant {
                self.tell(Happening::Expired);
            }
        }
        for (resource, until) in self.course.renewals.due(unix) {
            self.fetch(resource, until, None);
        }
        self.tell(Happening::Clock);
    }

    /// What follows from the state, whatever happened.
    fn follow_up(&mut self) {
        if self.state.is_gone() && matches!(self.course.stage, Stage::Lives) {
            self.finish(true);
        }
        if !self.state.keeps_tokens() {
            self.effects.push(Effect::ClearTokens);
        }
        match self.state.phase() {
            Phase::Failed(failure) => self.fail_flights(failure.clone()),
            Phase::Ended => self.fail_flights(over()),
            Phase::Pending | Phase::Active => {}
        }
        if self.is_connected() {
            self.send();
        }
    }

    fn send(&mut self) {
        let asks = self.course.flights.unsent(self.now.instant, self.now.unix);
        self.effects.extend(asks.into_iter().map(Effect::Send));
        if let Stage::Ending { is_sent, .. } = &mut self.course.stage
            && !std::mem::replace(is_sent, true)
        {
            self.effects.push(Effect::Send(Ask::End { id: END_ID.into() }));
        }
    }

    /// Has the link come back at once if somebody waits for it.
    fn hurry(&mut self) {
        let is_ending = matches!(self.course.stage, Stage::Ending { .. });
        if (is_ending || !self.course.flights.is_empty()) && !self.is_connected() {
            self.effects.push(Effect::Hurry);
        }
    }

    fn is_connected(&self) -> bool {
        self.state.link() == Link::Connected
    }
}
