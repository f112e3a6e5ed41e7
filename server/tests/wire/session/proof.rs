//! D-010 … D-014: which device may read a doc, that none may write it, and what a socket may cost.

use device_proto::frame::{Auth, EMPTY_STATE_VECTOR, EMPTY_UPDATE, Message, Sync};
use device_proto::hub::{MAX_DEVICE_FRAME, MAX_DOCUMENTS, MAX_EARLY_FRAMES, MAX_SOCKETS};
use tokio_tungstenite::tungstenite::Message as WsMessage;

use crate::kit::server::Server;
use crate::kit::session::{Session, framed, handshake};
use crate::kit::socket::{Heard, Raw};
use crate::kit::until;

/// Well-formed, and of no session.
const WRONG: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// What a server may grow by while peers send it nonsense, kB.
const GROWS_BY: u64 = 16 * 1024;

#[tokio::test]
async fn d_011_a_wrong_challenge_and_an_unknown_session_get_the_same_answer() {
    let server = Server::dev().await;
    let session = Session::begin(&server).await;
    let connected = Session::begin(&server).await;
    let mut device = Raw::granted(&server, &connected).await;
    // 22 characters of base64url, as every request id.
    let unknown = "AAAAAAAAAAAAAAAAAAAAAA";
    for document in [session.id.as_str(), connected.id.as_str(), unknown] {
        for token in [
            WRONG,
            "",
            "short",
            &"x".repeat(10_000),
            &connected.challenge_text().to_lowercase(),
        ] {
            let mut raw = Raw::connect(&server).await;
            raw.send_all(handshake(document, token)).await;
            let denied = Message::Auth(Auth::Denied {
                reason: "permission-denied",
            });
            assert_eq!(raw.frame().await, framed(document, denied));
            // Not closed, and nothing but the same again: the second proof is heard.
            raw.send_all(handshake(document, WRONG)).await;
            assert_eq!(raw.frame().await, framed(document, denied));
            raw.send_all(handshake(document, WRONG)).await;
            assert_eq!(
                raw.hear().await,
                Heard::Closed(4401),
                "the third wrong proof is the last"
            );
        }
    }
    device.round_trip(connected.id.as_str()).await;
    server.stop().await;
}

#[tokio::test]
async fn d_010_a_proof_may_come_after_a_wrong_one_and_behind_the_question() {
    let server = Server::dev().await;
    let session = Session::begin(&server).await;
    let document = session.id.as_str();
    let [proof, question] = session.handshake();
    let mut raw = Raw::connect(&server).await;
    raw.send_all(handshake(document, WRONG)).await;
    raw.frame().await;
    raw.send_all([question, proof]).await;
    assert_eq!(
        raw.frame().await,
        framed(document, Message::Auth(Auth::Granted { scope: "readonly" }))
    );
    raw.round_trip(document).await;
    server.stop().await;
}

#[tokio::test]
async fn d_010_nothing_of_the_doc_is_shown_before_the_proof() {
    let server = Server::dev().await;
    let session = Session::begin(&server).await;
    let document = session.id.as_str();
    let mut raw = Raw::connect(&server).await;
    for message in [
        Message::Sync(Sync::Step1(EMPTY_STATE_VECTOR)),
        Message::SyncReply(Sync::Step1(EMPTY_STATE_VECTOR)),
        Message::QueryAwareness,
        Message::Stateless(r#"{"type":"session.end","id":"x"}"#),
        Message::Close(None),
    ] {
        raw.send(framed(document, message)).await;
    }
    raw.send_all(handshake("another", WRONG)).await;
    let denied = Message::Auth(Auth::Denied {
        reason: "permission-denied",
    });
    assert_eq!(
        raw.frame().await,
        framed("another", denied),
        "the first thing that is answered"
    );
    Raw::granted(&server, &session).await;
    server.stop().await;
}

#[tokio::test]
async fn d_013_a_device_writes_nothing() {
    let server = Server::dev().await;
    let session = Session::begin(&server).await;
    let document = session.id.as_str();
    let mut raw = Raw::granted(&server, &session).await;
    let mut other = Raw::granted(&server, &session).await;
    let before = other.round_trip(document).await;

    let mut doc = device_proto::Doc::new(u64::from(u32::MAX));
    let change = device_proto::doc::Change {
        map: device_proto::doc::Map::Session,
        key: "status",
        value: "active",
    };
    let update = doc.write(&[change]);
    let nested = nested_update(12_500);
    let garbage = vec![0xff; 1000];
    for (sync, applied) in [
        (Sync::Step2(EMPTY_UPDATE), true),
        (Sync::Step2(&update), false),
        (Sync::Update(EMPTY_UPDATE), false),
        (Sync::Update(&update), false),
        (Sync::Update(&nested), false),
        (Sync::Step2(&nested), false),
        (Sync::Update(&garbage), false),
    ] {
        for message in [Message::Sync(sync), Message::SyncReply(sync)] {
            raw.send(framed(document, message)).await;
            assert_eq!(raw.frame().await, framed(document, Message::SyncStatus(applied)));
        }
    }
    // A state vector that claims half a gigabyte of clients is not looked at either.
    raw.send(framed(
        document,
        Message::Sync(Sync::Step1(&[0xff, 0xff, 0xff, 0x7f, 1, 1, 1])),
    ))
    .await;
    raw.frame().await;
    raw.frame().await;
    assert_eq!(raw.round_trip(document).await, before);
    assert_eq!(other.round_trip(document).await, before);
    server.stop().await;
}

/// A map entry whose value is an array in an array in an array, this many bytes.
fn nested_update(bytes: usize) -> Vec<u8> {
    let mut update = vec![1, 1, 1, 0, 0x28, 1, 6];
    update.extend(b"tokens\x01k\x01");
    update.extend([117, 1].repeat(bytes / 2));
    update.extend([126, 0]);
    update
}

#[tokio::test]
async fn d_014_each_limit_has_its_close_code_and_others_notice_nothing() {
    let server = Server::dev().await;
    let session = Session::begin(&server).await;
    let document = session.id.as_str();
    let mut device = Raw::granted(&server, &session).await;
    let state = device.round_trip(document).await;
    let early = framed("x", Message::QueryAwareness);
    let many: Vec<Vec<u8>> = (0..=MAX_DOCUMENTS)
        .map(|n| {
            framed(
                &format!("doc {n}"),
                Message::Sync(Sync::Step1(EMPTY_STATE_VECTOR)),
            )
        })
        .collect();
    let broken: [(&str, Vec<Vec<u8>>, u16); 8] = [
        ("an empty frame", vec![vec![]], 4401),
        ("a name beyond the end", vec![b"\x09abc".to_vec()], 4401),
        ("a name that is no text", vec![b"\x01\xff\x00".to_vec()], 4401),
        ("only a name", vec![b"\x01d".to_vec()], 4205),
        ("a truncated proof", vec![b"\x01d\x02\x00\x2b".to_vec()], 4205),
        (
            "too many early frames",
            vec![early; MAX_EARLY_FRAMES.into()],
            4205,
        ),
        ("too many documents", many, 4205),
        ("a frame over 64 KiB", vec![vec![0; MAX_DEVICE_FRAME + 1]], 1009),
    ];
    for (what, frames, code) in broken {
        let mut raw = Raw::connect(&server).await;
        raw.send_all(frames).await;
        assert_eq!(raw.hear().await, Heard::Closed(code), "{what}");
        assert_eq!(device.round_trip(document).await, state, "{what}");
    }
    let mut text = Raw::connect(&server).await;
    text.send_message(WsMessage::text("\u{9}abc")).await;
    assert_eq!(
        text.hear().await,
        Heard::Closed(4401),
        "a text is read as its bytes"
    );
    let mut largest = Raw::connect(&server).await;
    let mut frame = session.handshake()[0].clone();
    frame.resize(MAX_DEVICE_FRAME, 0);
    largest.send(frame).await;
    largest.round_trip(document).await;
    server.stop().await;
}

#[tokio::test]
async fn d_014_an_open_document_that_is_misused_ends_alone() {
    let server = Server::dev().await;
    let sessions = [Session::begin(&server).await, Session::begin(&server).await];
    let [first, second] = sessions.each_ref().map(|session| session.id.as_str());
    for misuse in [Message::BroadcastStateless("x"), Message::Unknown(0)] {
        let mut raw = Raw::granted(&server, &sessions[0]).await;
        raw.send_all(sessions[1].handshake()).await;
        raw.round_trip(second).await;
        raw.send(framed(first, misuse)).await;
        loop {
            if raw.frame().await == framed(first, Message::Close(Some("Reset Connection"))) {
                break;
            }
        }
        raw.round_trip(second).await;
    }
    let mut raw = Raw::granted(&server, &sessions[0]).await;
    raw.send(framed(first, Message::Unknown(77))).await;
    raw.round_trip(first).await;
    server.stop().await;
}

#[tokio::test]
async fn d_014_the_fifth_socket_is_refused_until_one_leaves() {
    let server = Server::dev().await;
    let session = Session::begin(&server).await;
    let document = session.id.as_str();
    let mut seated = Vec::new();
    for _ in 0..MAX_SOCKETS {
        seated.push(Raw::granted(&server, &session).await);
    }
    let mut fifth = Raw::connect(&server).await;
    fifth.send_all(session.handshake()).await;
    assert_eq!(fifth.hear().await, Heard::Closed(4205));
    for raw in &mut seated {
        raw.round_trip(document).await;
    }
    seated.pop().unwrap().leave().await;
    // The close is answered before the seat is free.
    until("a free seat", async || {
        let mut raw = Raw::connect(&server).await;
        raw.send_all(session.handshake()).await;
        matches!(raw.hear().await, Heard::Frame(_)).then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn d_014_memory_stays_bounded_whatever_is_sent() {
    let server = Server::dev().await;
    let session = Session::begin(&server).await;
    let document = session.id.as_str();
    let mut device = Raw::granted(&server, &session).await;
    let junk = framed(
        document,
        Message::Sync(Sync::Update(&vec![0xa5; MAX_DEVICE_FRAME - 64])),
    );
    let before = resident(&server);
    for round in 0..200_u32 {
        let mut raw = Raw::connect(&server).await;
        for n in 0..5_u32 {
            let name = format!("{}{round}{n}", "n".repeat(60_000));
            raw.send(framed(&name, Message::Sync(Sync::Step1(EMPTY_STATE_VECTOR))))
                .await;
        }
        // Such names are refused; the socket ends properly or is dropped in the middle.
        if round % 2 == 0 {
            assert_eq!(raw.hear().await, Heard::Closed(4205));
        }
        device.send(junk.clone()).await;
        assert_eq!(device.frame().await, framed(document, Message::SyncStatus(false)));
    }
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < GROWS_BY, "{grown} kB after 72 MB of junk");
    server.stop().await;
}

/// Returns the server's resident memory, kB.
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
