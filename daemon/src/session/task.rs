//! The task that owns a session: its challenge, its link, and who waits for what. It turns what happens into
//! calls of the pure parts, and what they decide into frames, events and answers.

use std::time::Duration;

use device_proto::ask::{Ask, Reply};
use device_proto::challenge::SECRET_LEN;
use device_proto::device;
use device_proto::seal::Sealed;
use device_proto::{Challenge, RequestId, ResourceUrn};
use ipc_proto::{ErrorCode, Event, Failure, Link};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::flight::Flights;
use super::open::open;
use super::state::{Happening, Page, Phase};
use super::{Answer, Command, Shared, now, over, slow};
use crate::authorize::{Begun, authorize};
use crate::memory::Locked;
use crate::sync::{self, Lost, News, Order};
use crate::words;

/// Time for the server to confirm that the session ended (D-052).
const END_DEADLINE: Duration = Duration::from_secs(5);

/// Time for the first link to stand. Without it the person would log in, and nobody here would hear of it.
const FIRST_LINK: Duration = Duration::from_secs(10);

/// How long after the page's end the server's own word is awaited.
const EXPIRY_GRACE: Duration = Duration::from_secs(5);

/// Orders to the link that may wait. The link takes them at once, unless the network takes nothing: then more
/// asks are answered `busy`.
const ORDERS: usize = 64;

/// News of the link that may wait; then it reads no more from the network.
const NEWS: usize = 4;

/// The id of the ask that ends the session. The others are numbers.
const END_ID: &str = "end";

/// Why a WebSocket that was asked to end was closed as it should.
const CLOSE_NORMAL: u16 = 1000;

/// Runs a session to its end.
pub(super) async fn run(shared: &Shared, mut commands: mpsc::Receiver<Command>) {
    let _wiped_on_drop = LetGo(shared);
    live(shared, &mut commands).await;
}

/// Whatever ends the task, its tokens go with it, and whoever waits learns of it.
struct LetGo<'a>(&'a Shared);

impl Drop for LetGo<'_> {
    fn drop(&mut self) {
        self.0.table.clear();
        self.0.tell(Happening::Ended);
        info!(profile = %self.0.purpose.profile, "let go");
    }
}

async fn live(shared: &Shared, commands: &mut mpsc::Receiver<Command>) {
    let secret = match secret() {
        Ok(secret) => secret,
        Err(failure) => return shared.tell(Happening::Refused(failure)),
    };
    let challenge = view(&secret);
    let begun = tokio::select! {
        begun = begin(shared, challenge) => begun,
        () = shared.abandoned() => return,
        () = ended(commands) => return,
    };
    let Some(begun) = begun else { return };
    let (orders, received) = mpsc::channel(ORDERS);
    let (sender, news) = mpsc::channel(NEWS);
    let session = Session {
        shared,
        challenge,
        request: &begun.request,
        first_link_due: Instant::now() + FIRST_LINK,
        page_ends: Instant::now() + begun.expires_in + EXPIRY_GRACE,
        orders,
        flights: Flights::default(),
        is_denied: false,
        ending: None,
        is_done: false,
    };
    tokio::select! {
        () = session.attend(commands, news) => {}
        never = sync::keep(&shared.purpose.server, &begun.request, challenge, received, sender) => match never {},
    }
}

fn secret() -> Result<Locked, Failure> {
    let no_random = |_| Failure::new(ErrorCode::Internal, "this system gives no random numbers");
    Locked::fill(SECRET_LEN, |secret| getrandom::fill(secret).map_err(no_random))
}

fn view(secret: &Locked) -> Challenge<'_> {
    let bytes = secret.expose().try_into();
    Challenge::new(bytes.expect("made with exactly this length"))
}

/// Begins the login at the server and shows its page.
async fn begin(shared: &Shared, challenge: Challenge<'_>) -> Option<Begun> {
    let purpose = &shared.purpose;
    match authorize(&purpose.server, &challenge.verifier(), &purpose.resource).await {
        Ok(begun) => {
            shared.tell(Happening::Authorized(Page {
                url: begun.page.clone(),
                user_code: begun.user_code.clone(),
                expires_at: now() + begun.expires_in.as_secs(),
            }));
            Some(begun)
        }
        Err(failure) => {
            shared.tell(Happening::Refused(failure));
            None
        }
    }
}

/// Waits until somebody ends a session that has not begun. There is nothing to tell the server then.
async fn ended(commands: &mut mpsc::Receiver<Command>) {
    while let Some(command) = commands.recv().await {
        match command {
            Command::Fetch(.., answer) => reply(answer, Err(over())),
            Command::End(answer) => return reply(answer, true),
        }
    }
}

/// Answers somebody, who may have left.
fn reply<T>(answer: Answer<T>, with: T) {
    let _ = answer.send(with);
}

impl Shared {
    /// Takes in what happened and tells whoever watches.
    fn tell(&self, happening: Happening) {
        let mut event = None;
        self.state
            .send_modify(|state| event = state.handle(happening, now()));
        if let Some(event) = event {
            self.announce(event);
        }
    }

    fn announce(&self, event: Event) {
        log(&event);
        // Nobody has to watch.
        let _ = self.events.send(event);
    }

    /// Waits until nobody follows the session any more.
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
        Event::Session {
            profile,
            state,
            error,
        } => {
            let code = error.as_ref().map(|failure| failure.code.word());
            info!(%profile, ?state, code, "session");
        }
        // The link has said so, with the reason.
        Event::Disconnected { .. } => {}
        Event::Expiring { profile, .. } => info!(%profile, "ends soon"),
    }
}

/// A session that has begun at its server.
struct Session<'a> {
    shared: &'a Shared,
    challenge: Challenge<'a>,
    request: &'a RequestId,
    first_link_due: Instant,
    /// When a login that nobody came to is given up.
    page_ends: Instant,
    orders: mpsc::Sender<Order>,
    flights: Flights<Answer<Result<(), Failure>>>,
    /// Whether the server does not know the session.
    is_denied: bool,
    ending: Option<Ending>,
    is_done: bool,
}

/// An end that the server has yet to confirm.
struct Ending {
    due: Instant,
    is_sent: bool,
    answers: Vec<Answer<bool>>,
}

impl Session<'_> {
    async fn attend(mut self, commands: &mut mpsc::Receiver<Command>, mut news: mpsc::Receiver<News>) {
        while !self.is_done {
            tokio::select! {
                Some(news) = news.recv() => self.hear(news),
                Some(command) = commands.recv() => self.obey(command),
                () = self.shared.abandoned(), if self.lives_by_followers() => self.abandon(),
                () = at(self.next_due()) => self.tick(),
            }
            self.follow_up();
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Fetch(resource, until, answer) => self.fetch(resource, until, answer),
            Command::End(answer) => self.end(Some(answer)),
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Connecting => self.shared.tell(Happening::Connecting),
            News::Heard(events) => self.heard(events),
            News::Lost(why) => self.lost(why),
            News::Denied => self.denied(),
        }
    }

    /// Takes in all of one message before anybody is told to look.
    fn heard(&mut self, events: Vec<device::Event>) {
        for event in events {
            match event {
                device::Event::Sealed { resource, sealed } => self.sealed(&resource, &sealed),
                device::Event::Session { key, value } => self.shared.tell(Happening::Entry(key, value)),
                device::Event::Synced => self.shared.tell(Happening::Connected),
                device::Event::Reply(reply) => self.replied(reply),
                // The link has made news of its own of it.
                device::Event::Over(_) => {}
            }
        }
        self.shared.tell(Happening::Settled);
        let lasts =
            |resource: &ResourceUrn, until| self.shared.table.get(resource.as_str(), 0, until).is_some();
        for waiter in self.flights.satisfied(lasts) {
            reply(waiter, Ok(()));
        }
        self.send();
    }

    fn sealed(&self, resource: &ResourceUrn, sealed: &Sealed) {
        let profile = &self.shared.purpose.profile;
        let kept = open(self.challenge, self.request, resource, sealed)
            .and_then(|token| Ok(self.shared.table.put(token, now())?));
        match kept {
            Ok(token) => self.shared.announce(Event::Token {
                profile: profile.clone(),
                resource: token.resource.clone(),
                expires_at: token.expires_at,
            }),
            Err(reason) => warn!(%profile, %reason, "a seal that yields no token is ignored"),
        }
    }

    fn replied(&mut self, reply: Reply) {
        let is_end = reply.id() == END_ID;
        match reply {
            Reply::Ended { .. } => self.done(true),
            Reply::Error { .. } if is_end => self.done(false),
            Reply::TokenReady { id, .. } => self.answer(&id, &Ok(())),
            Reply::Error {
                id,
                error,
                error_description,
            } => self.answer(&id, &Err(words::failure(&error, &error_description))),
        }
    }

    fn answer(&mut self, id: &str, with: &Result<(), Failure>) {
        let Some((_, waiters)) = self.flights.answered(id) else {
            return;
        };
        for waiter in waiters {
            reply(waiter, with.clone());
        }
    }

    /// A link that stood comes back soon: who waits, waits on. One that was not to be had is an answer.
    fn lost(&mut self, why: Lost) {
        let stood = self.is_connected();
        self.shared.tell(Happening::Lost(why));
        self.flights.connection_lost();
        if let Some(ending) = &mut self.ending {
            ending.is_sent = false;
        }
        if self.ending.is_some() && (why == Lost::Closed(Some(CLOSE_NORMAL)) || !stood) {
            return self.done(stood);
        }
        if !stood {
            self.fail_flights(&self.shared.state.borrow().unreachable());
        }
        self.hurry();
    }

    fn denied(&mut self) {
        self.is_denied = true;
        self.shared.tell(Happening::Denied);
        if self.ending.is_some() {
            self.done(true);
        }
    }

    fn fetch(&mut self, resource: ResourceUrn, until: u64, answer: Answer<Result<(), Failure>>) {
        self.flights.join(resource, until, answer, Instant::now());
        self.send();
        self.hurry();
    }

    /// Ends the session on the server; here it ends when that is known, or too slow.
    fn end(&mut self, answer: Option<Answer<bool>>) {
        let is_new = self.ending.is_none();
        let ending = self.ending.get_or_insert_with(|| Ending {
            due: Instant::now() + END_DEADLINE,
            is_sent: false,
            answers: Vec::new(),
        });
        ending.answers.extend(answer);
        if self.is_denied {
            return self.done(true);
        }
        if is_new {
            self.send();
            self.hurry();
        }
    }

    /// It is over here; `told` says whether the server knows.
    fn done(&mut self, told: bool) {
        self.is_done = true;
        for answer in self.ending.take().into_iter().flat_map(|ending| ending.answers) {
            reply(answer, told);
        }
    }

    /// Sends what has to be asked, if the link stands.
    fn send(&mut self) {
        if !self.is_connected() {
            return;
        }
        for ask in self.flights.unsent(now()) {
            let id = ask.id().to_owned();
            if self.orders.try_send(Order::Ask(ask)).is_err() {
                let busy = Failure::new(ErrorCode::Busy, "too many tokens are asked for at once");
                self.answer(&id, &Err(busy));
            }
        }
        self.send_end();
    }

    /// Should it not fit, the deadline ends the session.
    fn send_end(&mut self) {
        if let Some(ending) = self.ending.as_mut().filter(|ending| !ending.is_sent) {
            let ask = Ask::End { id: END_ID.into() };
            ending.is_sent = self.orders.try_send(Order::Ask(ask)).is_ok();
        }
    }

    /// Has the link come back at once if somebody waits for it.
    fn hurry(&self) {
        let waited_for = self.ending.is_some() || !self.flights.is_empty();
        if waited_for && !self.is_connected() {
            // A full queue holds one already.
            let _ = self.orders.try_send(Order::Hurry);
        }
    }

    /// What follows from the state, whatever happened.
    fn follow_up(&mut self) {
        let failure = {
            let state = self.shared.state.borrow();
            self.is_done |= state.is_gone() && self.ending.is_none();
            if !state.keeps_tokens() {
                self.shared.table.clear();
            }
            match state.phase() {
                Phase::Failed(failure) => Some(failure.clone()),
                Phase::Ended => Some(over()),
                Phase::Pending | Phase::Active => None,
            }
        };
        if let Some(failure) = failure {
            self.fail_flights(&failure);
        }
    }

    fn fail_flights(&mut self, failure: &Failure) {
        for waiter in self.flights.all() {
            reply(waiter, Err(failure.clone()));
        }
    }

    fn is_connected(&self) -> bool {
        self.shared.state.borrow().link() == Link::Connected
    }

    fn is_pending(&self) -> bool {
        *self.shared.state.borrow().phase() == Phase::Pending
    }

    fn waits_for_first_link(&self) -> bool {
        self.shared.state.borrow().waits_for_first_link()
    }

    /// A login is cancelled when nobody waits for it any more; a one-shot ends then.
    fn lives_by_followers(&self) -> bool {
        self.ending.is_none() && (self.shared.purpose.one_shot || self.is_pending())
    }

    /// The server is told, so that nobody signs in to a page whose terminal has left.
    fn abandon(&mut self) {
        if self.is_pending() {
            // From here on a new login may take its place.
            self.shared.tell(Happening::Ended);
        }
        self.end(None);
    }

    fn next_due(&self) -> Option<Instant> {
        let page_ends = self.is_pending().then_some(self.page_ends);
        let ending = self.ending.as_ref().map(|ending| ending.due);
        let first_link = self.waits_for_first_link().then_some(self.first_link_due);
        [self.flights.next_due(), ending, first_link, page_ends]
            .into_iter()
            .flatten()
            .min()
    }

    fn tick(&mut self) {
        let now = Instant::now();
        for waiter in self.flights.overdue(now) {
            reply(waiter, Err(slow()));
        }
        if self.ending.as_ref().is_some_and(|ending| ending.due <= now) {
            return self.done(false);
        }
        if self.first_link_due <= now {
            self.shared.tell(Happening::Unlinked);
        }
        if self.page_ends <= now {
            self.shared.tell(Happening::Expired);
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
