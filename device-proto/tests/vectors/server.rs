//! The recorded devices against our end: [`Socket`] with the doc, the proof and the clock that its caller adds.
//!
//! By design everywhere (hocuspocus.md §15): the scope is `readonly`; there is no SyncStep1 from us, since a
//! device has nothing to give; SyncStep2 is followed by SyncStatus 1 at once.

use std::time::Instant;

use device_proto::frame::{EMPTY_UPDATE, Sender};
use device_proto::hub::{Close, Decision, IDLE, MAX_DEVICE_FRAME, PROVE_WITHIN, Socket};
use device_proto::{Doc, Verifier};

use crate::recording::{DOCUMENT, Step, TOKEN, What, scenarios, word};

/// Each scenario: what the genuine server said, what ours says to the same frames, and why they differ beyond
/// what differs everywhere. `|` parts sockets.
const TABLE: &[(&str, &str, &str, &str)] = &[
    (
        "awareness",
        "yes(read-write) step1 step2 applied awareness awareness",
        "yes(readonly) step2 applied applied",
        "awareness is not passed on: a device has no peers",
    ),
    (
        "client-writes",
        "yes(read-write) step1 step2 applied applied update",
        "yes(readonly) step2 applied applied refused",
        "a device only reads, and what is refused is not passed on",
    ),
    (
        "ping",
        "yes(read-write) step1 step2 applied ping end(4401)",
        "yes(readonly) step2 applied applied",
        "no ping unless the caller knows the version; a pong is welcome at any time",
    ),
    ("probe-auth-twice", "yes(read-write)", "yes(readonly)", ""),
    ("probe-bad-utf8-name", "end(4401)", "end(4401)", ""),
    (
        "probe-broadcast-stateless",
        "yes(read-write) close(Reset Connection)",
        "yes(readonly) close(Reset Connection)",
        "",
    ),
    (
        "probe-close-before-auth",
        "yes(read-write) close(provider_initiated)",
        "yes(readonly) step2 applied",
        "a Close for a document that is not open is dropped, or it would end the next session",
    ),
    (
        "probe-close-message",
        "yes(read-write) close(provider_initiated) yes(read-write)",
        "yes(readonly) close(provider_initiated) yes(readonly)",
        "",
    ),
    ("probe-empty-awareness", "yes(read-write)", "yes(readonly)", ""),
    ("probe-empty-frame", "end(4401)", "end(4401)", ""),
    (
        "probe-empty-name",
        "yes(read-write) no(permission-denied)",
        "no(permission-denied)",
        "no yes before the doc is known to exist",
    ),
    (
        "probe-garbage-update",
        "yes(read-write) applied",
        "yes(readonly) refused",
        "an update that is not applied is not acknowledged",
    ),
    (
        "probe-idle-timeout",
        "yes(read-write) step1 step2 close(Connection Timeout) end(4408)",
        "yes(readonly) step2 applied end(4408)",
        "the socket ends without a Close: real devices notice that as well",
    ),
    ("probe-name-only", "end(4205)", "end(4205)", ""),
    ("probe-name-too-long", "end(4401)", "end(4401)", ""),
    (
        "probe-other-name-after-auth",
        "yes(read-write)",
        "yes(readonly)",
        "",
    ),
    (
        "probe-pong-unasked",
        "yes(read-write) end(4401)",
        "yes(readonly)",
        "a pong is welcome at any time",
    ),
    ("probe-query-awareness", "yes(read-write)", "yes(readonly)", ""),
    (
        "probe-sync-before-auth",
        "yes(read-write) step1 step2",
        "yes(readonly) step2 applied",
        "",
    ),
    (
        "probe-sync-between-auths",
        "no(permission-denied) yes(read-write) step1 step2",
        "no(permission-denied) yes(readonly) step2 applied",
        "",
    ),
    ("probe-sync-no-auth", "end(4408)", "end(4408)", ""),
    (
        "probe-sync-reply",
        "yes(read-write) step1 step2",
        "yes(readonly) step2 applied",
        "",
    ),
    ("probe-text-frame", "end(4401)", "end(4401)", ""),
    (
        "probe-too-big",
        "yes(read-write) end(1009)",
        "yes(readonly) says(1100 bytes)",
        "the recorded limit was 1,024 bytes",
    ),
    ("probe-truncated-auth", "end(4205)", "end(4205)", ""),
    (
        "probe-truncated-sync",
        "yes(read-write) close(Reset Connection)",
        "yes(readonly) close(Reset Connection)",
        "",
    ),
    (
        "probe-unknown-sync-step",
        "yes(read-write) close(Reset Connection)",
        "yes(readonly) close(Reset Connection)",
        "",
    ),
    ("probe-unknown-type", "yes(read-write)", "yes(readonly)", ""),
    (
        "probe-v2-v3-auth",
        "yes(read-write) step1 step2",
        "yes(readonly) step2 applied",
        "",
    ),
    (
        "query-awareness",
        "yes(read-write) step1 step2 applied awareness?",
        "yes(readonly) step2 applied applied",
        "awareness is not passed on: a device has no peers",
    ),
    (
        "read-only",
        "yes(readonly) step1 step2 applied refused",
        "yes(readonly) step2 applied applied refused",
        "",
    ),
    (
        "server-closes-document",
        "yes(read-write) step1 step2 applied close(Reset Connection) yes(read-write) close(provider_initiated) step1 step2",
        "yes(readonly) step2 applied applied close(provider_initiated) yes(readonly) step2 applied applied",
        "the reset was the recorded caller's; the Close that follows it here ends an open document, and none later",
    ),
    (
        "server-closes-socket",
        "yes(read-write) step1 step2 applied update end(4205) | yes(read-write) step1 step2 applied update",
        "yes(readonly) step2 applied applied | yes(readonly) step2 applied refused",
        "an old history is not taken back; the new token is the caller's to send",
    ),
    (
        "server-restarts",
        "yes(read-write) step1 step2 applied update end(1006) | yes(read-write) step1 step2 applied update",
        "yes(readonly) step2 applied applied | yes(readonly) step2 applied refused",
        "an old history is not taken back; the new token is the caller's to send",
    ),
    (
        "session-awareness",
        "yes(read-write) yes(read-write) step1 step1 step2 step2 applied applied update update",
        "yes(readonly) yes(readonly) step2 applied step2 applied applied applied",
        "updates are the caller's to send, when there is a token",
    ),
    (
        "silence",
        "yes(read-write) step1 step2 applied",
        "yes(readonly) step2 applied applied",
        "",
    ),
    (
        "stateless",
        "yes(read-write) step1 step2 applied says(echoed) says(to all)",
        "yes(readonly) step2 applied applied says(echo me)",
        "what is said back is the caller's",
    ),
    (
        "success-empty",
        "yes(read-write) step1 step2 applied close(provider_initiated)",
        "yes(readonly) step2 applied applied close(provider_initiated)",
        "",
    ),
    (
        "success-token-present",
        "yes(read-write) step1 step2 update applied",
        "yes(readonly) step2 applied applied",
        "updates are the caller's to send, when there is a token",
    ),
    (
        "token-pushed-later",
        "yes(read-write) step1 step2 applied update update update update update",
        "yes(readonly) step2 applied applied",
        "updates are the caller's to send, when there is a token",
    ),
    (
        "token-resync",
        "yes(read-write) step1 step2 applied proof?",
        "yes(readonly) step2 applied applied",
        "asking again is not ours; a proof that holds is met with silence",
    ),
    (
        "token-resync-refused",
        "yes(read-write) step1 step2 applied proof? close(rotated away)",
        "yes(readonly) step2 applied applied",
        "the recorded caller had changed its mind; ours has one verifier for a session",
    ),
    (
        "two-documents",
        "yes(read-write) yes(read-write) step1 step1 step2 step2 applied applied close(provider_initiated)",
        "yes(readonly) yes(readonly) step2 applied step2 applied applied applied close(provider_initiated)",
        "",
    ),
    (
        "wrong-token",
        "no(permission-denied) yes(read-write) step1 step2 applied",
        "no(permission-denied) yes(readonly) step2 applied step2 applied applied",
        "a SyncStep1 behind a wrong proof waits for the next one, so it is answered twice",
    ),
    (
        "wrong-token-reason",
        "no(expired)",
        "no(permission-denied)",
        "one reason for all denials (D-011)",
    ),
    (
        "wrong-token-timeout",
        "no(permission-denied) end(4408)",
        "no(permission-denied) end(4408)",
        "",
    ),
];

#[test]
fn d_010_each_recorded_device_is_answered_by_our_rules() {
    let scenarios = scenarios();
    assert_eq!(TABLE.len(), scenarios.len());
    for (scenario, theirs, ours, why) in TABLE {
        let sockets = &scenarios[scenario];
        assert_eq!(joined(sockets, recorded), *theirs, "{scenario}, recorded");
        assert_eq!(joined(sockets, answers), *ours, "{scenario}: {why}");
    }
}

fn joined(sockets: &[Vec<&Step>], say: impl Fn(&[&Step]) -> Vec<String>) -> String {
    let sockets: Vec<_> = sockets.iter().map(|socket| say(socket).join(" ")).collect();
    sockets.join(" | ")
}

fn recorded(socket: &[&Step]) -> Vec<String> {
    let server = socket.iter().filter(|step| step.sender == Sender::Server);
    server
        .map(|step| match &step.what {
            What::Message(bytes) => word(bytes, Sender::Server),
            What::End(code) => format!("end({code})"),
            What::Upgrade => unreachable!("the first step of a socket is cut off"),
        })
        .collect()
}

/// Gives one socket's device frames to ours; the recorded server's timeouts become ours.
fn answers(steps: &[&Step]) -> Vec<String> {
    let mut caller = Caller::new();
    let mut said = Vec::new();
    for step in steps {
        let answer = match (&step.what, step.sender) {
            (What::Message(bytes), Sender::Device) => caller.receive(bytes),
            (What::End(4408), Sender::Server) => caller.wait(),
            _ => Ok(Vec::new()),
        };
        match answer {
            Ok(frames) => said.extend(frames.iter().map(|frame| word(frame, Sender::Server))),
            Err(close) => {
                said.push(format!("end({})", close.code));
                break;
            }
        }
    }
    said
}

/// What `ciba-server` does around a [`Socket`]: the size limit, the proof, the doc, the clock.
struct Caller {
    now: Instant,
    socket: Socket,
    verifier: Verifier,
    doc: Doc,
}

impl Caller {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            now,
            socket: Socket::new(now),
            verifier: Verifier::of(TOKEN),
            doc: Doc::new(2),
        }
    }

    fn receive(&mut self, message: &[u8]) -> Result<Vec<Vec<u8>>, Close> {
        if message.len() > MAX_DEVICE_FRAME {
            return Err(Close::TOO_BIG);
        }
        match self.socket.receive(self.now, message)? {
            Decision::Prove {
                document,
                session,
                token,
            } => {
                let known = session == DOCUMENT || session == "req-other";
                if known && self.verifier.accepts(token.expose()) {
                    Ok(self.socket.grant(document, self.doc.state()))
                } else {
                    Ok(vec![self.socket.deny(document)?])
                }
            }
            Decision::Read { document } => Ok(Socket::answer_with(document, self.doc.state()).into()),
            Decision::Ask { document, text } => Ok(vec![Socket::stateless(document, text)]),
            Decision::Reply(reply) | Decision::Left { reply, .. } => Ok(vec![reply]),
            Decision::Nothing => Ok(Vec::new()),
        }
    }

    /// Lets the time pass in which nothing is heard.
    fn wait(&mut self) -> Result<Vec<Vec<u8>>, Close> {
        let patience = self.now + IDLE.max(PROVE_WITHIN);
        while self.now < patience {
            self.now = self.socket.poll_timeout();
            self.socket.handle_timeout(self.now)?;
        }
        panic!("a silent socket lives longer than {IDLE:?}")
    }
}

#[test]
fn d_013_a_recorded_device_changes_nothing() {
    for socket in scenarios().into_values().flatten() {
        let mut caller = Caller::new();
        for step in socket.iter().filter(|step| step.sender == Sender::Device) {
            if step.message().is_some_and(|bytes| caller.receive(bytes).is_err()) {
                break;
            }
        }
        assert_eq!(caller.doc.state(), EMPTY_UPDATE);
    }
}

#[test]
fn d_034_a_device_that_hands_back_an_old_history_is_refused() {
    for scenario in ["server-restarts", "server-closes-socket"] {
        let second = answers(&scenarios()[scenario][1]);
        assert_eq!(second.last().map(String::as_str), Some("refused"), "{scenario}");
    }
}
