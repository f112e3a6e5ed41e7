//! The task that owns a session: its secret, its link, its keychain. It turns what happens into inputs of the
//! [`Course`], and carries out what that decides.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use device_proto::approval::{Approval, ApprovalId};
use device_proto::ask::Ask;
use device_proto::{ResourceUrn, device};
use ipc_proto::{Event, Failure, Kept, KeychainKind, Link};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::course::{Course, Effect, End, HORIZON, Input, Keeping, Now};
use super::flight::WaiterId;
use super::keep::{Keeper, Wish};
use super::open::open;
use super::renewals::{Renewal, renew_at};
use super::state::{Page, SessionEvent};
use super::{Answer, Command, Origin, Outcome, Shared, now, over};
use crate::authorize::{Begun, authorize};
use crate::handover::HandedOver;
use crate::keychain::Item;
use crate::secret::Secret;
use crate::sync::{self, News, Order, at};

/// Orders to the link that may wait. The link takes them at once, unless the network takes nothing: then more
/// asks are answered `busy`.
const ORDERS: usize = 64;

/// News of the link that may wait; then it reads no more from the network.
const NEWS: usize = 4;

/// Results of the keychain that may wait.
const RESULTS: usize = 1;

/// Runs a session to its end.
pub(super) async fn run(shared: &Shared, origin: Origin, mut commands: mpsc::Receiver<Command>) {
    let _wiped_on_drop = LetGo(shared);
    live(shared, origin, &mut commands).await;
}

/// Whatever ends the task, its tokens go with it, and its followers learn of it.
struct LetGo<'a>(&'a Shared);

impl Drop for LetGo<'_> {
    fn drop(&mut self) {
        self.0.table.clear();
        self.0.clear_approvals();
        self.0.tell(SessionEvent::Ended);
        info!(profile = %self.0.purpose.profile, "let go");
    }
}

/// A session that has begun at its server.
struct Beginning {
    item: Item,
    course: Course,
    /// What is wanted of the keychain to begin with.
    wish: Wish,
}

async fn live(shared: &Shared, origin: Origin, commands: &mut mpsc::Receiver<Command>) {
    let Some(Beginning { item, course, wish }) = begin(shared, origin, commands).await else {
        return;
    };
    let (orders, received) = mpsc::channel(ORDERS);
    let (sender, news) = mpsc::channel(NEWS);
    let (wish, wishes) = watch::channel(wish);
    let (results, kept) = mpsc::channel(RESULTS);
    let keeper = Keeper {
        shared,
        item: &item,
        wishes,
        results,
    };
    let session = Session {
        shared,
        item: &item,
        course,
        orders,
        wish,
        waiters: Waiters::default(),
        enders: Vec::new(),
    };
    let course = async {
        let (ended, is_still_kept) = tokio::join!(session.attend(commands, news, kept), keeper.run());
        let outcome = Outcome {
            server_told: ended.end == End::Confirmed,
            is_still_kept,
        };
        for ender in ended.enders {
            reply(ender, outcome);
        }
    };
    let link = sync::keep(
        &item.server,
        &item.session,
        item.secret.challenge(),
        received,
        sender,
    );
    tokio::select! {
        () = course => {}
        never = link => match never {},
    }
}

async fn begin(shared: &Shared, origin: Origin, commands: &mut mpsc::Receiver<Command>) -> Option<Beginning> {
    if let Origin::Earlier(HandedOver { item, is_kept }) = origin {
        shared.tell(SessionEvent::Resumed(is_kept.then_some(item.keychain)));
        let course = Course::resumed();
        // A login that the last daemon could not put into a keychain is this one's to put there.
        let wish = if is_kept { Wish::Nothing } else { Wish::Keep };
        return Some(Beginning { item, course, wish });
    }
    let begun = tokio::select! {
        begun = log_in(shared) => begun,
        () = shared.abandoned() => return None,
        () = ended(commands) => return None,
    };
    begun
        .inspect_err(|failure| shared.tell(SessionEvent::Refused(failure.clone())))
        .ok()
}

/// Begins the login at the server and shows its page. The keychain is chosen first: a person should not log in only to
/// learn that the login cannot be kept as they wanted.
async fn log_in(shared: &Shared) -> Result<Beginning, Failure> {
    let purpose = &shared.purpose;
    let keychain = match (purpose.one_shot, purpose.keychain) {
        (true, _) => KeychainKind::Memory,
        (false, wanted) => shared.services.keychains.choose(wanted).await?.kind(),
    };
    let secret = Secret::draw()?;
    let verifier = secret.challenge().verifier();
    let Begun {
        request,
        page,
        user_code,
        expires_in,
    } = authorize(&purpose.server, &verifier, &purpose.resource)
        .await
        .inspect_err(|reason| warn!(profile = %purpose.profile, %reason, "a login does not begin"))?;
    shared.tell(SessionEvent::Authorized(Page {
        url: page,
        user_code,
        expires_at: now() + expires_in.as_secs(),
    }));
    let item = Item {
        keychain,
        profile: purpose.profile.clone(),
        server: purpose.server.clone(),
        session: request,
        resource: purpose.resource.clone(),
        secret,
    };
    let keeping = if purpose.one_shot {
        Keeping::OneShot
    } else {
        Keeping::AtFirstToken
    };
    let course = Course::of_login(expires_in, keeping, Instant::now());
    Ok(Beginning {
        item,
        course,
        wish: Wish::Nothing,
    })
}

/// Waits until a client ends a session that has not begun. There is nothing to tell the server then.
async fn ended(commands: &mut mpsc::Receiver<Command>) {
    while let Some(command) = commands.recv().await {
        match command {
            Command::Fetch { answer, .. } => {
                answer.into_iter().for_each(|answer| reply(answer, Err(over())));
            }
            Command::Decide { answer, .. } => reply(answer, Err(over())),
            Command::Save(answer) => reply(answer, None),
            Command::End(answer) => return reply(answer, Outcome::COMPLETE),
            Command::Retire => return,
        }
    }
}

/// Answers a client, which may have left.
fn reply<T>(answer: Answer<T>, with: T) {
    let _ = answer.send(with);
}

impl Shared {
    /// Takes in what happened, and tells the followers and the clients that watch.
    pub(super) fn tell(&self, event: SessionEvent) {
        let mut told = None;
        self.state.send_modify(|state| told = state.handle(event, now()));
        if let Some(told) = told {
            self.announce(told);
        }
    }

    fn announce(&self, event: Event) {
        log(&event);
        // No client has to watch.
        let _ = self.services.events.send(event);
    }

    /// Tells that requests wait no longer.
    fn announce_gone(&self, gone: Vec<ApprovalId>) {
        for request in gone {
            self.announce(Event::ApprovalGone {
                profile: self.purpose.profile.clone(),
                request: request.into(),
            });
        }
    }

    fn clear_approvals(&self) {
        let gone = self.approvals().clear();
        self.announce_gone(gone);
    }

    /// Waits until no client follows the session any more.
    async fn abandoned(&self) {
        self.state.closed().await;
    }
}

/// Logs a change, without any word of the server.
fn log(event: &Event) {
    match event {
        Event::Authorize { profile, .. } => info!(%profile, "a login waits for its person"),
        Event::Connected { profile } => info!(%profile, "connected"),
        Event::Token { profile, .. } => info!(%profile, "a token arrived"),
        Event::Expiring { profile, .. } => info!(%profile, "ends soon"),
        Event::Approval { profile, approval } => {
            info!(%profile, request = approval.handle(), "a request waits for a decision");
        }
        Event::ApprovalGone { profile, request } => {
            let request = ipc_proto::handle(request);
            info!(%profile, request, "a request waits no longer");
        }
        Event::Session {
            profile,
            state,
            error,
        } => {
            let code = error.as_ref().map(|failure| failure.code.word());
            info!(%profile, ?state, code, "session");
        }
        // The link has said so, with the reason. A question, or a request, is none of a session's.
        Event::Disconnected { .. }
        | Event::Confirm { .. }
        | Event::Acknowledged { .. }
        | Event::Waiting { .. } => {}
    }
}

struct Session<'a> {
    shared: &'a Shared,
    item: &'a Item,
    course: Course,
    orders: mpsc::Sender<Order>,
    wish: watch::Sender<Wish>,
    waiters: Waiters,
    /// The clients that asked for the session's end.
    enders: Vec<Answer<Outcome>>,
}

/// How a session ended, and the clients that wait to hear it.
struct Ended {
    end: End,
    enders: Vec<Answer<Outcome>>,
}

/// The clients that wait for a token, by the ids under which the course knows them.
#[derive(Default)]
struct Waiters {
    last_id: u64,
    answers: BTreeMap<WaiterId, Answer<Result<(), Failure>>>,
}

impl Waiters {
    fn admit(&mut self, answer: Answer<Result<(), Failure>>) -> WaiterId {
        self.last_id += 1;
        let id = WaiterId(self.last_id);
        self.answers.insert(id, answer);
        id
    }

    fn answer(&mut self, id: WaiterId, with: Result<(), Failure>) {
        if let Some(answer) = self.answers.remove(&id) {
            reply(answer, with);
        }
    }
}

impl Session<'_> {
    async fn attend(
        mut self,
        commands: &mut mpsc::Receiver<Command>,
        mut news: mpsc::Receiver<News>,
        mut kept: mpsc::Receiver<Kept>,
    ) -> Ended {
        loop {
            if let Some(end) = self.course.end() {
                let enders = self.enders;
                return Ended { end, enders };
            }
            tokio::select! {
                Some(news) = news.recv() => self.hear(news),
                Some(kept) = kept.recv() => self.happened(SessionEvent::Kept(kept)),
                Some(command) = commands.recv() => self.obey(command),
                () = self.shared.used.notified() => self.note_use(),
                () = self.shared.abandoned(), if self.lives_by_followers() => self.handle(Input::Abandoned),
                () = at(self.next_due()) => self.handle(Input::Tick),
                () = at(self.next_approval_end()) => self.expire_approvals(),
            }
        }
    }

    /// Feeds an input to the course and carries out what follows. An effect that fails is the next input.
    fn handle(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for effect in self.decide(input) {
                inputs.extend(self.carry_out(effect));
            }
        }
    }

    /// Wakes the followers also when the state stays the same: a login under way looks for its first token in the table.
    fn decide(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        let course = &mut self.course;
        self.shared
            .state
            .send_modify(|state| effects = course.handle(input, state, moment()));
        effects
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Tell(event) => self.shared.announce(event),
            Effect::Send(ask) => return self.send(ask),
            // A full queue holds one already.
            Effect::Hurry => _ = self.orders.try_send(Order::Hurry),
            Effect::Answer(waiter, with) => self.waiters.answer(waiter, with),
            Effect::ClearTokens => {
                self.shared.table.clear();
                self.shared.clear_approvals();
            }
            Effect::Keep => self.wish(Wish::Keep),
            Effect::Forget => self.wish(Wish::Forget),
            Effect::ForgetProfile => self.wish(Wish::ForgetProfile),
        }
        None
    }

    /// A later wish never takes a larger one back: what a person ends stays ended.
    fn wish(&self, wish: Wish) {
        self.wish.send_modify(|wished| *wished = wish.max(*wished));
    }

    fn send(&self, ask: Ask) -> Option<Input> {
        let id = ask.id().to_owned();
        let sent = self.orders.try_send(Order::Ask(ask));
        sent.is_err().then_some(Input::NotSent(id))
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Fetch {
                resource,
                until,
                answer,
            } => {
                let waiter = answer.map(|answer| self.waiters.admit(answer));
                self.handle(Input::Fetch {
                    resource,
                    until,
                    waiter,
                });
            }
            Command::Decide {
                request,
                decision,
                answer,
            } => {
                let waiter = self.waiters.admit(answer);
                self.handle(Input::Decide {
                    request,
                    decision,
                    waiter,
                });
            }
            Command::Save(answer) => reply(answer, self.saved()),
            Command::End(answer) => {
                self.enders.push(answer);
                self.handle(Input::End);
            }
            Command::Retire => self.handle(Input::Retire),
        }
    }

    /// A login whose end was asked for is not for the next daemon.
    fn saved(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.course
            .goes_on()
            .then(|| self.shared.saved(self.item))
            .flatten()
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Connecting => {
                self.shared.approvals().connecting();
                self.happened(SessionEvent::Connecting);
            }
            News::Heard(events) => self.heard(events),
            News::Lost(why) => self.handle(Input::Lost(why)),
        }
    }

    fn happened(&mut self, event: SessionEvent) {
        self.handle(Input::Happened(event));
    }

    fn heard(&mut self, events: Vec<device::Event>) {
        for event in events {
            match event {
                device::Event::Sealed { resource, sealed } => self.sealed(resource, sealed),
                device::Event::Session(view) => self.happened(SessionEvent::Updated(view)),
                device::Event::Synced => {
                    let gone = self.shared.approvals().synced();
                    self.shared.announce_gone(gone);
                    self.happened(SessionEvent::Connected);
                }
                device::Event::Reply(reply) => self.handle(Input::Replied(reply)),
                device::Event::Approval { request, sealed } => self.approval(&request, sealed),
                device::Event::ApprovalGone { request } => self.approval_gone(request),
                // The link has made news of its own of it.
                device::Event::Disconnected(_) => {}
            }
        }
    }

    fn sealed(&mut self, resource: ResourceUrn, sealed: String) {
        let Item {
            profile,
            session,
            secret,
            ..
        } = self.item;
        // What was there before the connection may be of any age.
        let made_at = self.is_connected().then(now);
        let kept = open(secret.challenge(), session, &resource, sealed, made_at)
            .and_then(|token| Ok(self.shared.table.put(token, now())?));
        match kept {
            Ok(Some(token)) => {
                self.handle(Input::Token {
                    resource,
                    expires_at: token.expires_at,
                });
                self.shared.announce(Event::Token {
                    profile: profile.clone(),
                    resource: token.resource.to_string(),
                    expires_at: token.expires_at,
                });
            }
            Ok(None) => {}
            Err(reason) => warn!(%profile, %reason, "a seal that yields no token is ignored"),
        }
    }

    fn approval(&self, request: &ApprovalId, sealed: String) {
        let Item {
            profile,
            session,
            secret,
            ..
        } = self.item;
        let approval = match Approval::open(secret.challenge(), session, request, sealed) {
            Ok(approval) => approval,
            Err(reason) => return warn!(%profile, %reason, "a seal that yields no request is ignored"),
        };
        let news = self.shared.approvals().arrive(approval, now()).cloned();
        if let Some(approval) = news {
            self.shared.announce(Event::Approval {
                profile: profile.clone(),
                approval: Box::new(approval),
            });
        }
    }

    fn approval_gone(&self, request: ApprovalId) {
        if self.shared.approvals().leave(&request) {
            self.shared.announce_gone(vec![request]);
        }
    }

    fn next_approval_end(&self) -> Option<Instant> {
        let end = self.shared.approvals().next_end()?;
        Some(Instant::now() + HORIZON.min(Duration::from_secs(end.saturating_sub(now()))))
    }

    fn expire_approvals(&self) {
        let gone = self.shared.approvals().expire(now());
        self.shared.announce_gone(gone);
    }

    /// Tokens that a client used are renewed before they end.
    fn note_use(&mut self) {
        for token in self.shared.table.newly_used() {
            let made_at = token.made_at.unwrap_or_else(now);
            let at = renew_at(made_at, token.expires_at, fastrand::f64());
            let expires_at = token.expires_at;
            self.handle(Input::Used(token.resource.clone(), Renewal { at, expires_at }));
        }
    }

    fn lives_by_followers(&self) -> bool {
        self.course.lives_by_followers(&self.shared.state.borrow())
    }

    fn is_connected(&self) -> bool {
        self.shared.state.borrow().link() == Link::Connected
    }

    fn next_due(&self) -> Option<Instant> {
        self.course.next_due(&self.shared.state.borrow(), moment())
    }
}

fn moment() -> Now {
    Now {
        instant: Instant::now(),
        unix: now(),
        chance: fastrand::f64(),
    }
}
