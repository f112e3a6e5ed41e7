//! D-012: what lies in the server's memory, read from outside.

use std::os::unix::fs::FileExt as _;

use crate::kit::idp::{ACCESS_TOKEN, Idp, REFRESH_TOKEN};
use crate::kit::server::Server;
use crate::kit::session::Session;
use crate::kit::site::Site;
use crate::kit::socket::Raw;

/// Bytes of a piece that is looked for: an allocator overwrites the first bytes of what is freed, so a search for
/// the whole would miss what is left.
const PIECE: usize = 16;

/// Signs of life after which nothing is left.
const KEEPALIVES: usize = 1;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// Returns where any whole piece of the secret lies in the server's writable memory.
fn scan(server: &Server, secret: &[u8]) -> Vec<String> {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", server.pid())).unwrap();
    let memory = std::fs::File::open(format!("/proc/{}/mem", server.pid())).unwrap();
    let writable = maps.lines().filter(|line| {
        line.split(' ')
            .nth(1)
            .is_some_and(|flags| flags.starts_with("rw"))
    });
    writable
        .flat_map(|mapping| scan_mapping(&memory, mapping, secret))
        .collect()
}

fn scan_mapping(memory: &std::fs::File, mapping: &str, secret: &[u8]) -> Vec<String> {
    let (start, end) = mapping.split(' ').next().unwrap().split_once('-').unwrap();
    let [mut at, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
    let mut found = Vec::new();
    while at < end {
        // Chunks overlap, so that nothing is cut in two.
        let mut chunk = vec![0; CHUNK.min(usize::try_from(end - at).unwrap()) + PIECE - 1];
        let Ok(read @ 1..) = memory.read_at(&mut chunk, at) else {
            break;
        };
        for offset in pieces_in(&chunk[..read], secret) {
            let address = at + offset as u64;
            found.push(format!(
                "{address:x} in {mapping}: {}",
                String::from_utf8_lossy(&around(memory, address))
            ));
        }
        at += CHUNK as u64;
    }
    found
}

/// Returns the bytes around an address, to find out what they belong to.
fn around(memory: &std::fs::File, address: u64) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    let read = memory
        .read_at(&mut bytes, address.saturating_sub(48))
        .unwrap_or(0);
    bytes.truncate(read);
    bytes
}

fn pieces_in(bytes: &[u8], secret: &[u8]) -> Vec<usize> {
    let pieces: Vec<&[u8]> = secret.windows(PIECE).collect();
    let first: [bool; 256] =
        std::array::from_fn(|byte| pieces.iter().any(|piece| usize::from(piece[0]) == byte));
    let windows = bytes.windows(PIECE).enumerate();
    windows
        .filter(|(_, window)| first[usize::from(window[0])] && pieces.contains(window))
        .map(|(at, _)| at)
        .collect()
}

fn assert_forgotten(server: &Server, what: &str, secret: &[u8]) {
    let found = scan(server, secret);
    assert!(found.is_empty(), "{what} is still there: {found:#?}");
}

/// Sends what a device that is doing nothing sends. A socket's read buffer forgets by being written over.
async fn idle(raw: &mut Raw, session: &Session) {
    for _ in 0..KEEPALIVES {
        raw.keep_alive(session.id.as_str()).await;
    }
}

#[tokio::test]
async fn d_012_after_the_proof_the_challenge_is_nowhere() {
    let server = Server::dev().await;
    let session = Session::begin(&server).await;
    let document = session.id.as_str();
    let mut raw = Raw::granted(&server, &session).await;
    idle(&mut raw, &session).await;
    assert!(
        !scan(&server, document.as_bytes()).is_empty(),
        "the scan finds what is there"
    );
    assert_forgotten(
        &server,
        "the challenge's text",
        session.challenge_text().as_bytes(),
    );
    assert_forgotten(&server, "the challenge", &session.secret);
    raw.round_trip(document).await;
    server.stop().await;
}

#[tokio::test]
async fn d_012_a_seed_clients_query_is_forgotten_too() {
    let server = Server::dev().await;
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).unwrap();
    let challenge = device_proto::Challenge::new(&secret).expose().to_string();
    let url = format!("{}/auth/par/authorize?challenge={challenge}", server.url);
    // The client and its connection are dropped with the answer.
    let answer = crate::kit::browser::http()
        .get(url)
        .header("connection", "close")
        .send()
        .await
        .unwrap();
    let session = Session::of(secret, answer.json().await.unwrap());
    let mut raw = Raw::granted(&server, &session).await;
    idle(&mut raw, &session).await;
    assert_forgotten(&server, "the challenge's text", challenge.as_bytes());
    assert_forgotten(&server, "the challenge", &secret);
    server.stop().await;
}

#[tokio::test]
async fn d_024_after_a_login_the_plain_values_are_wiped() {
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer).start().await;
    let session = Session::begin(&server).await;
    let mut raw = Raw::granted(&server, &session).await;
    let page = crate::kit::browser::Browser::new().confirm(session.url()).await;
    assert_eq!(page.outcome(), "signed-in");
    idle(&mut raw, &session).await;
    assert_forgotten(
        &server,
        "the challenge's text",
        session.challenge_text().as_bytes(),
    );
    assert_forgotten(&server, "the challenge", &session.secret);
    assert_forgotten(&server, "the access token", ACCESS_TOKEN.as_bytes());
    assert_forgotten(&server, "the refresh token", REFRESH_TOKEN.as_bytes());
    server.stop().await;
}
