//! Devices over real sockets, and an approver that keeps its requests in a list.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use ciba_tests::PATIENCE;
use device_proto::approval::{AnswerAt, MAX_APPROVALS};
use device_proto::ask::{Ask, Reply};
use device_proto::device::{Event, Transmit};
use device_proto::session::Status;
use device_proto::{Challenge, Device, RequestId, ResourceUrn};
use futures_util::future::BoxFuture;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use zeroize::Zeroizing;

use super::*;
use crate::config::Config;
use crate::device::approver::Approver;
use crate::device::edit::edit;
use crate::device::grant;
use crate::device::record::{Active, Record, Stage};
use crate::device::records::{Edit, SessionError};
use crate::random::random;
use crate::serve::{Door, Work, serve};
use crate::shutdown::Shutdown;
use crate::token::{AccessToken, Grant, Provider};

/// The requests of a server, each with its person.
struct List {
    pending: Mutex<BTreeMap<ApprovalId, (String, Approval)>>,
    /// A permit for each time that the pending ones are found.
    finds: Semaphore,
}

impl List {
    fn pending(&self) -> MutexGuard<'_, BTreeMap<ApprovalId, (String, Approval)>> {
        self.pending.lock().unwrap()
    }
}

impl Approver for List {
    fn pending<'a>(&'a self, person: &'a str) -> BoxFuture<'a, Vec<Approval>> {
        let pending = self.pending();
        let theirs = pending.values().filter(|(whose, _)| whose == person);
        let theirs: Vec<_> = theirs.map(|(_, approval)| approval.clone()).collect();
        drop(pending);
        Box::pin(async {
            self.finds.acquire().await.unwrap().forget();
            theirs
        })
    }

    fn decide<'a>(
        &'a self,
        person: &'a SignedIn,
        request: &'a ApprovalId,
        _: Decision,
    ) -> BoxFuture<'a, Result<(), Undecided>> {
        let mut pending = self.pending();
        let decided = match pending.get(request) {
            Some((whose, approval)) if *whose == person.sub => match approval.answer {
                AnswerAt::Terminal => Ok(()),
                AnswerAt::Browser => Err(Undecided::NeedsBrowser),
            },
            _ => Err(Undecided::NotPending),
        };
        if decided.is_ok() {
            pending.remove(request);
        }
        drop(pending);
        Box::pin(async move { decided })
    }
}

/// A server with a list of requests.
struct World {
    sessions: Sessions,
    list: Arc<List>,
    address: SocketAddr,
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ciba.toml");
        let text = "[login]\nissuer = \"https://id.example\"\nclient_id = \"ciba\"\nclient_secret = \"s\"\n";
        std::fs::write(&file, text).unwrap();
        let config = Config::load(&file, std::iter::empty()).unwrap();
        let url: url::Url = "http://127.0.0.1/".parse().unwrap();
        let provider = Provider::new(&config.login, url.join("auth/callback").unwrap()).unwrap();
        let list = Arc::new(List {
            pending: Mutex::default(),
            finds: Semaphore::new(1_000),
        });
        let (shutdown, work) = (Shutdown::default(), Work::default());
        let sessions = Sessions::new(
            &config,
            url,
            store::open("memory:", store::OpenMode::Alone).unwrap(),
            (Arc::new(provider), Arc::clone(&list) as Arc<dyn Approver>),
            (shutdown.clone(), work.clone()),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = Door {
            listener,
            router: crate::device::routes(sessions.clone()),
            tls: None,
        };
        tokio::spawn(async move { serve(vec![door], &shutdown, &work).await });
        Self {
            sessions,
            list,
            address,
        }
    }

    /// A client asks for a person's decision.
    fn request(&self, person: &str, n: u16) -> ApprovalId {
        self.ask(person, &approval(n))
    }

    fn ask(&self, person: &str, approval: &Approval) -> ApprovalId {
        let request = approval.request.clone();
        let entry = (person.to_owned(), approval.clone());
        self.list.pending().insert(request.clone(), entry);
        self.sessions.show_approval(person, approval);
        request
    }

    fn withdraw(&self, person: &str, request: &ApprovalId) {
        self.list.pending().remove(request);
        self.sessions.withdraw_approval(person, request);
    }

    /// Connects a new device on which a person is signed in.
    async fn device_of(&self, person: &str) -> Terminal {
        let login = Login::new();
        self.keep(&login, login.active(Some(person))).await;
        self.connect(login).await
    }

    async fn keep(&self, login: &Login, stage: Stage) {
        let record = Record {
            verifier: login.challenge().verifier(),
            resource: ResourceUrn::default(),
            device_name: None,
            address: "127.0.0.1".into(),
            user_code: "ABCD-EFGH".into(),
            created_at: now().seconds(),
            stage,
        };
        self.sessions
            .records
            .begin(&login.session, &record)
            .await
            .unwrap();
    }

    async fn connect(&self, login: Login) -> Terminal {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let url = format!("ws://{}/sync/device", self.address);
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        let device = Device::connect(login.session.clone(), login.challenge(), Instant::now());
        let mut terminal = Terminal {
            socket,
            device,
            login,
            shown: BTreeMap::new(),
            replies: Vec::new(),
            status: Status::Pending,
            is_synced: false,
        };
        terminal.until(|terminal| terminal.is_synced).await;
        terminal
    }

    /// Changes what a session is.
    async fn becomes(&self, login: &Login, stage: Stage) {
        let room = self.sessions.registry.hold(&login.session).unwrap();
        let changed = edit(&self.sessions, &room, |record| {
            record.as_mut().unwrap().stage = stage.clone();
            Ok::<_, SessionError>(Edit::Changed(()))
        });
        changed.await.unwrap();
    }
}

fn approval(n: u16) -> Approval {
    let mut hash = [0; 32];
    hash[..2].copy_from_slice(&n.to_be_bytes());
    Approval {
        request: ApprovalId::of_hash(&hash),
        client_name: format!("client {n}"),
        client_uri: None,
        client_vouched: false,
        scope: vec!["openid".into()],
        resources: vec![],
        binding_message: None,
        authorization_details: None,
        agent: None,
        created_at: now().seconds(),
        expires_at: now().plus(300).seconds(),
        url: "https://c.example/ciba/approve?auth_req_id=x".into(),
        answer: AnswerAt::Terminal,
    }
}

/// A session as its device knows it.
struct Login {
    secret: [u8; 32],
    session: RequestId,
}

impl Login {
    fn new() -> Self {
        Self {
            secret: random(),
            session: RequestId::from_random(random()),
        }
    }

    fn challenge(&self) -> Challenge<'_> {
        Challenge::new(&self.secret)
    }

    /// A person is signed in; the grant says that it is Ada.
    fn active(&self, sub: Option<&str>) -> Stage {
        let grant = Grant {
            access: AccessToken {
                text: Zeroizing::new("a token".into()),
                expires_at: u64::MAX,
                scope: None,
                issued_type: None,
            },
            refresh_token: None,
            refresh_ends: None,
            subject: Some("ada".into()),
        };
        Stage::Active(Active {
            sub: sub.map(Into::into),
            auth_time: None,
            subject: "Somebody".into(),
            grant: grant::seal(self.challenge(), &self.session, &grant).sealed,
            ends: None,
            tokens: BTreeMap::new(),
            writer: 1,
        })
    }
}

/// A device as `cibad` would be.
struct Terminal {
    socket: WebSocketStream<TcpStream>,
    device: Device,
    login: Login,
    shown: BTreeMap<ApprovalId, Approval>,
    replies: Vec<Reply>,
    status: Status,
    is_synced: bool,
}

impl Terminal {
    async fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        timeout(PATIENCE, self.until_ever(holds)).await.unwrap();
    }

    async fn until_ever(&mut self, holds: impl Fn(&Self) -> bool) {
        loop {
            while let Some(transmit) = self.device.poll_transmit() {
                if let Transmit::Frame(frame) = transmit {
                    let frame = Message::binary(frame.to_vec());
                    self.socket.send(frame).await.unwrap();
                }
            }
            if holds(self) {
                return;
            }
            if let Message::Binary(bytes) = self.socket.next().await.unwrap().unwrap() {
                self.device.handle_message(&bytes, self.login.challenge());
            }
            while let Some(event) = self.device.poll_event() {
                self.note(event);
            }
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Approval { request, sealed } => {
                let Login { session, .. } = &self.login;
                let opened = Approval::open(self.login.challenge(), session, &request, sealed);
                self.shown.insert(request, opened.unwrap());
            }
            Event::ApprovalGone { request } => _ = self.shown.remove(&request),
            Event::Reply(reply) => self.replies.push(reply),
            Event::Session(view) => self.status = view.status,
            Event::Synced => self.is_synced = true,
            Event::Sealed { .. } => {}
            Event::Disconnected(why) => panic!("{why}"),
        }
    }

    /// Waits until just these requests are shown.
    async fn shows(&mut self, requests: &[&ApprovalId]) {
        let shows = |terminal: &Self| terminal.shown.keys().eq(requests.iter().copied());
        self.until(shows).await;
    }

    /// Decides; returns the error code, if it does not count.
    async fn decides(&mut self, request: &ApprovalId) -> Option<String> {
        self.device.ask(&Ask::Decide {
            id: "1".into(),
            request: request.clone(),
            decision: Decision::Approve,
        });
        self.until(|terminal| !terminal.replies.is_empty()).await;
        match self.replies.remove(0) {
            Reply::Decided { .. } => None,
            Reply::Error { error, .. } => Some(error),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn c_211_a_request_is_shown_on_every_device_of_its_person_until_it_is_withdrawn() {
    let world = World::new().await;
    let (mut laptop, mut desk) = (world.device_of("ada").await, world.device_of("ada").await);
    let mut of_bob = world.device_of("bob").await;
    let (first, second) = (world.request("ada", 1), world.request("ada", 2));
    for terminal in [&mut laptop, &mut desk] {
        terminal.shows(&[&first, &second]).await;
        assert!(terminal.shown[&first] == world.list.pending()[&first].1);
    }
    world.withdraw("ada", &first);
    laptop.shows(&[&second]).await;
    desk.shows(&[&second]).await;
    let of_bobs = world.request("bob", 3);
    of_bob.shows(&[&of_bobs]).await;
}

#[tokio::test]
async fn c_211_a_device_that_connects_later_is_shown_what_is_pending() {
    let world = World::new().await;
    let (first, second) = (world.request("ada", 1), world.request("ada", 2));
    world.request("bob", 3);
    let mut terminal = world.device_of("ada").await;
    terminal.shows(&[&first, &second]).await;
    world.withdraw("ada", &first);
    let mut again = world.connect(terminal.login).await;
    again.shows(&[&second]).await;
}

#[tokio::test]
async fn c_211_a_login_that_becomes_active_is_shown_what_is_pending_and_one_that_fails_nothing() {
    let world = World::new().await;
    let request = world.request("ada", 1);
    let login = Login::new();
    let login_ends = now().plus(600).seconds();
    world.keep(&login, Stage::Pending { login_ends }).await;
    let mut terminal = world.connect(login).await;
    assert!(terminal.shown.is_empty());
    world
        .becomes(&terminal.login, terminal.login.active(Some("ada")))
        .await;
    terminal.shows(&[&request]).await;
    let failed = Stage::Failed {
        error: "login_required".into(),
        description: String::new(),
    };
    world.becomes(&terminal.login, failed).await;
    terminal.shows(&[]).await;
    let refused = terminal.decides(&request).await;
    assert_eq!(refused.as_deref(), Some("invalid_request"));
}

#[tokio::test]
async fn c_211_a_record_of_an_older_server_has_its_person_in_the_grant() {
    let world = World::new().await;
    let request = world.request("ada", 1);
    let login = Login::new();
    world.keep(&login, login.active(None)).await;
    world.connect(login).await.shows(&[&request]).await;
}

#[tokio::test]
async fn d_065_a_decision_counts_once_and_takes_the_request_off_every_device() {
    let world = World::new().await;
    let (mut laptop, mut desk) = (world.device_of("ada").await, world.device_of("ada").await);
    let request = world.request("ada", 1);
    laptop.shows(&[&request]).await;
    desk.shows(&[&request]).await;
    assert_eq!(laptop.decides(&request).await, None);
    assert!(laptop.shown.is_empty(), "it is gone before the reply");
    desk.shows(&[]).await;
    let again = desk.decides(&request).await;
    assert_eq!(again.as_deref(), Some("invalid_request"));
}

#[tokio::test]
async fn d_065_another_persons_request_and_one_for_the_browser_are_not_decided() {
    let world = World::new().await;
    let mut terminal = world.device_of("ada").await;
    let of_bob = world.request("bob", 1);
    let refused = terminal.decides(&of_bob).await;
    assert_eq!(refused.as_deref(), Some("invalid_request"));
    let in_browser = world.ask(
        "ada",
        &Approval {
            answer: AnswerAt::Browser,
            ..approval(2)
        },
    );
    terminal.shows(&[&in_browser]).await;
    let refused = terminal.decides(&in_browser).await;
    assert_eq!(refused.as_deref(), Some("login_required"));
    assert!(terminal.shown.contains_key(&in_browser), "it still waits");
    assert_eq!(world.list.pending().len(), 2);
}

#[tokio::test]
async fn d_064_of_a_thousand_requests_a_device_is_shown_as_many_as_it_may() {
    let world = World::new().await;
    for n in 0..500 {
        world.request("ada", n);
    }
    let mut terminal = world.device_of("ada").await;
    for n in 500..1_000 {
        world.request("ada", n);
    }
    terminal
        .until(|terminal| terminal.shown.len() >= MAX_APPROVALS)
        .await;
    let last = terminal.shown.keys().next_back().unwrap().clone();
    assert_eq!(terminal.decides(&last).await, None);
    // The next one moves up.
    terminal
        .until(|terminal| terminal.shown.len() == MAX_APPROVALS && !terminal.shown.contains_key(&last))
        .await;
}

#[tokio::test]
async fn d_063_what_is_withdrawn_while_a_device_connects_is_not_shown() {
    let world = World::new().await;
    world.list.finds.forget_permits(1_000);
    let (first, second) = (world.request("ada", 1), world.request("ada", 2));
    let mut terminal = world.device_of("ada").await;
    let third = world.request("ada", 3);
    terminal.shows(&[&third]).await;
    world.withdraw("ada", &first);
    world.list.finds.add_permits(1);
    terminal.shows(&[&second, &third]).await;
}

#[tokio::test]
async fn d_064_what_has_ended_is_taken_off_by_the_sweep() {
    let world = World::new().await;
    let mut terminal = world.device_of("ada").await;
    let ends = Approval {
        expires_at: now().plus(1).seconds(),
        ..approval(1)
    };
    let (ends, stays) = (world.ask("ada", &ends), world.request("ada", 2));
    terminal
        .until(|terminal| terminal.shown.contains_key(&stays))
        .await;
    let gone = async {
        while now().seconds() < world.list.pending()[&ends].1.expires_at {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
    world.sessions.drop_ended_approvals();
    terminal.shows(&[&stays]).await;
}

#[tokio::test]
async fn d_034_a_doc_that_is_worn_by_requests_begins_anew_and_its_record_knows() {
    let world = World::new().await;
    let mut terminal = world.device_of("ada").await;
    let session = terminal.login.session.clone();
    let stays = world.request("ada", 9_999);
    let kept = async || {
        let (mut record, _) = world.sessions.records.find(&session).await.unwrap().unwrap();
        record.active().unwrap().writer
    };
    for n in 0..2_000 {
        let request = world.request("ada", n);
        world.withdraw("ada", &request);
        tokio::task::yield_now().await;
        if kept().await > 1 {
            break;
        }
    }
    assert!(kept().await > 1, "the record knows the new writer");
    terminal.shows(&[&stays]).await;
    let mut again = world.connect(terminal.login).await;
    again.shows(&[&stays]).await;
}
