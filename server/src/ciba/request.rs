//! One backchannel authentication request and how it changes (C-420, C-421): decided without I/O and without a clock.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::config::Mode;
use crate::oauth::client::Client;

/// How long an ended request leaves a mark, seconds (C-266, C-423).
const REMEMBERED: u64 = 600;

/// A request. It holds secrets: there is no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The client's name for it, and the key to it.
    pub(crate) auth_req_id: String,
    pub(crate) client_id: String,
    /// Which client of that id ([`Client::is`]).
    #[serde(default)]
    pub(crate) incarnation: String,
    /// Who is asked; `None`: nobody, but the client is not to know (C-190).
    pub(crate) sub: Option<String>,
    pub(crate) mode: Mode,
    pub(crate) scope: Vec<String>,
    /// RFC 8707
    pub(crate) resources: Vec<String>,
    /// What the person should prove, in order of preference (C-109).
    pub(crate) acr_values: Vec<String>,
    pub(crate) binding_message: Option<String>,
    /// RFC 9396
    pub(crate) authorization_details: Option<Value>,
    /// What the client says of its agent; nobody has checked it (C-113).
    pub(crate) agent_claims: Option<Value>,
    /// Where a ping or push client is told; gone when it was told, or cannot be (C-409).
    pub(crate) notification: Option<Notification>,
    /// The certificate that the client showed, for tokens that are bound to it (C-081): SHA-256, base64url.
    #[serde(default)]
    pub(crate) certificate: Option<String>,
    /// Unix seconds.
    pub(crate) created_at: u64,
    /// Unix seconds.
    pub(crate) expires_at: u64,
    pub(crate) stage: Stage,
}

/// Where a client is told (C-330, C-360).
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Notification {
    pub(crate) endpoint: Url,
    /// `client_notification_token`
    pub(crate) token: String,
}

/// How far a request is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// The person has not decided.
    Pending,
    /// The person said yes; the client has no tokens yet.
    Approved(Approval),
    /// The person said no.
    Rejected,
    /// A poll or ping client has its tokens.
    Redeemed,
    /// A push client has its tokens.
    Delivered,
    /// A push client could not be given its tokens, or they could not be made.
    Failed,
}

/// A person's yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Approval {
    /// When the person last signed in, Unix seconds.
    pub(crate) auth_time: u64,
    pub(crate) acr: Option<String>,
    pub(crate) amr: Vec<String>,
    /// The grant whose tokens are on their way to a push client.
    #[serde(default)]
    pub(crate) grant: Option<String>,
    /// Whether a push client may poll, since it could not be told (C-374).
    #[serde(default)]
    pub(crate) may_poll: bool,
}

/// Where a request stands at a point in time, in the order in which the token endpoint looks (C-265 … C-271).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing<'a> {
    /// Its tokens were handed out, or will never be.
    Over,
    Expired,
    Rejected,
    Pending,
    Approved(&'a Approval),
}

/// Why a request cannot change in this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fixed {
    /// Its time is over.
    Expired,
    /// It stands elsewhere: decided already, not decided yet, or over.
    Elsewhere,
}

impl Request {
    /// Whether it is this client's.
    pub(crate) fn is_of(&self, client: &Client) -> bool {
        client.is(&self.client_id, &self.incarnation)
    }

    /// Returns where it stands at `now` (Unix seconds).
    pub(crate) fn standing(&self, now: u64) -> Standing<'_> {
        match &self.stage {
            Stage::Redeemed | Stage::Delivered | Stage::Failed => Standing::Over,
            _ if now >= self.expires_at => Standing::Expired,
            Stage::Rejected => Standing::Rejected,
            Stage::Pending => Standing::Pending,
            Stage::Approved(approval) => Standing::Approved(approval),
        }
    }

    /// The person says yes.
    pub(crate) fn approve(&mut self, approval: Approval, now: u64) -> Result<(), Fixed> {
        self.decide(Stage::Approved(approval), now)
    }

    /// The person says no.
    pub(crate) fn reject(&mut self, now: u64) -> Result<(), Fixed> {
        self.decide(Stage::Rejected, now)
    }

    /// A poll or ping client takes its tokens, or a push client that may.
    pub(crate) fn redeem(&mut self, now: u64) -> Result<(), Fixed> {
        match self.standing(now) {
            Standing::Approved(approval) if self.mode != Mode::Push || approval.may_poll => {
                self.end(Stage::Redeemed);
                Ok(())
            }
            Standing::Expired => Err(Fixed::Expired),
            _ => Err(Fixed::Elsewhere),
        }
    }

    /// The tokens of this grant go to a push client.
    pub(crate) fn push(&mut self, grant: &str, now: u64) -> Result<(), Fixed> {
        match &mut self.stage {
            Stage::Approved(_) if now >= self.expires_at => Err(Fixed::Expired),
            Stage::Approved(approval) if self.mode == Mode::Push && !approval.may_poll => {
                approval.grant = Some(grant.to_owned());
                Ok(())
            }
            _ => Err(Fixed::Elsewhere),
        }
    }

    /// A push client has its tokens, even if the request has expired meanwhile.
    pub(crate) fn delivered(&mut self) -> Result<(), Fixed> {
        self.close(Stage::Delivered)
    }

    /// A push client could not be given its tokens, or they could not be made.
    pub(crate) fn fail(&mut self) -> Result<(), Fixed> {
        self.close(Stage::Failed)
    }

    /// The client was told, or cannot be told: what that needed goes (C-409).
    pub(crate) fn told(&mut self) -> Result<(), Fixed> {
        self.notification.take().map(drop).ok_or(Fixed::Elsewhere)
    }

    /// A push client that could not be told may poll from now on (C-374), if only to read that the request has expired.
    pub(crate) fn let_poll(&mut self) -> Result<(), Fixed> {
        match &mut self.stage {
            Stage::Approved(approval) if self.mode == Mode::Push => {
                approval.may_poll = true;
                approval.grant = None;
                self.notification = None;
                Ok(())
            }
            _ => Err(Fixed::Elsewhere),
        }
    }

    /// When the store may forget it, Unix seconds.
    pub(crate) fn forgotten_at(&self) -> u64 {
        self.expires_at.saturating_add(REMEMBERED)
    }

    fn decide(&mut self, stage: Stage, now: u64) -> Result<(), Fixed> {
        match self.standing(now) {
            Standing::Pending => {
                self.stage = stage;
                Ok(())
            }
            Standing::Expired => Err(Fixed::Expired),
            _ => Err(Fixed::Elsewhere),
        }
    }

    fn close(&mut self, stage: Stage) -> Result<(), Fixed> {
        if !matches!(self.stage, Stage::Approved(_)) || self.mode != Mode::Push {
            return Err(Fixed::Elsewhere);
        }
        self.end(stage);
        Ok(())
    }

    fn end(&mut self, stage: Stage) {
        self.stage = stage;
        self.notification = None;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXPIRES: u64 = 1_000;

    pub(crate) fn request(mode: Mode) -> Request {
        Request {
            auth_req_id: "id".into(),
            client_id: "client".into(),
            incarnation: String::new(),
            sub: Some("alice".into()),
            mode,
            scope: vec!["openid".into()],
            resources: Vec::new(),
            acr_values: Vec::new(),
            binding_message: None,
            authorization_details: None,
            agent_claims: None,
            notification: Some(Notification {
                endpoint: Url::parse("https://client.example/cb").unwrap(),
                token: "token".into(),
            }),
            certificate: None,
            created_at: 0,
            expires_at: EXPIRES,
            stage: Stage::Pending,
        }
    }

    fn approval() -> Approval {
        Approval {
            auth_time: 1,
            acr: None,
            amr: Vec::new(),
            grant: None,
            may_poll: false,
        }
    }

    /// Everything that may happen to a request.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Approve,
        Reject,
        Redeem,
        Push,
        Delivered,
        Fail,
        Told,
        LetPoll,
    }

    fn happen(request: &mut Request, event: Event, now: u64) -> Result<(), Fixed> {
        match event {
            Event::Approve => request.approve(approval(), now),
            Event::Reject => request.reject(now),
            Event::Redeem => request.redeem(now),
            Event::Push => request.push("grant", now),
            Event::Delivered => request.delivered(),
            Event::Fail => request.fail(),
            Event::Told => request.told(),
            Event::LetPoll => request.let_poll(),
        }
    }

    fn event() -> impl Strategy<Value = Event> {
        use Event::{Approve, Delivered, Fail, LetPoll, Push, Redeem, Reject, Told};
        prop::sample::select(vec![
            Approve, Reject, Redeem, Push, Delivered, Fail, Told, LetPoll,
        ])
    }

    fn mode() -> impl Strategy<Value = Mode> {
        prop::sample::select(vec![Mode::Poll, Mode::Ping, Mode::Push])
    }

    /// The arrows of C-420; what a push client still has to get keeps an approved request approved.
    fn is_arrow(from: &Stage, to: &Stage, mode: Mode) -> bool {
        let push = mode == Mode::Push;
        match (from, to) {
            (Stage::Pending, Stage::Approved(_) | Stage::Rejected) => true,
            (Stage::Approved(approval), Stage::Redeemed) => !push || approval.may_poll,
            (Stage::Approved(old), Stage::Approved(new)) if old != new => {
                push && new.may_poll >= old.may_poll
            }
            (Stage::Approved(_), Stage::Delivered | Stage::Failed) => push,
            (from, to) => from == to,
        }
    }

    proptest! {
        #[test]
        fn c_420_no_other_change_is_possible(mode in mode(), events in prop::collection::vec((event(), 0..2 * EXPIRES), 0..12)) {
            let mut request = request(mode);
            let mut redeemed = 0;
            for (event, now) in events {
                let before = request.clone();
                let happened = happen(&mut request, event, now);
                if happened.is_ok() {
                    prop_assert!(is_arrow(&before.stage, &request.stage, mode), "{:?} → {:?}", before.stage, request.stage);
                    let is_timed = matches!(event, Event::Approve | Event::Reject | Event::Redeem | Event::Push);
                    prop_assert!(!is_timed || now < EXPIRES);
                    redeemed += usize::from(request.stage == Stage::Redeemed);
                } else {
                    prop_assert_eq!(&before.stage, &request.stage);
                }
            }
            prop_assert!(redeemed <= 1);
            let is_over = request.standing(0) == Standing::Over;
            prop_assert!(!is_over || request.notification.is_none(), "C-409");
        }
    }

    #[test]
    fn c_266_a_request_expires_in_its_second_whether_it_was_decided_or_not() {
        let mut decided = request(Mode::Poll);
        decided.approve(approval(), EXPIRES - 1).unwrap();
        for request in [request(Mode::Poll), decided] {
            assert_ne!(request.standing(EXPIRES - 1), Standing::Expired);
            assert_eq!(request.standing(EXPIRES), Standing::Expired);
        }
    }

    #[test]
    fn c_228_an_expired_request_can_be_neither_approved_nor_rejected() {
        let mut request = request(Mode::Ping);
        assert_eq!(request.approve(approval(), EXPIRES), Err(Fixed::Expired));
        assert_eq!(request.reject(EXPIRES), Err(Fixed::Expired));
    }

    #[test]
    fn c_265_a_request_is_redeemed_once_and_then_over_for_good() {
        let mut request = request(Mode::Poll);
        assert_eq!(request.redeem(1), Err(Fixed::Elsewhere));
        request.approve(approval(), 1).unwrap();
        assert_eq!(request.redeem(2), Ok(()));
        assert_eq!(request.redeem(3), Err(Fixed::Elsewhere));
        assert_eq!(request.standing(EXPIRES), Standing::Over);
    }

    #[test]
    fn c_409_the_notification_token_is_kept_until_the_client_was_told_and_no_longer() {
        for mode in [Mode::Ping, Mode::Push] {
            let mut rejected = request(mode);
            rejected.reject(1).unwrap();
            assert!(rejected.notification.is_some());
            rejected.told().unwrap();
            assert!(rejected.notification.is_none());
            assert_eq!(
                rejected.standing(2),
                Standing::Rejected,
                "it stays as it was decided"
            );
        }
        type Ending = fn(&mut Request) -> Result<(), Fixed>;
        let endings: [(Mode, Ending); 4] = [
            (Mode::Ping, |request| request.redeem(2)),
            (Mode::Push, Request::delivered),
            (Mode::Push, Request::fail),
            (Mode::Push, Request::let_poll),
        ];
        for (mode, end) in endings {
            let mut request = request(mode);
            request.approve(approval(), 1).unwrap();
            assert!(request.notification.is_some());
            end(&mut request).unwrap();
            assert!(request.notification.is_none());
        }
    }

    #[test]
    fn c_266_c_423_an_ended_request_is_remembered_for_ten_minutes() {
        assert_eq!(request(Mode::Poll).forgotten_at(), EXPIRES + 600);
    }

    #[test]
    fn c_374_a_push_client_redeems_only_after_its_delivery_has_failed() {
        let mut request = request(Mode::Push);
        request.approve(approval(), 1).unwrap();
        assert_eq!(request.redeem(2), Err(Fixed::Elsewhere));
        request.let_poll().unwrap();
        assert!(request.notification.is_none());
        assert_eq!(request.redeem(4), Ok(()));
    }
}
