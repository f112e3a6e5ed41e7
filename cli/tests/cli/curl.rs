//! `ciba curl`, with the real curl against servers of this test, and what prints a token in curl's and netrc's forms.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};

use crate::exec::Ended;
use crate::harness::{HUNG, Home, Run, finish};

fn credential(scheme: &str) -> Value {
    json!({"id": 1, "ok": {
        "access_token": "abc.def-123", "token_type": "Bearer", "resource": "urn:d:x", "expires_at": 1_900_000_000_u64,
        "scheme": scheme, "username": "oauth2", "serial": 1,
    }})
}

fn has_curl() -> bool {
    let found = Command::new("/usr/bin/curl")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    let found = found.is_ok();
    if !found {
        eprintln!("skipped: there is no curl");
    }
    found
}

/// A server that tells the head of each request, and answers when it is told what.
struct Server {
    port: u16,
    heads: mpsc::Receiver<(String, TcpStream)>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, heads) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<_> = lines
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty())
                    .collect();
                if tell.send((head.join("\n"), stream)).is_err() {
                    return;
                }
            }
        });
        Self { port, heads }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/x", self.port)
    }

    fn head(&self) -> (String, TcpStream) {
        self.heads.recv_timeout(HUNG).expect("a request")
    }
}

fn answer(mut stream: TcpStream, status: &str) {
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    stream.write_all(answer.as_bytes()).unwrap();
}

fn curl(home: &Home, arguments: &[&str]) -> Ended {
    let mut command = home.command(&[&["curl", "--"], arguments].concat());
    Ended(
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    )
}

#[test]
fn curl_shows_the_token_to_the_server_and_to_nobody_else() {
    if !has_curl() {
        return;
    }
    let (home, server) = (Home::with_lines(&[credential("auto")]), Server::start());
    let mut child = curl(&home, &["-sS", "--fail", &server.url()]);
    let (head, stream) = server.head();
    assert!(head.contains("\nAuthorization: Bearer abc.def-123"), "{head}");
    let arguments = fs::read(format!("/proc/{}/cmdline", child.0.id())).unwrap();
    let arguments = String::from_utf8(arguments).unwrap();
    assert!(arguments.starts_with("curl\0-q\0"), "{arguments}");
    assert!(!arguments.contains("abc.def"), "{arguments}");
    answer(stream, "200 OK");
    assert!(child.0.wait().unwrap().success());
    let expected = json!({"id": 1, "op": "credential", "url": server.url(), "tool": "curl"});
    let mut asked = home.request();
    asked.as_object_mut().unwrap().remove("interactive");
    assert_eq!(asked, expected);
}

#[test]
fn a_redirect_to_another_port_or_host_carries_no_token() {
    if !has_curl() {
        return;
    }
    let (home, server, other) = (
        Home::with_lines(&[credential("auto")]),
        Server::start(),
        Server::start(),
    );
    for host in ["127.0.0.1", "localhost"] {
        let mut child = curl(&home, &["-sSL", &server.url()]);
        let (head, stream) = server.head();
        assert!(head.contains("Authorization: Bearer"), "{head}");
        answer(
            stream,
            &format!("302 Found\r\nLocation: http://{host}:{}/y", other.port),
        );
        let (head, stream) = other.head();
        assert!(
            head.starts_with("GET /y") && !head.to_lowercase().contains("authorization"),
            "{head}"
        );
        answer(stream, "200 OK");
        assert!(child.0.wait().unwrap().success());
    }
}

#[test]
fn neither_the_persons_curlrc_nor_a_proxy_sees_to_the_request() {
    if !has_curl() {
        return;
    }
    let (home, server, proxy) = (
        Home::with_lines(&[credential("auto")]),
        Server::start(),
        Server::start(),
    );
    fs::write(
        home.path().join(".curlrc"),
        format!("url = \"{}\"\nverbose\n", proxy.url()),
    )
    .unwrap();
    let mut command = home.command(&["curl", "-sS", &server.url()]);
    command
        .env("HOME", home.path())
        .env("http_proxy", proxy.url())
        .env("ALL_PROXY", proxy.url());
    let run = thread::spawn(move || finish(command));
    answer(server.head().1, "200 OK");
    assert_eq!(run.join().unwrap(), Run::new(0, "ok", ""));
    assert!(proxy.heads.try_recv().is_err());
}

#[test]
fn what_could_send_the_token_elsewhere_is_refused_before_it_is_asked_for() {
    let home = Home::with_lines(&[credential("auto")]);
    for arguments in [
        &["https://a.example", "https://b.example"][..],
        &["-k", "https://a.example"],
        &["-K", "file", "https://a.example"],
        &["--location-trusted", "https://a.example"],
        &["-H", "Host: b.example", "https://a.example"],
        &["https://a.example@b.example/"],
        &["a.example"],
    ] {
        let run = home.ciba(&[&["curl", "--"], arguments].concat());
        assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""), "{arguments:?}");
    }
    assert!(home.is_quiet());
}

#[test]
fn a_profile_is_the_rules_choice() {
    let home = Home::with_lines(&[credential("auto")]);
    for arguments in [
        &["--profile", "work", "curl", "https://a.example/"][..],
        &["curlrc", "https://a.example/", "--profile", "work"],
        &["netrc", "--profile=work", "a.example"],
    ] {
        let run = home.ciba(arguments);
        assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(
            run.stderr.contains("the host's rule says which login"),
            "{}",
            run.stderr
        );
    }
    assert!(home.is_quiet());
    // A variable is for the commands that take one.
    let mut command = home.command(&["curlrc", "https://a.example/"]);
    command.env("CIBA_PROFILE", "work");
    assert_eq!(finish(command).status, Some(0));
}

#[test]
fn a_host_without_a_rule_gets_nothing() {
    let no_rule = json!({"id": 1, "error": {"code": "no_rule", "message": "no rule names a.example",
        "hint": "ciba allow a.example --resource <urn>"}});
    let home = Home::with_lines(&[no_rule]);
    let told = Run::new(
        1,
        "",
        "ciba: no rule names a.example\nhint: ciba allow a.example --resource <urn>\n",
    );
    for arguments in [
        &["curl", "https://a.example/"][..],
        &["curlrc", "https://a.example/"],
        &["netrc", "a.example"],
    ] {
        assert_eq!(home.ciba(arguments), told, "{arguments:?}");
    }
}

#[test]
fn a_token_is_printed_in_the_forms_of_curl_and_netrc() {
    for (scheme, header) in [
        ("auto", "Bearer abc.def-123"),
        ("basic", "Basic b2F1dGgyOmFiYy5kZWYtMTIz"),
    ] {
        let home = Home::with_lines(&[credential(scheme)]);
        let line = format!("header = \"Authorization: {header}\"\n");
        assert_eq!(
            home.ciba(&["curlrc", "https://a.example/"]),
            Run::new(0, &line, "")
        );
        assert_eq!(
            home.ciba(&["netrc", "a.example:8443"]),
            Run::new(0, "machine a.example login oauth2 password abc.def-123\n", "")
        );
        let _ = home.request();
        assert_eq!(home.request()["url"], "https://a.example:8443/");
    }
}
