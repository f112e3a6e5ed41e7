//! How far a session is, decided without I/O: events go in, the new state and what to tell clients come out. This is also
//! what the daemon shows of a session; nothing secret is in it.

use device_proto::session::{Status, View};
use ipc_proto::{ErrorCode, Event, Failure, Kept, KeychainKind, Link, ProfileName, SessionState};

use crate::oauth_error;
use crate::printable::printable;
use crate::sync::Lost;

/// Characters of a person's name that are shown.
const MAX_SUBJECT: usize = 200;

/// Seconds before a login's known end at which the person is told.
const NOTICE: u64 = 15 * 60;

/// A notice comes in the last quarter of what is left, at the earliest: not at once for a login of ten minutes.
const NOTICE_PART: u64 = 4;

/// How far a session is.
pub(crate) struct State {
    profile: ProfileName,
    phase: Phase,
    link: Link,
    /// Why the link is down.
    trouble: Option<Lost>,
    page: Option<Page>,
    subject: Option<String>,
    kept: Option<Kept>,
    ends: Option<Ends>,
    was_connected: bool,
    was_active: bool,
}

/// What a person can do with a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Log in.
    Pending,
    /// Get tokens.
    Active,
    /// Nothing more.
    Failed(Failure),
    /// Nothing more: it was ended in good order.
    Ended,
}

/// The page where the person logs in.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) url: String,
    pub(crate) user_code: String,
    /// Unix seconds.
    pub(crate) expires_at: u64,
}

/// A login's known end, Unix seconds.
struct Ends {
    at: u64,
    notice_at: u64,
    is_told: bool,
}

/// What happened to a session.
pub(crate) enum SessionEvent {
    /// A person logged in before this daemon ran. The login is in this keychain, unless it could not be kept so far.
    Resumed(Option<KeychainKind>),
    /// The keychain has taken it, or has refused.
    Kept(Kept),
    /// Time has passed.
    Clock,
    /// The server began the login.
    Authorized(Page),
    /// It could not be begun.
    Refused(Failure),
    /// The page has expired, and the server has not said so.
    Expired,
    /// The link is being made.
    Connecting,
    /// The link stands: the proof was accepted and the doc is here.
    Connected,
    /// The link is gone.
    Lost(Lost),
    /// The first link has not been made in time.
    Unlinked,
    /// The doc says something new of the session.
    Updated(View),
    /// It was ended by this daemon.
    Ended,
}

impl State {
    pub(crate) fn new(profile: ProfileName) -> Self {
        Self {
            profile,
            phase: Phase::Pending,
            link: Link::Connecting,
            trouble: None,
            page: None,
            subject: None,
            kept: None,
            ends: None,
            was_connected: false,
            was_active: false,
        }
    }

    pub(crate) fn phase(&self) -> &Phase {
        &self.phase
    }

    pub(crate) fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    pub(crate) fn link(&self) -> Link {
        self.link
    }

    pub(crate) fn kept(&self) -> Option<&Kept> {
        self.kept.as_ref()
    }

    /// Returns when the login ends, Unix seconds, if the server knows.
    pub(crate) fn expires_at(&self) -> Option<u64> {
        self.ends.as_ref().map(|ends| ends.at)
    }

    /// Returns when [`SessionEvent::Clock`] is wanted, Unix seconds.
    pub(crate) fn notice_at(&self) -> Option<u64> {
        let ends = self.ends.as_ref().filter(|ends| !ends.is_told)?;
        (self.phase == Phase::Active).then_some(ends.notice_at)
    }

    /// Whether a person has logged in.
    pub(crate) fn was_active(&self) -> bool {
        self.was_active
    }

    /// Whether its end is near.
    pub(crate) fn ends_soon(&self, now: u64) -> bool {
        self.ends.as_ref().is_some_and(|ends| ends.notice_at <= now)
    }

    /// Returns the event that leads a person to the page, once there is one.
    pub(crate) fn authorize(&self) -> Option<Event> {
        let page = self.page.clone()?;
        Some(Event::Authorize {
            profile: self.profile.clone(),
            url: page.url,
            user_code: page.user_code,
            expires_at: page.expires_at,
        })
    }

    /// Returns the event that says how the link is.
    pub(crate) fn linked(&self) -> Event {
        let profile = self.profile.clone();
        match self.link {
            Link::Connected => Event::Connected { profile },
            Link::Connecting | Link::Offline => Event::Disconnected { profile },
        }
    }

    /// Returns the phase as it is told to clients, and why it failed or why the link is down.
    pub(crate) fn shown(&self) -> (SessionState, Option<Failure>) {
        match &self.phase {
            Phase::Pending => (SessionState::Pending, self.trouble()),
            Phase::Active => (SessionState::Active, self.trouble()),
            Phase::Failed(failure) => (SessionState::Failed, Some(failure.clone())),
            Phase::Ended => (SessionState::Ended, None),
        }
    }

    /// Returns why the server cannot be asked.
    pub(crate) fn unreachable(&self) -> Failure {
        self.trouble()
            .unwrap_or_else(|| Failure::new(ErrorCode::ServerUnreachable, "the server cannot be reached"))
    }

    fn trouble(&self) -> Option<Failure> {
        let trouble = self.trouble?;
        Some(Failure::new(ErrorCode::ServerUnreachable, trouble.to_string()))
    }

    /// Takes in what happened at `now` (Unix seconds). Returns what to tell the clients that watch.
    pub(crate) fn handle(&mut self, event: SessionEvent, now: u64) -> Option<Event> {
        match event {
            SessionEvent::Resumed(keychain) => {
                self.kept = keychain.map(|keychain| Kept {
                    keychain,
                    problem: None,
                });
                self.turn(Phase::Active)
            }
            SessionEvent::Kept(kept) => {
                self.kept = Some(kept);
                None
            }
            SessionEvent::Clock => self.notice(now),
            SessionEvent::Authorized(page) => {
                self.page = Some(page);
                self.authorize()
            }
            SessionEvent::Refused(failure) => self.turn(Phase::Failed(failure)),
            SessionEvent::Expired => self.expire(),
            SessionEvent::Connecting => self.relink(Link::Connecting),
            SessionEvent::Connected => {
                self.trouble = None;
                self.was_connected = true;
                self.relink(Link::Connected)
            }
            SessionEvent::Lost(why) => self.lost(why, now),
            SessionEvent::Unlinked => self.unlinked(),
            SessionEvent::Updated(view) => self.update(view, now),
            SessionEvent::Ended => self.turn(Phase::Ended),
        }
    }

    /// Whether its tokens may still be handed out. When the provider does not renew a login, the tokens it has are good
    /// until they end (D-051). Those of a session that was ended, refused, or is unknown to the server count as revoked.
    pub(crate) fn keeps_tokens(&self) -> bool {
        match &self.phase {
            Phase::Pending | Phase::Active => true,
            Phase::Failed(failure) => !self.is_denied() && failure.code != ErrorCode::LoginDenied,
            Phase::Ended => false,
        }
    }

    /// Whether the server does not know it.
    pub(crate) fn is_denied(&self) -> bool {
        self.trouble.is_some_and(Lost::is_final)
    }

    /// Whether it is over before it ever was a login: then there is nothing to show of it.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_over() && !self.was_active
    }

    /// Whether its phase is final.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Failed(_) | Phase::Ended)
    }

    /// Whether the login is pending and no link has stood yet: the daemon would not hear of it when it is done.
    pub(crate) fn waits_for_first_link(&self) -> bool {
        self.phase == Phase::Pending && !self.was_connected
    }

    fn lost(&mut self, why: Lost, now: u64) -> Option<Event> {
        self.trouble = Some(why);
        if why.is_final() {
            return self.denied(now);
        }
        let told = self.relink(Link::Offline);
        // A link that never stood is not told of as lost, so there is at most one event.
        let failed = why.needs_a_person().then(|| self.unlinked()).flatten();
        failed.or(told)
    }

    fn unlinked(&mut self) -> Option<Event> {
        if !self.waits_for_first_link() {
            return None;
        }
        self.turn(Phase::Failed(self.unreachable()))
    }

    fn relink(&mut self, link: Link) -> Option<Event> {
        let (was, is) = (self.link, link);
        self.link = link;
        let told = (was == Link::Connected) != (is == Link::Connected);
        told.then(|| self.linked())
    }

    fn turn(&mut self, phase: Phase) -> Option<Event> {
        if self.is_over() || self.phase == phase {
            return None;
        }
        self.phase = phase;
        self.was_active |= self.phase == Phase::Active;
        let (state, error) = self.shown();
        Some(Event::Session {
            profile: self.profile.clone(),
            state,
            error: error.filter(|_| state == SessionState::Failed),
        })
    }

    fn expire(&mut self) -> Option<Event> {
        match self.phase {
            Phase::Pending => self.turn(Phase::Failed(oauth_error::failure("expired_token", ""))),
            _ => None,
        }
    }

    /// A server denies a login whose page has expired in the same words as one that never was.
    fn denied(&mut self, now: u64) -> Option<Event> {
        self.link = Link::Offline;
        let expired = self.page.as_ref().is_some_and(|page| page.expires_at <= now);
        if self.phase == Phase::Pending && expired {
            return self.expire();
        }
        self.turn(Phase::Failed(Failure::new(
            ErrorCode::LoginRequired,
            "the server does not know this login any more",
        )))
    }

    /// What the doc does not say stays as it was said last: it may be a new incarnation that knows less.
    fn update(&mut self, view: View, now: u64) -> Option<Event> {
        if let Some(subject) = view.subject {
            let shown = printable(&subject, MAX_SUBJECT);
            self.subject = (!shown.is_empty()).then_some(shown);
        }
        if let Some(at) = view.expires_at {
            self.ends(at, now);
        }
        match view.status {
            Status::Pending => None,
            Status::Active => self.turn(Phase::Active),
            Status::Failed { error, description } => {
                self.turn(Phase::Failed(oauth_error::failure(&error, &description)))
            }
            Status::Ended => self.turn(Phase::Ended),
        }
    }

    /// A new connection brings the same end again: the notice given stays given.
    fn ends(&mut self, at: u64, now: u64) {
        if self.expires_at() != Some(at) {
            self.ends = Some(Ends::new(at, now));
        }
    }

    fn notice(&mut self, now: u64) -> Option<Event> {
        self.notice_at().filter(|at| *at <= now)?;
        let ends = self.ends.as_mut()?;
        ends.is_told = true;
        Some(Event::Expiring {
            profile: self.profile.clone(),
            expires_at: ends.at,
        })
    }
}

impl Ends {
    fn new(at: u64, now: u64) -> Self {
        let notice = NOTICE.min(at.saturating_sub(now) / NOTICE_PART);
        Self {
            at,
            notice_at: at - notice,
            is_told: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use device_proto::device::Disconnect;

    use super::*;

    const DENIED: SessionEvent = SessionEvent::Lost(Lost::Disconnected(Disconnect::Denied));

    fn pending() -> State {
        let mut state = State::new(ProfileName::default());
        let page = Page {
            url: "https://c/login/1".into(),
            user_code: "ABCD-EFGH".into(),
            expires_at: 1_000,
        };
        assert!(matches!(
            state.handle(SessionEvent::Authorized(page), 400),
            Some(Event::Authorize {
                expires_at: 1_000,
                ..
            })
        ));
        state
    }

    fn update(state: &mut State, entries: &[(&str, &str)]) -> Option<Event> {
        let view = View::read(|wanted| {
            let found = entries.iter().find(|(key, _)| *key == wanted);
            found.map(|(_, value)| (*value).to_owned())
        });
        state.handle(SessionEvent::Updated(view), 500)
    }

    fn failed(state: &State) -> &Failure {
        match state.phase() {
            Phase::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_login_becomes_active_when_the_doc_says_so() {
        let mut state = pending();
        assert_eq!(update(&mut state, &[("status", "pending")]), None);
        let told = update(&mut state, &[("status", "active"), ("subject", "Ada\x1b[0m")]);
        assert!(matches!(
            told,
            Some(Event::Session {
                state: SessionState::Active,
                error: None,
                ..
            })
        ));
        assert_eq!(state.subject(), Some("Ada[0m"));
        assert_eq!(update(&mut state, &[("status", "active")]), None, "told once");
    }

    #[test]
    fn d_023_a_failure_has_its_reason_in_whatever_order_it_comes() {
        let said = [
            ("status", "failed"),
            ("error", "access_denied"),
            ("error_description", "You said\r\nno."),
        ];
        for turn in 0..said.len() {
            let mut entries = said;
            entries.rotate_left(turn);
            let mut state = pending();
            update(&mut state, &entries);
            assert_eq!(
                failed(&state),
                &Failure::new(ErrorCode::LoginDenied, "You saidno.")
            );
        }
    }

    #[test]
    fn d_005_a_denial_after_the_page_expired_is_a_timeout_and_before_it_is_not() {
        for (now, code) in [(999, ErrorCode::LoginRequired), (1_000, ErrorCode::Timeout)] {
            let mut state = pending();
            state.handle(DENIED, now);
            assert_eq!(failed(&state).code, code, "at {now}");
        }
        let mut state = pending();
        state.handle(SessionEvent::Expired, 1_005);
        assert_eq!(failed(&state).code, ErrorCode::Timeout);
    }

    #[test]
    fn a_denied_session_needs_a_new_login_however_old_its_page() {
        let mut state = pending();
        update(&mut state, &[("status", "active")]);
        assert_eq!(
            state.handle(SessionEvent::Expired, 1_005),
            None,
            "nobody needs the page any more"
        );
        state.handle(DENIED, 99_999);
        assert_eq!(failed(&state).code, ErrorCode::LoginRequired);
        assert_eq!(state.link(), Link::Offline);
    }

    #[test]
    fn a_login_that_cannot_be_heard_of_fails_and_says_why() {
        let certificate = Lost::Certificate("it has expired");
        let mut state = pending();
        state.handle(SessionEvent::Lost(certificate), 1);
        assert_eq!(failed(&state).code, ErrorCode::ServerUnreachable);
        assert_eq!(failed(&state).message, certificate.to_string());

        let mut state = pending();
        state.handle(SessionEvent::Lost(Lost::Refused(404)), 1);
        assert_eq!(state.phase(), &Phase::Pending, "it may be mended in time");
        state.handle(SessionEvent::Unlinked, 1);
        assert_eq!(failed(&state).message, Lost::Refused(404).to_string());
    }

    #[test]
    fn a_login_whose_link_once_stood_waits_for_it() {
        let mut state = pending();
        state.handle(SessionEvent::Connected, 1);
        assert!(matches!(
            state.handle(SessionEvent::Lost(Lost::NoTrust), 1),
            Some(Event::Disconnected { .. })
        ));
        assert_eq!(state.handle(SessionEvent::Unlinked, 1), None);
        assert_eq!(state.phase(), &Phase::Pending);
    }

    #[test]
    fn only_the_link_that_stood_can_be_lost() {
        let mut state = pending();
        assert_eq!(state.handle(SessionEvent::Lost(Lost::Slow), 1), None);
        assert_eq!(
            state.shown().1.map(|failure| failure.code),
            Some(ErrorCode::ServerUnreachable)
        );
        assert_eq!(state.handle(SessionEvent::Connecting, 1), None);
        assert!(matches!(
            state.handle(SessionEvent::Connected, 1),
            Some(Event::Connected { .. })
        ));
        assert_eq!(state.shown().1, None, "the trouble is over");
        assert!(matches!(
            state.handle(SessionEvent::Lost(Lost::Broken), 1),
            Some(Event::Disconnected { .. })
        ));
    }

    #[test]
    fn a_known_end_is_told_once_and_in_time() {
        for (life, notice_at) in [(86_400, 86_400 - NOTICE), (400, 300)] {
            let mut state = pending();
            update(
                &mut state,
                &[("status", "active"), ("expires_at", &(500 + life).to_string())],
            );
            assert_eq!(state.notice_at(), Some(500 + notice_at));
            assert_eq!(state.handle(SessionEvent::Clock, 499 + notice_at), None);
            let told = state.handle(SessionEvent::Clock, 500 + notice_at);
            assert!(matches!(told, Some(Event::Expiring { expires_at, .. }) if expires_at == 500 + life));
            assert_eq!(state.notice_at(), None);
            assert_eq!(state.handle(SessionEvent::Clock, 900 + life), None, "once");
        }
        let mut state = pending();
        update(&mut state, &[("status", "active"), ("expires_at", "soon")]);
        assert_eq!(state.expires_at(), None, "no time");
    }

    #[test]
    fn d_053_a_resumed_login_is_active_before_its_link_stands() {
        let mut state = State::new(ProfileName::default());
        state.handle(SessionEvent::Resumed(Some(KeychainKind::Kernel)), 1);
        assert_eq!(state.phase(), &Phase::Active);
        assert_eq!(state.kept().map(|kept| kept.keychain), Some(KeychainKind::Kernel));
        state.handle(DENIED, 2);
        assert_eq!(failed(&state).code, ErrorCode::LoginRequired);
    }

    #[test]
    fn what_is_over_stays_over() {
        let mut state = pending();
        state.handle(SessionEvent::Ended, 1);
        assert_eq!(update(&mut state, &[("status", "active")]), None);
        assert_eq!(state.handle(DENIED, 1), None);
        assert_eq!(state.phase(), &Phase::Ended);
    }
}
