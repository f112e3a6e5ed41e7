//! What a session does next, decided without I/O: what happened and when go in, what to do comes out. The state
//! that is shown to clients is kept beside it, in [`State`].

use std::time::Duration;

use device_proto::ResourceUrn;
use device_proto::approval::ApprovalId;
use device_proto::ask::{Ask, Decision, Reply};
use ipc_proto::{ErrorCode, Event, Failure, Link};
use tokio::time::Instant;

use super::decisions::{self, Decisions};
use super::flight::{Flights, Sent, WaiterId};
use super::renewals::{Renewal, Renewals};
use super::state::{Phase, SessionEvent, State};
use super::{over, slow};
use crate::oauth_error;
use crate::sync::Lost;

/// Time for the server to confirm that the session ended (D-052).
pub(super) const END_DEADLINE: Duration = Duration::from_secs(5);

/// Time for the first link to stand. Without a link the daemon would not hear of the login when the person has done it.
const FIRST_LINK: Duration = Duration::from_secs(10);

/// How long after the page has expired the server may still say so itself.
const EXPIRY_GRACE: Duration = Duration::from_secs(5);

/// The id of the ask that ends the session. The others are numbers.
const END_ID: &str = "end";

/// The close code of a WebSocket whose session was ended as asked.
const CLOSE_NORMAL: u16 = 1000;

/// The pause after something that did not fit, or for which the server had no time.
const NOT_NOW: Duration = Duration::from_millis(250);

/// The longest time that is counted ahead: a server may claim any end for a token.
pub(super) const HORIZON: Duration = Duration::from_secs(366 * 24 * 3600);

/// The time by both clocks, and a random number.
#[derive(Clone, Copy)]
pub(super) struct Now {
    pub(super) instant: Instant,
    /// Unix seconds.
    pub(super) unix: u64,
    /// Uniform in 0..1.
    pub(super) chance: f64,
}

/// What happened to a session.
pub(super) enum Input {
    /// What changes the [`State`] alone.
    Happened(SessionEvent),
    /// The link is gone.
    Lost(Lost),
    /// A token was stored.
    Token {
        resource: ResourceUrn,
        /// Unix seconds.
        expires_at: u64,
    },
    /// A client used a token for the first time, so it is to be renewed.
    Used(ResourceUrn, Renewal),
    /// The server answered an ask.
    Replied(Reply),
    /// The ask with this id could not be sent: too many are under way.
    NotSent(String),
    /// A token is wanted.
    Fetch {
        resource: ResourceUrn,
        /// When it must not have ended yet, Unix seconds.
        until: u64,
        /// Without a client that waits, the token is for later.
        waiter: Option<WaiterId>,
    },
    /// The person decided about a request.
    Decide {
        request: ApprovalId,
        decision: Decision,
        waiter: WaiterId,
    },
    /// A client wants the session ended, here and on the server.
    End,
    /// Another login has taken its place.
    Retire,
    /// No client waits for this login any more.
    Abandoned,
    /// The time that [`Course::next_due`] said has come.
    Tick,
}

/// What to do about it, in this order.
pub(super) enum Effect {
    Tell(Event),
    Send(Ask),
    /// Have the link come back at once.
    Hurry,
    Answer(WaiterId, Result<(), Failure>),
    /// No token may be handed out any more.
    ClearTokens,
    /// Put the login into the keychain.
    Keep,
    /// Take it out.
    Forget,
    /// Take out whatever any keychain keeps of its profile: the person logs out.
    ForgetProfile,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The server knows, or never knew the session.
    Confirmed,
    /// The server did not answer, or refused.
    Unconfirmed,
}

/// Whether a login goes to a keychain.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    /// Never: it lives only as long as a client follows it.
    OneShot,
    /// When its first token comes.
    AtFirstToken,
    /// That is decided already.
    Settled,
}

/// The course of one session.
pub(super) struct Course {
    stage: Stage,
    flights: Flights,
    decisions: Decisions,
    renewals: Renewals,
    patience: Option<Patience>,
    keeping: Keeping,
}

enum Stage {
    /// It goes on, also when it has failed: a client has yet to read why.
    Lives,
    /// The server has yet to confirm its end.
    Ending {
        due: Instant,
        sent: Sent,
    },
    Over(End),
}

/// How long a login waits for its person.
struct Patience {
    first_link: Instant,
    page: Instant,
}

impl Course {
    /// A login that a person has yet to do.
    pub(super) fn of_login(page_lasts: Duration, keeping: Keeping, now: Instant) -> Self {
        Self {
            patience: Some(Patience {
                first_link: now + FIRST_LINK,
                page: now + page_lasts + EXPIRY_GRACE,
            }),
            keeping,
            ..Self::resumed()
        }
    }

    /// A login that was done before this daemon was, kept or handed over.
    pub(super) fn resumed() -> Self {
        Self {
            stage: Stage::Lives,
            flights: Flights::default(),
            decisions: Decisions::default(),
            renewals: Renewals::default(),
            patience: None,
            keeping: Keeping::Settled,
        }
    }

    /// Takes in what happened at `now`; changes what is shown, and returns what to do.
    pub(super) fn handle(&mut self, input: Input, state: &mut State, now: Now) -> Vec<Effect> {
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
            Stage::Ending { due, sent } => sent.later_than(now.instant).or(Some(*due)),
            Stage::Lives | Stage::Over(_) => None,
        };
        let by_wall_clock = [self.renewals.next(), state.notice_at()]
            .into_iter()
            .flatten()
            .min();
        let wall = by_wall_clock
            .map(|at| now.instant + HORIZON.min(Duration::from_secs(at.saturating_sub(now.unix))));
        let asked = [self.flights.next_due(now.instant), self.decisions.next_due()];
        [ending, first_link, page, wall]
            .into_iter()
            .chain(asked)
            .flatten()
            .min()
    }

    /// Whether it lasts only as long as a client follows it.
    pub(super) fn lives_by_followers(&self, state: &State) -> bool {
        self.goes_on() && (self.keeping == Keeping::OneShot || is_pending(state))
    }

    /// Whether its end has not been asked for.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self.stage, Stage::Lives)
    }

    /// Returns how it ended, once nothing more happens to it.
    pub(super) fn end(&self) -> Option<End> {
        match self.stage {
            Stage::Over(end) => Some(end),
            Stage::Lives | Stage::Ending { .. } => None,
        }
    }
}

fn is_pending(state: &State) -> bool {
    *state.phase() == Phase::Pending
}

/// Whether the same ask may have another answer later (D-042): `temporarily_unavailable` and `slow_down`.
fn is_passing(failure: &Failure) -> bool {
    matches!(failure.code, ErrorCode::ServerUnreachable | ErrorCode::Busy)
}

fn is_ended(state: &State) -> bool {
    *state.phase() == Phase::Ended
}

/// The handling of one input.
struct Turn<'a> {
    course: &'a mut Course,
    state: &'a mut State,
    now: Now,
    effects: Vec<Effect>,
}

impl Turn<'_> {
    fn take(&mut self, input: Input) {
        match input {
            Input::Happened(event) => self.happened(event),
            Input::Lost(why) => self.lost(why),
            Input::Token { resource, expires_at } => self.token(&resource, expires_at),
            Input::Used(resource, renewal) => self.course.renewals.plan(resource, renewal),
            Input::Replied(reply) => self.replied(reply),
            Input::NotSent(id) => self.not_sent(&id),
            Input::Fetch {
                resource,
                until,
                waiter,
            } => self.fetch(resource, until, waiter),
            Input::Decide {
                request,
                decision,
                waiter,
            } => self.decide(request, decision, waiter),
            Input::End => self.end(),
            Input::Retire => self.retire(),
            Input::Abandoned => self.abandon(),
            Input::Tick => self.tick(),
        }
    }

    fn tell(&mut self, event: SessionEvent) {
        let told = self.state.handle(event, self.now.unix);
        self.effects.extend(told.map(Effect::Tell));
    }

    /// A session that the server has ended cannot be resumed, so its keychain forgets it.
    fn happened(&mut self, event: SessionEvent) {
        let was_ended = is_ended(self.state);
        self.tell(event);
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
        if self.course.keeping == Keeping::AtFirstToken {
            self.course.keeping = Keeping::Settled;
            self.effects.push(Effect::Keep);
        }
    }

    fn replied(&mut self, reply: Reply) {
        match reply {
            Reply::Ended { .. } => self.finish(End::Confirmed),
            Reply::TokenReady { id, .. } => self.answered(&id, &Ok(())),
            Reply::Decided { id } => self.decided(&id, &Ok(())),
            Reply::Error {
                id,
                error,
                error_description,
            } => match self.course.decisions.answered(&id) {
                Some(waiter) => {
                    let why = decisions::refused(&error, &error_description);
                    self.answer(vec![waiter], &Err(why));
                }
                None => self.refused(&id, oauth_error::failure(&error, &error_description)),
            },
        }
    }

    fn refused(&mut self, id: &str, failure: Failure) {
        match (id == END_ID, is_passing(&failure)) {
            (true, true) => self.end_not_now(),
            (true, false) => self.finish(End::Unconfirmed),
            (false, true) => self.put_off(id, failure),
            (false, false) => self.answered(id, &Err(failure)),
        }
    }

    fn put_off(&mut self, id: &str, why: Failure) {
        let Now { instant, chance, .. } = self.now;
        self.course.flights.put_off(id, why, instant, chance);
    }

    /// Puts the ask for the end off. Should it never be taken, the deadline ends the session.
    fn end_not_now(&mut self) {
        if let Stage::Ending { sent, .. } = &mut self.course.stage {
            *sent = Sent::Not(self.now.instant + NOT_NOW);
        }
    }

    fn not_sent(&mut self, id: &str) {
        if id == END_ID {
            return self.end_not_now();
        }
        let busy = Failure::new(ErrorCode::Busy, "too much is asked for at once");
        self.decided(id, &Err(busy.clone()));
        self.put_off(id, busy);
    }

    fn decided(&mut self, id: &str, with: &Result<(), Failure>) {
        let waiter = self.course.decisions.answered(id);
        self.answer(waiter.into_iter().collect(), with);
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

    fn answer(&mut self, waiters: Vec<WaiterId>, with: &Result<(), Failure>) {
        let answers = waiters
            .into_iter()
            .map(|waiter| Effect::Answer(waiter, with.clone()));
        self.effects.extend(answers);
    }

    fn fail_asks(&mut self, failure: Failure) {
        let mut waiters = self.course.flights.all();
        waiters.extend(self.course.decisions.all());
        self.answer(waiters, &Err(failure));
    }

    /// A link that stood comes back soon, so its waiters wait on. That none could be made is an answer to them.
    fn lost(&mut self, why: Lost) {
        let stood = self.is_connected();
        self.tell(SessionEvent::Lost(why));
        self.course.flights.connection_lost(self.now.instant);
        let unsure = self.course.decisions.connection_lost();
        self.answer(unsure, &Err(decisions::unconfirmed(ErrorCode::ServerUnreachable)));
        if let Stage::Ending { sent, .. } = &mut self.course.stage {
            *sent = Sent::Not(self.now.instant);
            if why.is_final() || stood && why == Lost::Closed(Some(CLOSE_NORMAL)) {
                return self.finish(End::Confirmed);
            }
            if !stood {
                return self.finish(End::Unconfirmed);
            }
        }
        // After a final loss the waiters hear the state's own failure, in `follow_up`.
        if !stood && !why.is_final() {
            self.fail_asks(self.state.unreachable());
        }
    }

    fn fetch(&mut self, resource: ResourceUrn, until: u64, waiter: Option<WaiterId>) {
        let is_urgent = waiter.is_some();
        self.course
            .flights
            .join(resource, until, waiter, self.now.instant);
        if is_urgent {
            self.hurry();
        }
    }

    fn decide(&mut self, request: ApprovalId, decision: Decision, waiter: WaiterId) {
        self.course
            .decisions
            .add(request, decision, waiter, self.now.instant);
        self.hurry();
    }

    fn end(&mut self) {
        if self.course.goes_on() {
            self.effects.push(Effect::ForgetProfile);
        }
        self.end_at_server();
    }

    /// Here the session ends when the server has confirmed its end, or has been too slow.
    fn end_at_server(&mut self) {
        if self.course.goes_on() {
            self.course.stage = Stage::Ending {
                due: self.now.instant + END_DEADLINE,
                sent: Sent::Not(self.now.instant),
            };
            self.hurry();
        }
        if self.state.is_denied() {
            self.finish(End::Confirmed);
        }
    }

    /// The server is told, so that no person signs in to a page whose client has left.
    fn abandon(&mut self) {
        if is_pending(self.state) {
            // From here on a new login may take its place.
            self.tell(SessionEvent::Ended);
        }
        self.end_at_server();
    }

    fn retire(&mut self) {
        if self.state.is_over() {
            return self.finish(End::Confirmed);
        }
        self.end_at_server();
    }

    fn finish(&mut self, end: End) {
        if self.course.end().is_none() {
            self.course.stage = Stage::Over(end);
        }
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
        let undecided = self.course.decisions.overdue(instant);
        self.answer(undecided, &Err(decisions::unconfirmed(ErrorCode::Timeout)));
        if matches!(self.course.stage, Stage::Ending { due, .. } if due <= instant) {
            return self.finish(End::Unconfirmed);
        }
        if let Some(Patience { first_link, page }) = self.course.patience {
            if first_link <= instant {
                self.tell(SessionEvent::Unlinked);
            }
            if page <= instant {
                self.tell(SessionEvent::Expired);
            }
        }
        for (resource, until) in self.course.renewals.due(unix, chance) {
            self.fetch(resource, until, None);
        }
        self.tell(SessionEvent::Clock);
    }

    /// Does what follows from the state, whatever the input was.
    fn follow_up(&mut self) {
        if self.state.is_gone() && self.course.goes_on() {
            self.finish(End::Confirmed);
        }
        if !self.state.keeps_tokens() {
            self.effects.push(Effect::ClearTokens);
        }
        match self.state.phase() {
            Phase::Failed(failure) => self.fail_asks(failure.clone()),
            Phase::Ended => self.fail_asks(over()),
            Phase::Pending | Phase::Active => {}
        }
        if self.is_connected() {
            self.send();
        }
    }

    fn send(&mut self) {
        let asks = self.course.flights.unsent(self.now.instant, self.now.unix);
        let decisions = self.course.decisions.unsent();
        self.effects
            .extend(asks.into_iter().chain(decisions).map(Effect::Send));
        if let Stage::Ending { sent, .. } = &mut self.course.stage
            && sent.take_turn(self.now.instant)
        {
            self.effects.push(Effect::Send(Ask::End { id: END_ID.into() }));
        }
    }

    /// Has the link come back at once, for a client that has just begun to wait. Earlier waiters wait out the pause too:
    /// a server that falls over each time it is asked would get no rest otherwise.
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
    use device_proto::device::Disconnect;
    use device_proto::session::{Status, View};
    use ipc_proto::{KeychainKind, ProfileName};

    use super::*;
    use crate::session::state::Page;

    const RESOURCE: &str = "urn:d:x";
    const DENIED: Lost = Lost::Disconnected(Disconnect::Denied);

    /// One course with its clock; waiters have names.
    struct Case {
        course: Course,
        /// Each waiter's id is its place.
        waiters: Vec<&'static str>,
        state: State,
        began: Instant,
        /// Seconds since it began, and since 1970.
        time: u64,
    }

    impl Case {
        fn login() -> Self {
            let began = Instant::now();
            let mut case = Self {
                course: Course::of_login(Duration::from_secs(600), Keeping::AtFirstToken, began),
                waiters: Vec::new(),
                state: State::new(ProfileName::default()),
                began,
                time: 0,
            };
            case.happens(SessionEvent::Authorized(Page {
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
            case.happens(SessionEvent::Resumed(Some(KeychainKind::Kernel)));
            case.happens(SessionEvent::Connected);
            case
        }

        fn now(&self) -> Now {
            Now {
                instant: self.began + Duration::from_secs(self.time),
                unix: self.time,
                chance: 1.0,
            }
        }

        fn takes(&mut self, input: Input) -> Vec<String> {
            let now = self.now();
            let effects = self.course.handle(input, &mut self.state, now);
            effects.into_iter().map(|effect| self.spell(effect)).collect()
        }

        fn happens(&mut self, event: SessionEvent) -> Vec<String> {
            self.takes(Input::Happened(event))
        }

        fn fetch(&mut self, waiter: &'static str) -> Vec<String> {
            let id = WaiterId(self.waiters.len() as u64);
            self.waiters.push(waiter);
            self.takes(Input::Fetch {
                resource: urn(),
                until: self.time + 60,
                waiter: Some(id),
            })
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

        fn spell(&self, effect: Effect) -> String {
            let name = |WaiterId(id): WaiterId| self.waiters[usize::try_from(id).unwrap()];
            match effect {
                Effect::Tell(Event::Session { state, .. }) => format!("tell {state:?}"),
                Effect::Tell(_) => "tell".into(),
                Effect::Send(ask) => format!("send {}", ask.id()),
                Effect::Hurry => "hurry".into(),
                Effect::Answer(waiter, Ok(())) => format!("answer {}", name(waiter)),
                Effect::Answer(waiter, Err(failure)) => {
                    format!("fail {}: {}", name(waiter), failure.code.word())
                }
                Effect::ClearTokens => "clear".into(),
                Effect::Keep => "keep".into(),
                Effect::Forget => "forget".into(),
                Effect::ForgetProfile => "forget profile".into(),
            }
        }
    }

    fn urn() -> ResourceUrn {
        RESOURCE.parse().unwrap()
    }

    fn token(expires_at: u64) -> Input {
        Input::Token {
            resource: urn(),
            expires_at,
        }
    }

    fn used(at: u64, expires_at: u64) -> Input {
        Input::Used(urn(), Renewal { at, expires_at })
    }

    fn refused(id: &str, error: &str) -> Input {
        Input::Replied(Reply::Error {
            id: id.into(),
            error: error.into(),
            error_description: String::new(),
        })
    }

    #[test]
    fn d_052_a_login_is_kept_after_its_first_token_and_once() {
        let mut case = Case::login();
        assert_eq!(case.happens(SessionEvent::Connected), ["tell"]);
        assert_eq!(case.takes(token(300)), ["keep"]);
        assert_eq!(case.takes(token(600)), [""; 0]);
        assert_eq!(Case::active().takes(token(300)), [""; 0], "it is");
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
        assert_eq!(case.takes(token(30)), [""; 0], "ends too soon");
        assert_eq!(case.takes(token(61)), ["answer three"]);
    }

    fn decide(case: &mut Case, waiter: &'static str) -> Vec<String> {
        let id = WaiterId(case.waiters.len() as u64);
        case.waiters.push(waiter);
        case.takes(Input::Decide {
            request: ApprovalId::of_hash(&[7; 32]),
            decision: Decision::Approve,
            waiter: id,
        })
    }

    fn decided(n: u8) -> Input {
        Input::Replied(Reply::Decided {
            id: format!("decision-{n}"),
        })
    }

    #[test]
    fn d_065_a_decision_is_answered_by_its_reply() {
        let mut case = Case::active();
        assert_eq!(decide(&mut case, "one"), ["send decision-1"]);
        assert_eq!(case.takes(decided(1)), ["answer one"]);
        assert_eq!(case.takes(decided(1)), [""; 0], "once");
        decide(&mut case, "two");
        let over = case.takes(refused("decision-2", "invalid_request"));
        assert_eq!(over, ["fail two: request_over"]);
        decide(&mut case, "three");
        let busy = case.takes(Input::NotSent("decision-3".into()));
        assert_eq!(busy, ["fail three: busy"]);
    }

    #[test]
    fn d_065_a_decision_waits_for_the_link_and_is_never_sent_twice() {
        let mut case = Case::active();
        case.takes(Input::Lost(Lost::Broken));
        assert_eq!(decide(&mut case, "one"), ["hurry"]);
        assert_eq!(case.happens(SessionEvent::Connected), ["tell", "send decision-1"]);
        let lost = case.takes(Input::Lost(Lost::Broken));
        assert_eq!(lost, ["tell", "fail one: server_unreachable"]);
        assert_eq!(case.happens(SessionEvent::Connected), ["tell"], "not again");
        decide(&mut case, "two");
        assert_eq!(case.next_due(), Some(20));
        assert_eq!(case.tick_at(20), ["fail two: timeout"]);
        case.takes(Input::Lost(Lost::Broken));
        decide(&mut case, "three");
        let denied = case.takes(Input::Lost(DENIED));
        assert_eq!(denied, ["tell Failed", "clear", "fail three: login_required"]);
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
        case.takes(token(300));
        assert_eq!(case.next_due(), None, "nobody used it");
        case.takes(used(240, 300));
        assert_eq!(case.next_due(), Some(240));
        assert_eq!(case.tick_at(240), ["send 1"]);
        case.takes(token(600));
        assert_eq!(case.next_due(), None, "the new one has its own use");
    }

    #[test]
    fn d_050_a_link_that_stood_is_waited_for_and_one_that_never_stood_is_an_answer() {
        let mut case = Case::active();
        case.fetch("one");
        assert_eq!(case.takes(Input::Lost(Lost::Broken)), ["tell"], "no hurry");
        assert_eq!(case.happens(SessionEvent::Connected), ["tell", "send 1"], "again");
        case.takes(Input::Lost(Lost::Broken));
        let gave_up = case.takes(Input::Lost(Lost::Slow));
        assert_eq!(gave_up, ["fail one: server_unreachable"]);
    }

    #[test]
    fn what_does_not_fit_is_sent_later_and_never_at_once() {
        let mut case = Case::active();
        assert_eq!(case.fetch("one"), ["send 1"]);
        assert_eq!(case.takes(Input::NotSent("1".into())), [""; 0]);
        assert_eq!(case.tick_at(1), ["send 1"]);
        assert_eq!(case.takes(Input::End), ["forget profile", "send end"]);
        assert_eq!(case.takes(Input::NotSent(END_ID.into())), [""; 0]);
        assert_eq!(case.tick_at(2), ["send end"]);
        assert_eq!(case.takes(refused(END_ID, "slow_down")), [""; 0]);
        assert_eq!(case.tick_at(3), ["send end"]);
        assert_eq!(case.takes(refused(END_ID, "server_error")), [""; 0]);
        assert_eq!(case.course.end(), Some(End::Unconfirmed));
    }

    #[test]
    fn d_043_a_renewal_that_is_refused_for_good_is_not_tried_again_and_none_hurries_a_server() {
        let mut case = Case::active();
        case.takes(used(240, 300));
        case.tick_at(240);
        case.takes(refused("1", "invalid_target"));
        assert_eq!(case.next_due(), None);
        case.takes(used(250, 300));
        case.takes(Input::Lost(Lost::Broken));
        assert_eq!(case.tick_at(250), [""; 0], "nobody waits");
    }

    #[test]
    fn d_035_a_token_that_ends_at_the_end_of_time_is_a_token() {
        let mut case = Case::active();
        case.takes(used(u64::MAX - 1, u64::MAX));
        assert_eq!(case.next_due(), Some(HORIZON.as_secs()));
        case.happens(SessionEvent::Updated(View {
            expires_at: Some(u64::MAX),
            ..View::default()
        }));
        assert_eq!(case.tick_at(HORIZON.as_secs()), [""; 0]);
    }

    #[test]
    fn d_044_an_end_is_asked_for_forgotten_here_and_confirmed() {
        let mut case = Case::active();
        assert_eq!(case.takes(Input::End), ["forget profile", "send end"]);
        assert_eq!(case.takes(Input::End), [""; 0]);
        case.takes(Input::Replied(Reply::Ended { id: END_ID.into() }));
        assert_eq!(case.course.end(), Some(End::Confirmed));
    }

    #[test]
    fn d_052_an_end_that_nobody_confirms_is_one_all_the_same() {
        let mut case = Case::active();
        case.takes(Input::Lost(Lost::Broken));
        assert_eq!(case.takes(Input::End), ["forget profile", "hurry"]);
        case.tick_at(END_DEADLINE.as_secs());
        assert_eq!(case.course.end(), Some(End::Unconfirmed));

        let mut case = Case::active();
        case.takes(Input::Lost(DENIED));
        case.takes(Input::End);
        assert_eq!(
            case.course.end(),
            Some(End::Confirmed),
            "the server knows nothing of it"
        );
    }

    #[test]
    fn what_the_server_ended_is_forgotten_and_what_it_does_not_know_is_not() {
        let mut case = Case::active();
        let ended = View {
            status: Status::Ended,
            ..View::default()
        };
        assert_eq!(
            case.happens(SessionEvent::Updated(ended)),
            ["tell Ended", "forget", "clear"]
        );
        let mut case = Case::active();
        assert_eq!(case.takes(Input::Lost(DENIED)), ["tell Failed", "clear"]);
        assert!(case.course.end().is_none(), "somebody has to read why");
    }

    #[test]
    fn d_044_a_denial_confirms_an_end_and_is_the_answer_to_every_waiter() {
        let mut case = Case::active();
        case.takes(Input::End);
        case.takes(Input::Lost(DENIED));
        assert_eq!(case.course.end(), Some(End::Confirmed));

        let mut case = Case::active();
        case.takes(Input::Lost(Lost::Broken));
        case.fetch("one");
        assert_eq!(
            case.takes(Input::Lost(DENIED)),
            ["tell Failed", "clear", "fail one: login_required"]
        );
    }

    #[test]
    fn a_pending_login_ends_with_its_followers_its_page_or_its_link() {
        let mut case = Case::login();
        assert!(case.course.lives_by_followers(&case.state));
        assert_eq!(case.takes(Input::Abandoned), ["tell Ended", "hurry", "clear"]);

        let mut case = Case::login();
        assert_eq!(case.next_due(), Some(FIRST_LINK.as_secs()));
        case.happens(SessionEvent::Connected);
        assert_eq!(case.next_due(), Some(600 + EXPIRY_GRACE.as_secs()));
        assert_eq!(case.tick_at(605), ["tell Failed"]);
        assert!(case.course.end().is_some());
    }

    #[test]
    fn a_login_that_is_replaced_is_not_forgotten_in_its_place() {
        let mut case = Case::active();
        case.takes(Input::Lost(DENIED));
        assert_eq!(case.takes(Input::Retire), ["clear"]);
        assert!(case.course.end().is_some());
        assert_eq!(
            Case::active().takes(Input::Retire),
            ["send end"],
            "the keychain has the new one"
        );
    }
}
