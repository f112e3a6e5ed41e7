//! A `ciba-server` of a few lines, for tests: answers the POST that begins a login, and serves one device doc
//! through the real server's half of the protocol.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use device_proto::approval::Approval;
use device_proto::ask::{Ask, Reply};
use device_proto::doc::{Change, Map};
use device_proto::hub::{Decision, Socket};
use device_proto::seal::{Key, KeyUse};
use device_proto::token::Token;
use device_proto::{Challenge, Doc, RequestId, Verifier};
use futures_util::{SinkExt as _, StreamExt as _};
use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

pub(crate) const SESSION: &str = "req-7Q2m";
pub(crate) const PAGE: &str = "https://c.example/login/req-7Q2m";

/// How the server answers a token request.
#[derive(Clone, Copy)]
pub(crate) enum OnAsk {
    /// With a fresh token that ends then.
    Publish(u64),
    /// Not at all.
    Silence,
    /// With an error.
    Refuse(&'static str),
    /// By closing the connection.
    HangUp,
}

/// The server. It ends when it is dropped.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    world: Arc<World>,
    up: CancellationToken,
    tasks: TaskTracker,
}

struct World {
    state: Mutex<State>,
    frames: broadcast::Sender<Message>,
}

/// What the server knows.
pub(crate) struct State {
    doc: Doc,
    verifier: Option<Verifier>,
    challenge: [u8; 32],
    pub(crate) on_ask: OnAsk,
    /// A whole HTTP answer in place of the usual one.
    pub(crate) answer: Option<Vec<u8>>,
    /// A whole HTTP answer in place of the WebSocket.
    pub(crate) upgrade: Option<Vec<u8>>,
    /// Bytes of what the last login's POST said.
    pub(crate) posted: String,
    pub(crate) posts: u32,
    pub(crate) sockets: u32,
    pub(crate) asks: Vec<Ask>,
    nonce: u8,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.up.cancel();
    }
}

impl Fake {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = State {
            doc: Doc::new(1),
            verifier: None,
            challenge: [0; 32],
            on_ask: OnAsk::Silence,
            answer: None,
            upgrade: None,
            posted: String::new(),
            posts: 0,
            sockets: 0,
            asks: Vec::new(),
            nonce: 0,
        };
        let world = World {
            state: Mutex::new(state),
            frames: broadcast::channel(64).0,
        };
        let mut fake = Self {
            address: listener.local_addr().unwrap(),
            world: Arc::new(world),
            up: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        fake.serve(listener);
        fake
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.world.state.lock().unwrap()
    }

    /// The power fails: no port, no connection, no doc.
    pub(crate) async fn go_down(&mut self) {
        self.up.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let mut state = self.state();
        state.doc = Doc::new(state.doc.writer() + 1);
    }

    pub(crate) async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener);
    }

    /// The login is done: the token and the session's entries are in the doc.
    pub(crate) fn log_in(&self, resource: &str, expires_at: u64) {
        self.publish(resource, expires_at);
        self.session(&[("subject", "Ada"), ("status", "active")]);
    }

    pub(crate) fn publish(&self, resource: &str, expires_at: u64) {
        let update = self.state().seal(resource, expires_at);
        self.send(Socket::update(SESSION, &update));
    }

    /// Puts a text into the token's place that no challenge opens.
    pub(crate) fn publish_garbage(&self, resource: &str) {
        let update = self.state().doc.write(&[Change {
            map: Map::Tokens,
            key: resource,
            value: "a..b.c.d",
        }]);
        self.send(Socket::update(SESSION, &update));
    }

    /// Shows these requests, and no others.
    pub(crate) fn show_approvals(&self, approvals: &[Approval]) {
        let update = self.state().show_approvals(approvals);
        self.send(Socket::update(SESSION, &update));
    }

    pub(crate) fn session(&self, entries: &[(&str, &str)]) {
        let changes: Vec<_> = entries
            .iter()
            .map(|(key, value)| Change {
                map: Map::Session,
                key,
                value,
            })
            .collect();
        let update = self.state().doc.write(&changes);
        self.send(Socket::update(SESSION, &update));
    }

    /// Says these bytes to every device.
    pub(crate) fn send(&self, frame: Vec<u8>) {
        let _ = self.world.frames.send(Message::binary(frame));
    }

    /// Forgets every session, as a server with a throw-away store does when it restarts.
    pub(crate) fn forget(&self) {
        self.state().verifier = None;
    }

    fn serve(&mut self, listener: TcpListener) {
        self.up = CancellationToken::new();
        self.tasks = TaskTracker::new();
        let (world, up, tasks) = (Arc::clone(&self.world), self.up.clone(), self.tasks.clone());
        self.tasks
            .spawn(self.up.clone().run_until_cancelled_owned(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let connection = connection(stream, Arc::clone(&world));
                    tasks.spawn(up.clone().run_until_cancelled_owned(connection));
                }
            }));
    }
}

impl State {
    fn seal(&mut self, resource: &str, expires_at: u64) -> Vec<u8> {
        self.nonce += 1;
        let text = format!("secret-{}", self.nonce);
        let token = Token {
            access_token: text.into(),
            token_type: "Bearer".into(),
            expires_at,
            scope: None,
            issued_token_type: None,
            resource: resource.into(),
        };
        let session: RequestId = SESSION.parse().unwrap();
        let key = Key::of_challenge(Challenge::new(&self.challenge), &session, KeyUse::Token);
        let sealed = key.seal(resource, [self.nonce; 12], &token.encode());
        self.doc.write(&[Change {
            map: Map::Tokens,
            key: resource,
            value: sealed.as_str(),
        }])
    }

    fn show_approvals(&mut self, approvals: &[Approval]) -> Vec<u8> {
        let (session, challenge) = (SESSION.parse().unwrap(), Challenge::new(&self.challenge));
        let sealed = approvals.iter().map(|approval| {
            self.nonce += 1;
            let sealed = approval.seal(challenge, &session, [self.nonce; 12]).unwrap();
            (approval.request.as_str(), sealed.to_string())
        });
        let sealed: Vec<_> = sealed.collect();
        let entries = sealed.iter().map(|(key, value)| Change {
            map: Map::Approvals,
            key,
            value,
        });
        self.doc
            .write_all_of(Map::Approvals, &entries.collect::<Vec<_>>())
    }

    fn begin(&mut self, body: &[u8]) -> Vec<u8> {
        self.posts += 1;
        self.posted = String::from_utf8(body.to_vec()).unwrap();
        if let Some(answer) = &self.answer {
            return answer.clone();
        }
        let posted: serde_json::Value = serde_json::from_slice(body).unwrap();
        self.verifier = Some(posted["verifier"].as_str().unwrap().parse().unwrap());
        let answer =
            format!(r#"{{"requestId":"{SESSION}","url":"{PAGE}","expiresIn":600,"userCode":"ABCD-EFGH"}}"#);
        http("200 OK", &answer)
    }

    /// Returns what to send, or nothing to hang up.
    fn decide(&mut self, socket: &mut Socket, message: &[u8]) -> Option<Vec<Message>> {
        let now = tokio::time::Instant::now().into_std();
        let frames = match socket.receive(now, message).ok()? {
            Decision::Nothing => vec![],
            Decision::Reply(reply) | Decision::Left { reply, .. } => vec![reply],
            Decision::Read { document } => Socket::answer_with(document, self.doc.state()).into(),
            Decision::Prove { document, token, .. } => match self.verifier {
                Some(verifier) if verifier.accepts(token.expose()) => {
                    Challenge::decode(token.expose(), &mut self.challenge).unwrap();
                    socket.grant(document, self.doc.state())
                }
                _ => vec![socket.deny(document).ok()?],
            },
            Decision::Ask { document, text } => return self.answer(document, Ask::decode(text).unwrap()),
        };
        Some(frames.into_iter().map(Message::binary).collect())
    }

    fn answer(&mut self, document: &str, ask: Ask) -> Option<Vec<Message>> {
        self.asks.push(ask.clone());
        let reply = |reply: Reply| Message::binary(Socket::stateless(document, &reply.encode()));
        Some(match (ask, self.on_ask) {
            (Ask::End { id }, _) => vec![
                reply(Reply::Ended { id }),
                Message::Close(Some(CloseFrame {
                    code: 1000.into(),
                    reason: "session ended".into(),
                })),
            ],
            (Ask::Token { id, resource, .. }, OnAsk::Publish(expires_at)) => {
                let update = self.seal(resource.as_str(), expires_at);
                vec![
                    Message::binary(Socket::update(document, &update)),
                    reply(Reply::TokenReady { id, resource }),
                ]
            }
            (Ask::Decide { id, .. }, OnAsk::Publish(_)) => vec![reply(Reply::Decided { id })],
            (ask, OnAsk::Refuse(error)) => vec![reply(Reply::Error {
                id: ask.id().into(),
                error: error.into(),
                error_description: String::new(),
            })],
            (_, OnAsk::Silence) => vec![],
            (_, OnAsk::HangUp) => return None,
        })
    }
}

pub(crate) fn http(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

async fn connection(mut stream: TcpStream, world: Arc<World>) {
    let mut method = [0; 4];
    while stream
        .peek(&mut method)
        .await
        .is_ok_and(|read| (1..4).contains(&read))
    {}
    if &method == b"POST" {
        let body = body(&mut stream).await;
        let answer = world.state.lock().unwrap().begin(&body);
        say(stream, &answer).await;
        return;
    }
    let upgrade = world.state.lock().unwrap().upgrade.clone();
    match upgrade {
        Some(answer) => say(stream, &answer).await,
        None => device(stream, &world).await,
    }
}

async fn say(mut stream: TcpStream, answer: &[u8]) {
    stream.write_all(answer).await.unwrap();
    stream.shutdown().await.unwrap();
    // Until the client has closed as well: what it has not read yet must not be taken back.
    while stream.read(&mut [0; 512]).await.is_ok_and(|read| read > 0) {}
}

async fn body(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    loop {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0, "half a request");
        let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let (_, length) = head.split_once("content-length: ").unwrap();
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        if body.len() >= length {
            return read.split_off(read.len() - length);
        }
    }
}

async fn device(stream: TcpStream, world: &World) {
    let mut frames = world.frames.subscribe();
    let Ok(mut websocket) = tokio_tungstenite::accept_async(stream).await else {
        return;
    };
    let mut socket = Socket::new(tokio::time::Instant::now().into_std());
    world.state.lock().unwrap().sockets += 1;
    loop {
        let out = tokio::select! {
            message = websocket.next() => match message {
                Some(Ok(Message::Binary(bytes))) => world.state.lock().unwrap().decide(&mut socket, &bytes),
                Some(Ok(_)) => Some(vec![]),
                _ => None,
            },
            frame = frames.recv() => Some(vec![frame.unwrap()]),
        };
        let Some(out) = out else { return };
        for message in out {
            if websocket.send(message).await.is_err() {
                return;
            }
        }
    }
}

/// An echo behind TLS, with a certificate that only [`Tls::trusted`] accepts.
pub(crate) struct Tls {
    address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

/// One certificate for all tests.
static CERTIFICATE: LazyLock<CertifiedKey<KeyPair>> =
    LazyLock::new(|| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());

impl Tls {
    pub(crate) async fn new() -> Self {
        crate::tls::install();
        let key = PrivateKeyDer::Pkcs8(CERTIFICATE.signing_key.serialize_der().into());
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![CERTIFICATE.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that trusts nobody leaves in the middle.
                let Ok(stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let Ok(socket) = tokio_tungstenite::accept_async(stream).await else {
                    continue;
                };
                let (out, messages) = socket.split();
                let _ = messages.forward(out).await;
            }
        });
        Self {
            address,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Returns a configuration that accepts the certificate.
    pub(crate) fn trusted() -> Result<rustls::ClientConfig, rustls::Error> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CERTIFICATE.cert.der().clone())?;
        let config = rustls::ClientConfig::builder().with_root_certificates(roots);
        Ok(config.with_no_client_auth())
    }
}
