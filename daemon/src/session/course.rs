//! What a session does next, decided without I/O: what happened and when go in, what to do comes out. The state
//! that people see is beside it, in [`State`].

use std::time::Duration;

use device_proto::ResourceUrn;
use device_proto::ask::{Ask, Reply};
use ipc_proto::{ErrorCode, Event, Failure, Link};
use tokio::time::Instant;

use super::flight::{Flights, Sent};
use super::renewals::Renewals;
use super::state::{Happening, Phase, State};
use super::{over, slow};
use crate::sync::Lost;
use crate::oauth_error;

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

/// The pause after something that did not fit, or for which the server had no time.
const NOT_NOW: Duration = Duration::from_millis(250);

/// The longest time that is counted ahead. A server may say what it likes about the end of a token.
const HORIZON: Duration = Duration::from_secs(366 * 24 * 3600);

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
    /// Somebody wants a token that lasts beyond a time (Unix seconds). Without a waiter it is for later.
    Fetch(ResourceUrn, u64, Option<W>),
    /// Somebody wants it ended, here and on the server.
    End(E),
    /// Another login has taken its place.
    Retire,
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
        sent: Sent,
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

    /// A login that was done before this daemon was, kept or handed over.
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
        let ending = match &self.stage {
            Stage::Ending { due, sent, .. } => sent.later_than(now.instant).or(Some(*due)),
            Stage::Lives | Stage::Over(_) => None,
        };
        let by_wall_clock = [self.renewals.next(), state.notice_at()]
            .into_iter()
            .flatten()
            .min();
        let wall = by_wall_clock
            .map(|at| now.instant + HORIZON.min(Duration::from_secs(at.saturating_sub(now.unix))));
        [self.flights.next_due(now.instant), ending, first_link, page, wall]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether it lasts only as long as somebody follows it.
    pub(super) fn lives_by_followers(&self, state: &State, one_shot: bool) -> bool {
        matches!(self.stage, Stage::Lives) && (one_shot || is_pending(state))
    }

    /// Whether it was a login before it was a course.
    pub(super) fn is_resumed(&self) -> bool {
        self.patience.is_none()
    }

    /// Whether nobody has asked for its end.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self.stage, Stage::Lives)
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

/// Whether the same ask may have another answer later (D-042).
fn is_passing(error: &str) -> bool {
    matches!(error, "temporarily_unavailable" | "slow_down")
}

fn is_ended(state: &State) -> bool {
    *state.phase() == Phase::Ended
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
            Input::Happened(happening) => self.happened(happening),
            Input::Token(resource, expires_at) => self.token(&resource, expires_at),
            Input::Used(resource, at, expires_at) => self.course.renewals.plan(resource, at, expires_at),
            Input::Replied(reply) => self.replied(reply),
            Input::NotSent(id) => self.not_sent(&id),
            Input::Fetch(resource, until, waiter) => self.fetch(resource, until, waiter),
            Input::End(waiter) => self.end(Some(waiter)),
            Input::Retire => self.retire(),
            Input::Abandoned => self.abandon(),
            Input::Tick => self.tick(),
        }
    }

    fn tell(&mut self, happening: Happening) {
        let event = self.state.handle(happening, self.now.unix);
        self.effects.extend(event.map(Effect::Tell));
    }

    /// What the server has ended will never be resumed.
    fn happened(&mut self, happening: Happening) {
        let was_ended = is_ended(self.state);
        self.tell(happening);
        if is_ended(self.state) && !was_ended {
            self.effects.push(Effect::Forget);
        }
    }

    fn token(&mut self, resource: &ResourceUrn, expires_at: u64) {
        self.course.renewals.settled(resource);
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
            Reply::Error { error, .. } if is_end && is_passing(&error) => self.end_not_now(),
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
        let failure = oauth_error::failure(error, description);
        if is_passing(error) {
            return self.put_off(id, failure);
        }
        self.answered(id, &Err(failure));
    }

    fn put_off(&mut self, id: &str, why: Failure) {
        let Now { instant, chance, .. } = self.now;
        self.course.flights.put_off(id, why, instant, chance);
    }

    /// Should there never be time for it, the deadline ends the session.
    fn end_not_now(&mut self) {
        if let Stage::Ending { sent, .. } = &mut self.course.stage {
            *sent = Sent::Not(self.now.instant + NOT_NOW);
        }
    }

    fn not_sent(&mut self, id: &str) {
        if id == END_ID {
            return self.end_not_now();
        }
        let busy = Failure::new(ErrorCode::Busy, "too many tokens are asked for at once");
        self.put_off(id, busy);
    }

    fn answered(&mut self, id: &str, with: &Result<(), Failure>) {
        let Some((resource, waiters)) = self.course.flights.answered(id) else {
            return;
        };
        if with.is_err() {
            self.course.renewals.settled(&resource);
        }
        self.answer(waiters, with);
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
        if let Stage::Ending { sent, .. } = &mut self.course.stage {
            *sent = Sent::Not(self.now.instant);
            if why == Lost::Closed(Some(CLOSE_NORMAL)) || !stood {
                return self.finish(stood);
            }
        }
        if !stood {
            self.fail_flights(self.state.unreachable());
        }
    }

    fn denied(&mut self) {
        self.tell(Happening::Denied);
        if matches!(self.course.stage, Stage::Ending { .. }) {
            self.finish(true);
        }
    }

    fn fetch(&mut self, resource: ResourceUrn, until: u64, waiter: Option<W>) {
        let is_urgent = waiter.is_some();
        self.course
            .flights
            .join(resource, until, waiter, self.now.instant);
        if is_urgent {
            self.hurry();
        }
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
                    sent: Sent::Not(self.now.instant),
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

    fn retire(&mut self) {
        if self.state.is_over() {
            return self.finish(true);
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
        let Now {
            instant,
            unix,
            chance,
        } = self.now;
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
        for (resource, until) in self.course.renewals.due(unix, chance) {
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
        if let Stage::Ending { sent, .. } = &mut self.course.stage
            && sent.take_turn(self.now.instant)
        {
            self.effects.push(Effect::Send(Ask::End { id: END_ID.into() }));
        }
    }

    /// Has the link come back at once: somebody has begun to wait for it. Who waits already waits for the pause too, or
    /// a server that falls over each time it is asked would get no rest.
    fn hurry(&mut self) {
        if !self.is_connected() {
            self.effects.push(Effect::Hurry);
        }
    }

    fn is_connected(&self) -> bool {
        self.state.link() == Link::Connected
    }
}

#[cfg(test)]
mod tests {
    use device_proto::session::{Status, View};
    use ipc_proto::{KeychainKind, ProfileName};

    use super::*;
    use crate::session::state::Page;

    const RESOURCE: &str = "urn:d:x";

    /// One course with its clock; waiters are names.
    struct Case {
        course: Course<&'static str, &'static str>,
        state: State,
        began: Instant,
        /// Seconds since it began, and since 1970.
        time: u64,
    }

    impl Case {
        fn login() -> Self {
            let began = Instant::now();
            let mut case = Self {
                course: Course::of_login(Duration::from_secs(600), true, began),
                state: State::new(ProfileName::default()),
                began,
                time: 0,
            };
            case.happens(Happening::Authorized(Page {
                url: "https://c/login/1".into(),
                user_code: "ABCD-EFGH".into(),
                expires_at: 600,
            }));
            case
        }

        /// A login that is done, with its link up.
        fn active() -> Self {
            let mut case = Self::login();
            case.course = Course::resumed();
            case.happens(Happening::Resumed(Some(KeychainKind::Kernel)));
            case.happens(Happening::Connected);
            case
        }

        fn now(&self) -> Now {
            Now {
                instant: self.began + Duration::from_secs(self.time),
                unix: self.time,
                chance: 1.0,
            }
        }

        fn takes(&mut self, input: Input<&'static str, &'static str>) -> Vec<String> {
            let now = self.now();
            let effects = self.course.handle(input, &mut self.state, now);
            effects.into_iter().map(spell).collect()
        }

        fn happens(&mut self, happening: Happening) -> Vec<String> {
            self.takes(Input::Happened(happening))
        }

        fn fetch(&mut self, waiter: &'static str) -> Vec<String> {
            let until = self.time + 60;
            self.takes(Input::Fetch(urn(), until, Some(waiter)))
        }

        /// Returns when it wants to be called next, in seconds since it began.
        fn next_due(&self) -> Option<u64> {
            let due = self.course.next_due(&self.state, self.now())?;
            Some((due - self.began).as_secs())
        }

        fn tick_at(&mut self, time: u64) -> Vec<String> {
            self.time = time;
            self.takes(Input::Tick)
        }

        fn end(self) -> (bool, Vec<&'static str>) {
            assert!(self.course.is_over());
            let End { told, waiters } = self.course.into_end();
            (told, waiters)
        }
    }

    fn urn() -> ResourceUrn {
        RESOURCE.parse().unwrap()
    }

    fn spell(effect: Effect<&'static str>) -> String {
        match effect {
            Effect::Tell(Event::Session { state, .. }) => format!("tell {state:?}"),
            Effect::Tell(_) => "tell".into(),
            Effect::Send(ask) => format!("send {}", ask.id()),
            Effect::Hurry => "hurry".into(),
            Effect::Answer(who, Ok(())) => format!("answer {who}"),
            Effect::Answer(who, Err(failure)) => format!("fail {who}: {}", failure.code.word()),
            Effect::ClearTokens => "clear".into(),
            Effect::Keep => "keep".into(),
            Effect::Forget => "forget".into(),
        }
    }

    fn refused(id: &str, error: &str) -> Input<&'static str, &'static str> {
        Input::Replied(Reply::Error {
            id: id.into(),
            error: error.into(),
            error_description: String::new(),
        })
    }

    #[test]
    fn d_052_a_login_is_kept_after_its_first_token_and_once() {
        let mut case = Case::login();
        assert_eq!(case.happens(Happening::Connected), ["tell"]);
        assert_eq!(case.takes(Input::Token(urn(), 300)), ["keep"]);
        assert_eq!(case.takes(Input::Token(urn(), 600)), [""; 0]);
        assert_eq!(Case::active().takes(Input::Token(urn(), 300)), [""; 0], "it is");
    }

    #[test]
    fn d_040_who_asks_is_answered_by_the_reply_or_by_the_token_itself() {
        let mut case = Case::active();
        assert_eq!(case.fetch("one"), ["send 1"]);
        assert_eq!(case.fetch("two"), [""; 0], "it joins");
        let ready = Reply::TokenReady {
            id: "1".into(),
            resource: urn(),
        };
        assert_eq!(case.takes(Input::Replied(ready)), ["answer one", "answer two"]);
        case.fetch("three");
        assert_eq!(case.takes(Input::Token(urn(), 30)), [""; 0], "ends too soon");
        assert_eq!(case.takes(Input::Token(urn(), 61)), ["answer three"]);
    }

    #[test]
    fn d_042_a_passing_trouble_is_asked_again_and_told_only_at_the_deadline() {
        let mut case = Case::active();
        case.fetch("one");
        assert_eq!(case.takes(refused("1", "temporarily_unavailable")), [""; 0]);
        assert_eq!(case.tick_at(1), ["send 1"]);
        case.takes(refused("1", "temporarily_unavailable"));
        assert_eq!(case.tick_at(20), ["fail one: server_unreachable"]);
        case.fetch("two");
        assert_eq!(
            case.takes(refused("2", "invalid_target")),
            ["fail two: invalid_target"]
        );
    }

    #[test]
    fn d_043_a_used_token_is_asked_for_again_when_its_time_has_come() {
        let mut case = Case::active();
        case.takes(Input::Token(urn(), 300));
        assert_eq!(case.next_due(), None, "nobody used it");
        case.takes(Input::Used(urn(), 240, 300));
        assert_eq!(case.next_due(), Some(240));
        assert_eq!(case.tick_at(240), ["send 1"]);
        case.takes(Input::Token(urn(), 600));
        assert_eq!(case.next_due(), None, "the new one has its own use");
    }

    #[test]
    fn d_050_a_link_that_stood_is_waited_for_and_one_that_never_stood_is_an_answer() {
        let mut case = Case::active();
        case.fetch("one");
        assert_eq!(case.happens(Happening::Lost(Lost::Broken)), ["tell"], "no hurry");
        assert_eq!(case.happens(Happening::Connected), ["tell", "send 1"], "again");
        case.happens(Happening::Lost(Lost::Broken));
        let gave_up = case.happens(Happening::Lost(Lost::Slow));
        assert_eq!(gave_up, ["fail one: server_unreachable"]);
    }

    #[test]
    fn what_does_not_fit_is_sent_later_and_never_at_once() {
        let mut case = Case::active();
        assert_eq!(case.fetch("one"), ["send 1"]);
        assert_eq!(case.takes(Input::NotSent("1".into())), [""; 0]);
        assert_eq!(case.tick_at(1), ["send 1"]);
        assert_eq!(case.takes(Input::End("me")), ["forget", "send end"]);
        assert_eq!(case.takes(Input::NotSent(END_ID.into())), [""; 0]);
        assert_eq!(case.tick_at(2), ["send end"]);
        assert_eq!(case.takes(refused(END_ID, "slow_down")), [""; 0]);
        assert_eq!(case.tick_at(3), ["send end"]);
        assert_eq!(case.takes(refused(END_ID, "server_error")), [""; 0]);
        assert_eq!(case.end(), (false, vec!["me"]));
    }

    #[test]
    fn d_043_a_renewal_that_is_refused_for_good_is_not_tried_again_and_none_hurries_a_server() {
        let mut case = Case::active();
        case.takes(Input::Used(urn(), 240, 300));
        case.tick_at(240);
        case.takes(refused("1", "invalid_target"));
        assert_eq!(case.next_due(), None);
        case.takes(Input::Used(urn(), 250, 300));
        case.happens(Happening::Lost(Lost::Broken));
        assert_eq!(case.tick_at(250), [""; 0], "nobody waits");
    }

    #[test]
    fn d_035_a_token_that_ends_at_the_end_of_time_is_a_token() {
        let mut case = Case::active();
        case.takes(Input::Used(urn(), u64::MAX - 1, u64::MAX));
        assert_eq!(case.next_due(), Some(HORIZON.as_secs()));
        case.happens(Happening::Updated(View {
            expires_at: Some(u64::MAX),
            ..View::default()
        }));
        assert_eq!(case.tick_at(HORIZON.as_secs()), [""; 0]);
    }

    #[test]
    fn d_044_an_end_is_asked_for_forgotten_here_and_confirmed() {
        let mut case = Case::active();
        assert_eq!(case.takes(Input::End("me")), ["forget", "send end"]);
        assert_eq!(case.takes(Input::End("you")), [""; 0]);
        case.takes(Input::Replied(Reply::Ended { id: END_ID.into() }));
        assert_eq!(case.end(), (true, vec!["me", "you"]));
    }

    #[test]
    fn d_052_an_end_that_nobody_confirms_is_one_all_the_same() {
        let mut case = Case::active();
        case.happens(Happening::Lost(Lost::Broken));
        assert_eq!(case.takes(Input::End("me")), ["forget", "hurry"]);
        case.tick_at(END_DEADLINE.as_secs());
        assert_eq!(case.end(), (false, vec!["me"]));

        let mut case = Case::active();
        case.happens(Happening::Denied);
        case.takes(Input::End("me"));
        assert_eq!(case.end(), (true, vec!["me"]), "the server knows nothing of it");
    }

    #[test]
    fn what_the_server_ended_is_forgotten_and_what_it_does_not_know_is_not() {
        let mut case = Case::active();
        let ended = View {
            status: Status::Ended,
            ..View::default()
        };
        assert_eq!(
            case.happens(Happening::Updated(ended)),
            ["tell Ended", "forget", "clear"]
        );
        let mut case = Case::active();
        assert_eq!(case.happens(Happening::Denied), ["tell Failed", "clear"]);
        assert!(!case.course.is_over(), "somebody has to read why");
    }

    #[test]
    fn a_pending_login_ends_with_its_followers_its_page_or_its_link() {
        let mut case = Case::login();
        assert!(case.course.lives_by_followers(&case.state, false));
        assert_eq!(case.takes(Input::Abandoned), ["tell Ended", "hurry", "clear"]);

        let mut case = Case::login();
        assert_eq!(case.next_due(), Some(FIRST_LINK.as_secs()));
        case.happens(Happening::Connected);
        assert_eq!(case.next_due(), Some(600 + EXPIRY_GRACE.as_secs()));
        assert_eq!(case.tick_at(605), ["tell Failed"]);
        assert!(case.course.is_over());
    }

    #[test]
    fn a_login_that_is_replaced_is_not_forgotten_in_its_place() {
        let mut case = Case::active();
        case.happens(Happening::Denied);
        assert_eq!(case.takes(Input::Retire), ["clear"]);
        assert!(case.course.is_over());
        assert_eq!(
            Case::active().takes(Input::Retire),
            ["send end"],
            "the keychain has the new one"
        );
    }
}
