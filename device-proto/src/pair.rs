//! Both ends joined in one thread: a whole conversation with simulated time, latency, loss and reordering.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::approval::{AnswerAt, Approval};
use crate::ask::{Ask, Decision as Decided, Reply};
use crate::device::{Disconnect, Event, Transmit};
use crate::doc::{Change, Map};
use crate::hub::{Close, Decision, Socket};
use crate::seal::{Key, KeyUse, Sealed};
use crate::{ApprovalId, Challenge, Device, Doc, RequestId, Verifier};

const SECRET: [u8; 32] = [42; 32];

fn challenge() -> Challenge<'static> {
    Challenge::new(&SECRET)
}

/// What the network does to a frame.
#[derive(Clone, Copy, Default)]
struct Weather {
    latency: Duration,
    /// Chance in 100 that the connection breaks at a frame.
    breaks: u8,
    /// Chance in 100 that a frame overtakes the one before it.
    reorders: u8,
}

/// A server that may restart, a device that may reconnect, and the network between them.
struct Pair {
    now: Instant,
    random: fastrand::Rng,
    weather: Weather,
    session: RequestId,
    verifier: Verifier,
    doc: Doc,
    device: Device,
    socket: Socket,
    up: VecDeque<(Instant, Vec<u8>)>,
    down: VecDeque<(Instant, Vec<u8>)>,
    broken: bool,
    /// The last token the device opened.
    token: Option<String>,
    /// The requests that the device shows, by what they say.
    approvals: BTreeMap<ApprovalId, String>,
    /// The requests that the server shows.
    pending: BTreeMap<ApprovalId, Sealed>,
    events: Vec<Event>,
    close: Option<Close>,
}

impl Pair {
    fn new(weather: Weather, seed: u64) -> Self {
        let now = Instant::now();
        let session: RequestId = "req-7Q2m".parse().unwrap();
        Self {
            now,
            random: fastrand::Rng::with_seed(seed),
            weather,
            verifier: challenge().verifier(),
            doc: Doc::new(1),
            device: Device::connect(session.clone(), challenge(), now),
            socket: Socket::new(now),
            session,
            up: VecDeque::new(),
            down: VecDeque::new(),
            broken: false,
            token: None,
            approvals: BTreeMap::new(),
            pending: BTreeMap::new(),
            events: Vec::new(),
            close: None,
        }
    }

    fn reconnect(&mut self) {
        self.device = Device::connect(self.session.clone(), challenge(), self.now);
        self.socket = Socket::new(self.now);
        self.up.clear();
        self.down.clear();
        self.broken = false;
        self.close = None;
        self.approvals.clear();
    }

    fn restart_server(&mut self) {
        self.doc = Doc::new(self.doc.writer() + 1);
        self.reconnect();
    }

    /// The server publishes a token, as after a login or a refresh.
    fn publish(&mut self, token: &str) {
        let key = Key::of_challenge(challenge(), &self.session, KeyUse::Token);
        let sealed = key.seal(
            "urn:d:x",
            self.random.u128(..).to_le_bytes()[..12].try_into().unwrap(),
            token.as_bytes(),
        );
        let update = self.doc.write(&[Change {
            map: Map::Tokens,
            key: "urn:d:x",
            value: sealed.as_str(),
        }]);
        self.down(Socket::update("req-7Q2m", &update));
    }

    /// A client asks for the person's decision.
    fn request(&mut self, n: u8) -> ApprovalId {
        let approval = Approval {
            request: ApprovalId::of_hash(&[n; 32]),
            client_name: format!("client {n}"),
            client_uri: None,
            client_vouched: false,
            scope: vec!["openid".into()],
            resources: vec![],
            binding_message: None,
            authorization_details: None,
            agent: None,
            created_at: 0,
            expires_at: 300,
            url: "https://c.example/".into(),
            answer: AnswerAt::Terminal,
        };
        let nonce = self.random.u128(..).to_le_bytes()[..12].try_into().unwrap();
        let sealed = approval.seal(challenge(), &self.session, nonce).unwrap();
        self.pending.insert(approval.request.clone(), sealed);
        self.show_approvals();
        approval.request
    }

    /// The request was decided, or its time is over.
    fn withdraw(&mut self, request: &ApprovalId) {
        self.pending.remove(request);
        self.show_approvals();
    }

    fn show_approvals(&mut self) {
        let shown = self.pending.iter().map(|(request, sealed)| Change {
            map: Map::Approvals,
            key: request.as_str(),
            value: sealed.as_str(),
        });
        let update = self.doc.write_all_of(Map::Approvals, &shown.collect::<Vec<_>>());
        self.down(Socket::update("req-7Q2m", &update));
    }

    fn up(&mut self, frame: Vec<u8>) {
        let due = self.now + self.weather.latency;
        deliver(
            &mut self.up,
            (due, frame),
            self.weather,
            &mut self.random,
            &mut self.broken,
        );
    }

    fn down(&mut self, frame: Vec<u8>) {
        let due = self.now + self.weather.latency;
        deliver(
            &mut self.down,
            (due, frame),
            self.weather,
            &mut self.random,
            &mut self.broken,
        );
    }

    /// Moves everything that is due; returns whether anything moved.
    fn step(&mut self) -> bool {
        let mut moved = false;
        while let Some(transmit) = self.device.poll_transmit() {
            moved = true;
            match transmit {
                Transmit::Frame(frame) => self.up(frame.to_vec()),
                Transmit::Ping => {
                    self.socket.heard(self.now);
                    self.device.handle_sign_of_life();
                }
            }
        }
        while let Some((_, frame)) = self.up.pop_front_if(|(due, _)| *due <= self.now) {
            moved = true;
            self.serve(&frame);
        }
        while let Some((_, frame)) = self.down.pop_front_if(|(due, _)| *due <= self.now) {
            moved = true;
            self.device.handle_message(&frame, challenge());
        }
        while let Some(event) = self.device.poll_event() {
            self.note(event);
        }
        moved
    }

    fn serve(&mut self, frame: &[u8]) {
        let sent = match self.socket.receive(self.now, frame) {
            Ok(Decision::Nothing) => vec![],
            Ok(Decision::Reply(reply) | Decision::Left { reply, .. }) => vec![reply],
            Ok(Decision::Prove {
                document,
                session,
                token,
            }) => {
                if session == self.session.as_str() && self.verifier.accepts(token.expose()) {
                    self.socket.grant(document, self.doc.state())
                } else {
                    self.socket.deny(document).into_iter().collect()
                }
            }
            Ok(Decision::Read { document }) => Socket::answer_with(document, self.doc.state()).into(),
            Ok(Decision::Ask { document, text }) => {
                let (document, ask) = (document.to_owned(), Ask::decode(text).unwrap());
                let reply = self.answer(ask);
                vec![Socket::stateless(&document, &reply.encode())]
            }
            Err(close) => {
                self.close = Some(close);
                vec![]
            }
        };
        for frame in sent {
            self.down(frame);
        }
    }

    fn answer(&mut self, ask: Ask) -> Reply {
        match ask {
            Ask::Decide { id, request, .. } if self.pending.contains_key(&request) => {
                self.withdraw(&request);
                Reply::Decided { id }
            }
            Ask::Decide { id, .. } => Reply::Error {
                id,
                error: "invalid_request".into(),
                error_description: String::new(),
            },
            Ask::Token { id, .. } | Ask::End { id } => Reply::Ended { id },
        }
    }

    fn note(&mut self, event: Event) {
        match &event {
            Event::Sealed { resource, sealed } => self.token = self.open(resource.as_str(), sealed),
            Event::Approval { request, sealed } => {
                let opened = Approval::open(challenge(), &self.session, request, sealed.clone());
                let name = opened.ok().unwrap().client_name;
                self.approvals.insert(request.clone(), name);
            }
            Event::ApprovalGone { request } => _ = self.approvals.remove(request),
            _ => {}
        }
        self.events.push(event);
    }

    fn open(&self, resource: &str, sealed: &str) -> Option<String> {
        let sealed = Sealed::try_from(sealed.to_owned()).ok()?;
        let key = Key::of_challenge(challenge(), &self.session, KeyUse::Token);
        let mut buffer = vec![0; sealed.plaintext_len()];
        let text = key.open(resource, &sealed, &mut buffer).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }

    /// Runs until nothing is under way.
    fn settle(&mut self) {
        loop {
            while self.step() {}
            let fronts = [self.up.front(), self.down.front()];
            let Some(next) = fronts.into_iter().flatten().map(|(due, _)| *due).min() else {
                return;
            };
            self.now = next.max(self.now);
        }
    }

    /// Lets time pass, keepalives and all.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.settle();
            let timers = [self.device.poll_timeout(), Some(self.socket.poll_timeout())];
            let Some(next) = timers
                .into_iter()
                .flatten()
                .min()
                .filter(|&t| t <= end && self.close.is_none())
            else {
                self.now = end;
                return;
            };
            self.now = next.max(self.now);
            self.device.handle_timeout(self.now);
            match self.socket.handle_timeout(self.now) {
                Ok(frames) => frames.into_iter().for_each(|frame| self.down(frame)),
                Err(close) => self.close = Some(close),
            }
        }
    }
}

fn deliver(
    queue: &mut VecDeque<(Instant, Vec<u8>)>,
    frame: (Instant, Vec<u8>),
    weather: Weather,
    random: &mut fastrand::Rng,
    broken: &mut bool,
) {
    *broken |= random.u8(..100) < weather.breaks;
    if *broken {
        return;
    }
    queue.push_back(frame);
    let last = queue.len() - 1;
    if last > 0 && random.u8(..100) < weather.reorders {
        queue.swap(last - 1, last);
    }
}

#[test]
fn a_token_published_before_or_after_the_connection_arrives() {
    let mut pair = Pair::new(
        Weather {
            latency: Duration::from_millis(40),
            ..Weather::default()
        },
        1,
    );
    pair.publish("first");
    pair.down.clear();
    pair.settle();
    assert_eq!(pair.token.as_deref(), Some("first"));
    pair.publish("second");
    pair.settle();
    assert_eq!(pair.token.as_deref(), Some("second"));
}

#[test]
fn d_011_a_wrong_proof_and_an_unknown_session_are_answered_alike() {
    let mut wrong = Pair::new(Weather::default(), 1);
    wrong.verifier = Verifier::of("another");
    wrong.settle();
    let mut unknown = Pair::new(Weather::default(), 1);
    unknown.device = Device::connect("req-none".parse().unwrap(), challenge(), unknown.now);
    unknown.settle();
    assert_eq!(wrong.events, [Event::Disconnected(Disconnect::Denied)]);
    assert_eq!(wrong.events, unknown.events);
}

#[test]
fn d_034_a_thousand_restarts_and_the_new_token_is_seen_a_thousand_times() {
    let mut pair = Pair::new(Weather::default(), 1);
    for n in 0..1_000 {
        pair.publish(&format!("token {n}"));
        pair.settle();
        assert_eq!(pair.token, Some(format!("token {n}")));
        pair.restart_server();
        pair.settle();
    }
}

#[test]
fn d_050_an_idle_connection_lives_for_a_day() {
    let mut pair = Pair::new(
        Weather {
            latency: Duration::from_millis(300),
            ..Weather::default()
        },
        1,
    );
    pair.pass(Duration::from_secs(24 * 3600));
    assert_eq!(pair.close, None);
    assert_eq!(pair.events, [Event::Synced]);
}

#[test]
fn d_050_a_half_open_connection_is_noticed_by_both_ends() {
    let mut pair = Pair::new(Weather::default(), 1);
    pair.settle();
    pair.broken = true;
    // The network swallows pings too: keep the simulated ping from being a short cut.
    for _ in 0..4 {
        pair.now += crate::device::KEEPALIVE;
        pair.device.handle_timeout(pair.now);
        while pair.device.poll_transmit().is_some() {}
    }
    assert_eq!(
        pair.device.poll_event(),
        Some(Event::Disconnected(Disconnect::Silent))
    );
    assert_eq!(pair.socket.handle_timeout(pair.now), Err(Close::TIMEOUT));
}

#[test]
fn an_ask_is_answered_with_its_id() {
    let mut pair = Pair::new(Weather::default(), 1);
    pair.settle();
    pair.device.ask(&Ask::End { id: "7".into() });
    pair.settle();
    assert_eq!(
        pair.events.last(),
        Some(&Event::Reply(Reply::Ended { id: "7".into() }))
    );
}

#[test]
fn in_any_weather_a_reconnect_in_the_calm_brings_the_newest_token() {
    for seed in 0..300 {
        let storm = Weather {
            latency: Duration::from_millis(50),
            breaks: 10,
            reorders: 30,
        };
        let mut pair = Pair::new(storm, seed);
        for n in 0..5 {
            pair.publish(&format!("token {n}"));
            pair.settle();
            if pair.broken || pair.random.bool() {
                pair.reconnect();
            }
        }
        pair.weather = Weather::default();
        pair.reconnect();
        pair.settle();
        assert_eq!(pair.token.as_deref(), Some("token 4"), "seed {seed}");
    }
}

#[test]
fn d_063_a_request_appears_is_decided_once_and_is_gone() {
    let mut pair = Pair::new(
        Weather {
            latency: Duration::from_millis(40),
            ..Weather::default()
        },
        1,
    );
    let before = pair.request(1);
    pair.settle();
    let after = pair.request(2);
    pair.settle();
    assert_eq!(pair.approvals[&before], "client 1");
    assert_eq!(pair.approvals[&after], "client 2");

    let decide = |id: &str| Ask::Decide {
        id: id.into(),
        request: before.clone(),
        decision: Decided::Approve,
    };
    pair.device.ask(&decide("1"));
    pair.device.ask(&decide("2"));
    pair.settle();
    let replies = pair.events.iter().filter_map(|event| match event {
        Event::Reply(reply) => Some(reply),
        _ => None,
    });
    let replies: Vec<_> = replies.collect();
    assert_eq!(replies[0], &Reply::Decided { id: "1".into() });
    assert!(matches!(replies[1], Reply::Error { id, .. } if id == "2"));
    assert_eq!(pair.approvals.keys().collect::<Vec<_>>(), [&after]);
}

#[test]
fn d_063_in_any_weather_a_reconnect_in_the_calm_shows_what_is_pending() {
    for seed in 0..100 {
        let storm = Weather {
            latency: Duration::from_millis(50),
            breaks: 10,
            reorders: 30,
        };
        let mut pair = Pair::new(storm, seed);
        for n in 0..8 {
            let request = pair.request(n);
            if pair.random.bool() {
                pair.withdraw(&request);
            }
            pair.settle();
            if pair.broken || pair.random.bool() {
                pair.reconnect();
            }
        }
        pair.weather = Weather::default();
        pair.reconnect();
        pair.settle();
        let shown: Vec<_> = pair.approvals.keys().collect();
        assert_eq!(shown, pair.pending.keys().collect::<Vec<_>>(), "seed {seed}");
    }
}
