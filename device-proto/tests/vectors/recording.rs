//! Reads the recording and puts its frames into words.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use device_proto::frame::{Auth, Message, Packet, Sender, Sync};
use serde::Deserialize;

/// The challenge of every recorded device.
pub(crate) const TOKEN: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// The document of nearly every scenario.
pub(crate) const DOCUMENT: &str = "req-7Q2m";

/// One recorded step.
pub(crate) struct Step {
    /// `scenario/number-type`.
    pub(crate) name: String,
    pub(crate) sender: Sender,
    pub(crate) what: What,
    /// What the recording says it is.
    pub(crate) summary: String,
}

/// What happened in a step.
pub(crate) enum What {
    /// A new socket.
    Upgrade,
    /// One WebSocket message.
    Message(Vec<u8>),
    /// The socket's end, with its code.
    End(u16),
}

impl Step {
    /// Returns the message's bytes, if the step is one.
    pub(crate) fn message(&self) -> Option<&[u8]> {
        match &self.what {
            What::Message(bytes) => Some(bytes),
            What::Upgrade | What::End(_) => None,
        }
    }
}

/// Every step, in order.
pub(crate) static STEPS: LazyLock<Vec<Step>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Raw {
        name: String,
        direction: String,
        hex: String,
        upgrade: Option<serde_json::Value>,
        close: Option<Closed>,
        decoded: Decoded,
    }
    #[derive(Deserialize)]
    struct Closed {
        code: u16,
    }
    #[derive(Deserialize)]
    struct Decoded {
        summary: String,
    }
    let raw: Vec<Raw> = serde_json::from_str(include_str!("../hocuspocus-vectors.json")).unwrap();
    let step = |raw: Raw| Step {
        sender: if raw.direction == "client->server" {
            Sender::Device
        } else {
            Sender::Server
        },
        what: match (raw.upgrade, raw.close) {
            (Some(_), _) => What::Upgrade,
            (_, Some(closed)) => What::End(closed.code),
            _ => What::Message(bytes(&raw.hex)),
        },
        name: raw.name,
        summary: raw.decoded.summary,
    };
    raw.into_iter().map(step).collect()
});

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The scenarios by name, each cut into its sockets: the steps behind one upgrade.
pub(crate) fn scenarios() -> BTreeMap<&'static str, Vec<Vec<&'static Step>>> {
    let mut scenarios: BTreeMap<_, Vec<Vec<_>>> = BTreeMap::new();
    for step in &*STEPS {
        let (scenario, _) = step.name.split_once('/').unwrap();
        let sockets = scenarios.entry(scenario).or_default();
        match step.what {
            What::Upgrade => sockets.push(Vec::new()),
            _ => sockets.last_mut().unwrap().push(step),
        }
    }
    scenarios
}

/// The step with this name.
pub(crate) fn step(name: &str) -> &'static Step {
    STEPS.iter().find(|step| step.name.starts_with(name)).unwrap()
}

/// Says what a message is in as few words as the tables of this suite use, without its document.
pub(crate) fn word(message: &[u8], sender: Sender) -> String {
    let message = match Packet::decode(message, sender) {
        Ok(Packet::Ping) => return "ping".into(),
        Ok(Packet::Pong) => return "pong".into(),
        Ok(Packet::Frame(frame)) => frame.message,
        Err(_) => return "broken".into(),
    };
    match message {
        Message::Auth(Auth::Granted { scope }) => format!("yes({scope})"),
        Message::Auth(Auth::Denied { reason }) => format!("no({reason})"),
        Message::Auth(Auth::Wanted) => "proof?".into(),
        Message::Auth(Auth::Token { .. }) => "proof".into(),
        Message::Sync(sync) | Message::SyncReply(sync) => match sync {
            Sync::Step1(_) => "step1".into(),
            Sync::Step2(_) => "step2".into(),
            Sync::Update(_) => "update".into(),
        },
        Message::SyncStatus(true) => "applied".into(),
        Message::SyncStatus(false) => "refused".into(),
        Message::Awareness(_) => "awareness".into(),
        Message::QueryAwareness => "awareness?".into(),
        Message::Stateless(text) if text.len() > 16 => format!("says({} bytes)", text.len()),
        Message::Stateless(text) => format!("says({text})"),
        Message::BroadcastStateless(_) => "broadcast".into(),
        Message::Close(reason) => format!("close({})", reason.unwrap_or_default()),
        Message::Unknown(kind) => format!("type {kind}"),
    }
}
