//! One device's WebSocket (step 6 of the token's way): moves bytes between [`hub::Socket`], which decides, and the
//! rooms, which hold the docs. One task a socket; it waits for a message, a bell, a timer or the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use device_proto::ask::{Ask, Reply};
use device_proto::challenge::SECRET_LEN;
use device_proto::hub::{self, Close, Decision, MAX_DEVICE_FRAME};
use device_proto::{Challenge, RequestId, Verifier};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Error as WebSocketError;
use zeroize::Zeroizing;

use super::answer;
use super::audience;
use super::edit;
use super::feed::News;
use super::record::Record;
use super::records::SessionError;
use super::registry::Seat;
use super::sessions::Sessions;
use crate::cause::chain;

/// Bytes the WebSocket reads ahead. Devices send short frames; a small buffer is a small session, and one frame
/// soon overwrites the one before it.
const READ_AHEAD: usize = 128;

/// Sent as a ping once a proof was accepted. The peer has to echo it (RFC 6455 §5.5.2), and the echo is written over
/// the proof in the read buffer (D-012). As long as a ping can be.
const OVERWRITE: &[u8] = &[0; 125];

/// How long a peer may take to take a frame.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// How long a session that is over waits for the answers under way.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Asks of one socket under way at once. Each document's end has a place of its own.
const MAX_ASKS: usize = 128;

/// Checked in place of a record that does not exist, so that there is a hash and a comparison all the same (D-011).
const NOBODY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// `GET /sync/device`
pub(super) async fn upgrade(State(sessions): State<Sessions>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .read_buffer_size(READ_AHEAD)
        .write_buffer_size(0)
        .max_message_size(MAX_DEVICE_FRAME)
        .max_frame_size(MAX_DEVICE_FRAME)
        .on_upgrade(move |websocket| {
            let connections = sessions.work.connections.clone();
            connections.track_future(serve(sessions, websocket))
        })
}

async fn serve(sessions: Sessions, mut websocket: WebSocket) {
    let over = Connection::new(&sessions).run(&mut websocket).await;
    if let Over::Close(Close { code, reason }) = over {
        tracing::debug!(code, reason, "socket closed");
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        let _ = tokio::time::timeout(SEND_WITHIN, websocket.send(Message::Close(Some(frame)))).await;
    }
}

struct Connection<'a> {
    sessions: &'a Sessions,
    socket: hub::Socket,
    bell: Arc<Notify>,
    seats: Vec<Taken<'a>>,
    asks: FuturesUnordered<BoxFuture<'a, (Box<str>, Reply)>>,
}

/// A document that is open on this socket.
struct Taken<'a> {
    document: Box<str>,
    seat: Seat<'a>,
    /// Its asks under way.
    asks: usize,
    is_ending: bool,
}

impl Taken<'_> {
    /// Takes an ask up, if there is a place for it beside so many.
    fn take_up(&mut self, ask: &Ask, others: usize) -> bool {
        let is_first_end = matches!(ask, Ask::End { .. }) && !std::mem::replace(&mut self.is_ending, true);
        self.asks += 1;
        is_first_end || others < MAX_ASKS
    }
}

/// The socket is over.
enum Over {
    /// The peer has gone.
    Gone,
    /// We close it, and say why.
    Close(Close),
}

impl From<Close> for Over {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

impl<'a> Connection<'a> {
    fn new(sessions: &'a Sessions) -> Self {
        let socket = hub::Socket::new(Instant::now());
        Self {
            sessions,
            socket,
            bell: Arc::default(),
            seats: Vec::new(),
            asks: FuturesUnordered::new(),
        }
    }

    async fn run(&mut self, websocket: &mut WebSocket) -> Over {
        loop {
            if let Err(over) = self.step(websocket).await {
                return over;
            }
        }
    }

    async fn step(&mut self, websocket: &mut WebSocket) -> Result<(), Over> {
        let due = tokio::time::sleep_until(self.due().into());
        tokio::select! {
            message = websocket.recv() => self.heard(websocket, message).await,
            () = self.bell.notified() => self.tell_news(websocket).await,
            Some((document, reply)) = self.asks.next() => {
                self.answered(websocket, &document, &reply).await
            }
            () = due => self.tick(websocket).await,
            () = self.sessions.shutdown.begun().cancelled() => Err(Close::GOING_AWAY.into()),
        }
    }

    fn due(&self) -> Instant {
        let login_ends = self
            .seats
            .iter()
            .filter_map(|taken| taken.seat.room.login_ends_in())
            .min();
        let timeout = self.socket.poll_timeout();
        login_ends.map_or(timeout, |left| timeout.min(Instant::now() + left))
    }

    async fn heard(
        &mut self,
        websocket: &mut WebSocket,
        message: Option<Result<Message, axum::Error>>,
    ) -> Result<(), Over> {
        match message {
            Some(Ok(Message::Binary(bytes))) => self.decide(websocket, &bytes).await,
            Some(Ok(Message::Text(text))) => self.decide(websocket, text.as_bytes()).await,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                self.socket.heard(Instant::now());
                Ok(())
            }
            Some(Ok(Message::Close(_))) | None => Err(Over::Gone),
            Some(Err(error)) if is_too_big(&error) => Err(Close::TOO_BIG.into()),
            Some(Err(_)) => Err(Over::Gone),
        }
    }

    async fn decide(&mut self, websocket: &mut WebSocket, message: &[u8]) -> Result<(), Over> {
        match self.socket.receive(Instant::now(), message)? {
            Decision::Nothing => Ok(()),
            Decision::Reply(reply) => send(websocket, reply).await,
            // Boxed: a socket's task would keep the room for its largest step for as long as it lives.
            Decision::Prove {
                document,
                session,
                token,
            } => Box::pin(self.prove(websocket, document, session, token.expose())).await,
            Decision::Read { document } => self.read(websocket, document).await,
            Decision::Ask { document, text } => {
                self.ask(document, text);
                Ok(())
            }
            Decision::Left { document, reply } => {
                self.seats.retain(|taken| &*taken.document != document);
                send(websocket, reply).await
            }
        }
    }

    /// D-011: an unknown session is answered exactly like a wrong challenge, after the same work.
    async fn prove(
        &mut self,
        websocket: &mut WebSocket,
        document: &str,
        session: &str,
        token: &str,
    ) -> Result<(), Over> {
        let seated = match proven(self.sessions, session, token).await? {
            Some((session, record)) => self
                .sit(document, &session, &record, token)?
                .map(|at| (at, record)),
            None => None,
        };
        let Some((at, record)) = seated else {
            self.seats.retain(|taken| &*taken.document != document);
            return send(websocket, self.socket.deny(document)?).await;
        };
        catch_up(self.sessions, &self.seats[at].seat, &record).await?;
        let state = self.seats[at].seat.snapshot();
        for frame in self.socket.grant(document, &state) {
            send(websocket, frame).await?;
        }
        within(websocket.send(Message::Ping(OVERWRITE.into()))).await?;
        // It may have ended before this socket could hear the bell.
        self.leave_ended(websocket).await
    }

    /// Takes a seat in the session's room, or keeps the one there is. `None`: what hashes to the verifier is no
    /// challenge.
    fn sit(
        &mut self,
        document: &str,
        session: &RequestId,
        record: &Record,
        token: &str,
    ) -> Result<Option<usize>, Close> {
        let taken = self.seats.iter().position(|taken| &*taken.document == document);
        if taken.is_some() {
            return Ok(taken);
        }
        let mut secret = Zeroizing::new([0; SECRET_LEN]);
        let Ok(challenge) = Challenge::decode(token, &mut secret) else {
            return Ok(None);
        };
        let joined = self
            .sessions
            .registry
            .join(session, record, challenge, &self.bell);
        let seat = joined.map_err(|_| Close::RESET)?;
        self.seats.push(Taken {
            document: document.into(),
            seat,
            asks: 0,
            is_ending: false,
        });
        Ok(Some(self.seats.len() - 1))
    }

    async fn read(&mut self, websocket: &mut WebSocket, document: &str) -> Result<(), Over> {
        let Some(taken) = self.seats.iter().find(|taken| &*taken.document == document) else {
            return Ok(());
        };
        let state = taken.seat.snapshot();
        for frame in hub::Socket::answer_with(document, &state) {
            send(websocket, frame).await?;
        }
        Ok(())
    }

    fn ask(&mut self, document: &str, text: &str) {
        let Some(taken) = self.seats.iter_mut().find(|taken| &*taken.document == document) else {
            return;
        };
        let Ok(ask) = Ask::decode(text) else { return };
        let (id, document) = (ask.id().to_owned(), Box::from(document));
        if !taken.take_up(&ask, self.asks.len()) {
            let busy = answer::error(id, "slow_down", "too much is asked for at once");
            self.asks.push(Box::pin(async move { (document, busy) }));
            return;
        }
        // In a task of its own: what has been asked of the provider must be kept, even if the device leaves.
        let (sessions, session) = (self.sessions.clone(), taken.seat.room.session.clone());
        let answer = self
            .sessions
            .work
            .tasks
            .spawn(async move { answer::answer(&sessions, &session, ask).await });
        self.asks.push(Box::pin(async move {
            let reply = answer
                .await
                .unwrap_or_else(|_| answer::error(id, "server_error", "it went wrong"));
            (document, reply)
        }));
    }

    /// What the reply speaks of is sent before it (D-040): the bell may have rung at the same time.
    async fn answered(
        &mut self,
        websocket: &mut WebSocket,
        document: &str,
        reply: &Reply,
    ) -> Result<(), Over> {
        if let Some(taken) = self.seats.iter_mut().find(|taken| &*taken.document == document) {
            taken.asks = taken.asks.saturating_sub(1);
        }
        self.send_news(websocket).await?;
        send(websocket, hub::Socket::stateless(document, &reply.encode())).await
    }

    /// A room rang: sends what is new, and leaves the documents whose session is over.
    async fn tell_news(&mut self, websocket: &mut WebSocket) -> Result<(), Over> {
        self.send_news(websocket).await?;
        self.leave_ended(websocket).await
    }

    async fn send_news(&mut self, websocket: &mut WebSocket) -> Result<(), Over> {
        for taken in &self.seats {
            match taken.seat.news() {
                News::Nothing => {}
                News::Changes(updates) => {
                    for update in updates {
                        send(websocket, hub::Socket::update(&taken.document, &update)).await?;
                    }
                }
                News::State(state) => send(websocket, hub::Socket::update(&taken.document, &state)).await?,
            }
        }
        Ok(())
    }

    /// One bell may stand for several rooms: each whose session is over is left.
    async fn leave_ended(&mut self, websocket: &mut WebSocket) -> Result<(), Over> {
        while let Some(at) = self.seats.iter().position(|taken| taken.seat.room.is_over()) {
            // The one who asked is told before the socket goes.
            let until = tokio::time::Instant::now() + LAST_WORDS;
            while self.seats[at].asks > 0
                && let Ok(Some((document, reply))) = tokio::time::timeout_at(until, self.asks.next()).await
            {
                self.answered(websocket, &document, &reply).await?;
            }
            let taken = self.seats.swap_remove(at);
            send(websocket, self.socket.close(&taken.document, Close::ENDED.reason)).await?;
            if self.seats.is_empty() {
                return Err(Close::ENDED.into());
            }
        }
        Ok(())
    }

    async fn tick(&mut self, websocket: &mut WebSocket) -> Result<(), Over> {
        self.expire_logins();
        let signs_of_life = self.socket.handle_timeout(Instant::now())?;
        if signs_of_life.is_empty() {
            return Ok(());
        }
        for frame in signs_of_life {
            send(websocket, frame).await?;
        }
        within(websocket.send(Message::Ping(bytes::Bytes::new()))).await
    }

    /// Nobody signed in in time (D-005): the device is told, then the session ends. The record has expired by itself.
    fn expire_logins(&mut self) {
        for taken in &self.seats {
            let room = &taken.seat.room;
            if room.login_ends_in().is_some_and(|left| left.is_zero()) {
                room.expire();
            }
        }
    }
}

/// Returns the session whose challenge this is.
async fn proven(
    sessions: &Sessions,
    session: &str,
    token: &str,
) -> Result<Option<(RequestId, Record)>, Over> {
    let found = match session.parse::<RequestId>() {
        Ok(session) => {
            let found = sessions.records.find(&session).await;
            let found = found.map_err(|error| unreadable(&error))?;
            found.map(|(record, _)| (session, record))
        }
        Err(_) => None,
    };
    let verifier = found.as_ref().map_or_else(nobody, |(_, record)| record.verifier);
    Ok(found.filter(|_| verifier.accepts(token)))
}

/// A person may have signed in after the record was read and before the room could hear of it.
async fn catch_up(sessions: &Sessions, seat: &Seat<'_>, read: &Record) -> Result<(), Over> {
    if !read.is_pending() {
        // A room that was open already has heard of later records.
        if seat.is_first {
            audience::note(sessions, &seat.room, &read.stage);
        }
        return Ok(());
    }
    let shown = edit::show(sessions, &seat.room).await;
    shown.map_err(|error| Over::Close(unreadable(&error)))
}

/// The store stumbled: the device is asked to come back.
fn unreadable(error: &SessionError) -> Close {
    tracing::error!(error = chain(error), "a session could not be read");
    Close::GOING_AWAY
}

fn nobody() -> Verifier {
    NOBODY.parse().expect("43 characters of base64url")
}

async fn send(websocket: &mut WebSocket, frame: Vec<u8>) -> Result<(), Over> {
    within(websocket.send(Message::Binary(frame.into()))).await
}

fn is_too_big(error: &axum::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<WebSocketError>());
    matches!(cause, Some(WebSocketError::Capacity(_)))
}

/// A peer that takes nothing for so long is gone.
async fn within(sending: impl Future<Output = Result<(), axum::Error>>) -> Result<(), Over> {
    match tokio::time::timeout(SEND_WITHIN, sending).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Over::Gone),
    }
}
