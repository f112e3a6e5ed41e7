//! What clients say, well and badly, and that none of them can hurt another.

use std::io::{ErrorKind, Write as _};
use std::net::{Shutdown, TcpListener};
use std::time::Duration;

use crate::harness::{Client, Home, SilentServer, wait_until};

/// Connections at once (I-007).
const MAX_CONNECTIONS: usize = 256;

#[test]
fn i_003_the_id_is_echoed_as_it_came() {
    let home = Home::new();
    home.start();
    let mut client = home.connect();
    for id in ["7", "-7", "\"a\\\"b\"", "\"\""] {
        let answer = client.ask(&format!(r#"{{"id":{id},"op":"hello","protocol":1}}"#));
        assert_eq!(answer["id"].to_string(), id);
    }
}

#[test]
fn a_login_begins_where_its_link_will_go() {
    let home = Home::new();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let through = format!("http://{}", proxy.local_addr().unwrap());
    let mut daemon = home.cibad();
    assert!(daemon.env("HTTPS_PROXY", through).status().unwrap().success());
    let closed = "https://127.0.0.1:1";
    let answer = home
        .connect()
        .ask(&format!(r#"{{"id":1,"op":"start","url":"{closed}"}}"#));
    assert_eq!(answer["error"]["code"], "server_unreachable");
    assert_eq!(proxy.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn i_003_answers_come_when_they_are_ready() {
    let home = Home::new();
    home.start();
    let server = SilentServer::new();
    let mut client = home.connect();
    client.wait_for(&server, "slow");
    assert_eq!(client.hello()["id"], 0);
}

#[test]
fn i_003_many_lines_in_one_write_are_all_answered() {
    const LINES: usize = 1000;
    let home = Home::new();
    home.start();
    let mut client = home.connect();
    let lines: String = (0..LINES)
        .map(|id| format!("{{\"id\":{id},\"op\":\"hello\",\"protocol\":1}}\n"))
        .collect();
    let mut sender = client.stream().try_clone().unwrap();
    let sending = std::thread::spawn(move || sender.write_all(lines.as_bytes()));
    for id in 0..LINES {
        let answer = client.line().unwrap();
        assert_eq!(answer["id"], id);
        assert!(answer["ok"].is_object(), "{answer}");
    }
    sending.join().unwrap().unwrap();
}

#[test]
fn i_003_a_client_that_only_closes_its_own_side_is_answered() {
    let home = Home::new();
    home.start();
    let mut client = home.connect();
    client.send(r#"{"id":1,"op":"hello","protocol":1}"#);
    client.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.line().unwrap()["id"], 1);
    assert_eq!(client.line(), None);
}

#[test]
fn i_003_its_waiting_requests_go_on_as_well() {
    let home = Home::new();
    home.start();
    let server = SilentServer::new();
    let mut client = home.connect();
    client.wait_for(&server, "slow");
    client.stream().shutdown(Shutdown::Write).unwrap();
    // The daemon has seen the end of the lines before it answers who came later.
    home.connect().hello();
    home.connect().ask(r#"{"id":1,"op":"shutdown"}"#);
    assert_eq!(client.line().expect("a word before the end")["id"], "slow");
}

#[test]
fn i_004_a_newer_protocol_is_refused_with_our_version() {
    let home = Home::new();
    home.start();
    let mut client = home.connect();
    let answer = client.ask(r#"{"id":1,"op":"hello","protocol":2}"#);
    assert_eq!(answer["error"]["code"], "unsupported_protocol");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains(env!("CARGO_PKG_VERSION")), "{message}");
    assert_eq!(client.hello()["ok"]["protocol"], 1);
}

#[test]
fn i_007_a_malformed_line_is_answered_and_the_connection_goes_on() {
    let home = Home::new();
    home.start();
    let mut client = home.connect();
    let deep = "[".repeat(30_000);
    for bad in ["", "{", "[]", "null", "\u{0}", r#"{"id":1}"#, &deep] {
        assert_eq!(client.ask(bad)["error"]["code"], "bad_request", "{bad:.20}");
    }
    client.stream().write_all(b"\xff\xfe\n").unwrap();
    assert_eq!(client.line().unwrap()["error"]["code"], "bad_request");
    assert!(client.hello()["ok"].is_object());
}

#[test]
fn i_006_an_operation_that_is_not_known_has_a_code_of_its_own() {
    let home = Home::new();
    home.start();
    let answer = home.connect().ask(r#"{"id":1,"op":"from 2030"}"#);
    assert_eq!(answer["error"]["code"], "unknown_op");
}

#[test]
fn i_007_an_endless_line_is_cut_off_and_costs_no_memory() {
    const GIB: usize = 1 << 30;
    const ROOM: usize = 1 << 20;
    let home = Home::new();
    let daemon = home.start();
    home.connect().hello();
    let before = daemon.resident();
    let client = home.connect();
    let block = [b'x'; 64 * 1024];
    let mut sent = 0;
    while sent < GIB {
        match client.stream().write(&block) {
            Ok(count) => sent += count,
            Err(error) => {
                assert!(matches!(
                    error.kind(),
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                ));
                break;
            }
        }
    }
    assert!(sent < ROOM, "{sent} bytes were taken");
    let grown = daemon.resident().saturating_sub(before);
    assert!(grown < 1024, "{grown} KiB more");
    let said = String::from_utf8(client.rest()).unwrap();
    assert!(said.contains("a line is longer than 65536 bytes"), "{said}");
    assert!(home.connect().hello()["ok"].is_object());
}

#[test]
fn i_007_the_257th_connection_is_told_busy() {
    let home = Home::new();
    let daemon = home.start();
    let mut clients: Vec<Client> = (0..MAX_CONNECTIONS).map(|_| home.connect()).collect();
    for client in &mut clients {
        assert!(client.hello()["ok"].is_object());
    }
    let mut late = home.connect();
    assert_eq!(late.line().unwrap()["error"]["code"], "busy");
    assert_eq!(late.line(), None);
    println!(
        "resident with {MAX_CONNECTIONS} connections: {} KiB",
        daemon.resident()
    );
    clients.pop();
    wait_until("there is room again", || is_served(&home));
}

#[test]
fn i_007_who_leaves_while_waiting_leaves_nothing_behind() {
    let home = Home::new();
    home.start();
    let server = SilentServer::new();
    let mut clients: Vec<Client> = (0..MAX_CONNECTIONS).map(|_| home.connect()).collect();
    for client in &mut clients {
        client.wait_for(&server, "a");
        assert!(client.hello()["ok"].is_object());
    }
    drop(clients);
    wait_until("there is room again", || is_served(&home));
}

/// Whether a new client is answered.
fn is_served(home: &Home) -> bool {
    let mut client = home.connect();
    // A refused client may find its line not taken, and has its answer all the same.
    let _ = client
        .stream()
        .write_all(b"{\"id\":0,\"op\":\"hello\",\"protocol\":1}\n");
    client.line().is_some_and(|line| line["ok"].is_object())
}

#[test]
fn i_007_the_33rd_waiting_request_is_told_busy() {
    let home = Home::new();
    home.start();
    let server = SilentServer::new();
    let mut client = home.connect();
    for n in 0..33 {
        client.wait_for(&server, &format!("p{n}"));
    }
    let answer = client.line().unwrap();
    assert_eq!(answer["id"], "p32");
    assert_eq!(answer["error"]["code"], "busy");
}

#[test]
fn i_007_a_client_that_does_not_read_delays_nobody() {
    let home = Home::new();
    let daemon = home.start();
    let deaf = home.connect();
    deaf.stream()
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let lines = "{\"id\":0,\"op\":\"hello\",\"protocol\":1}\n".repeat(1000);
    while deaf.stream().write_all(lines.as_bytes()).is_ok() {}
    let resident = daemon.resident();
    for _ in 0..100 {
        assert!(home.connect().hello()["ok"].is_object());
    }
    assert!(daemon.resident() < resident + 1024);
}

#[test]
fn idle_it_is_small() {
    let home = Home::new();
    let daemon = home.start();
    home.connect().hello();
    println!("resident when idle: {} KiB", daemon.resident());
}
