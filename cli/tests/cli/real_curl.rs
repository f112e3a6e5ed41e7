//! `ciba curl` with the real curl, against servers of this test.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use serde_json::json;

use crate::curl::credential;
use crate::exec::Ended;
use crate::harness::{HUNG, Home, Run, finish};

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
fn no_option_reads_the_token_from_the_pipe_a_second_time() {
    let (home, server) = (Home::with_lines(&[credential("auto")]), Server::start());
    for descriptor in 3..10 {
        let pipe = format!("@/dev/fd/{descriptor}");
        let mut command = home.command(&["curl", "--", "-sS", "-w", &pipe, "-d", &pipe, &server.url()]);
        let run = thread::spawn(move || {
            command.stdout(Stdio::piped()).stderr(Stdio::null());
            finish(command)
        });
        // A descriptor that is not there ends curl before it connects.
        let shown = loop {
            if let Ok((head, stream)) = server.heads.recv_timeout(std::time::Duration::from_millis(10)) {
                assert!(!head.contains("Content-Length: 2"), "{head}");
                answer(stream, "200 OK");
            }
            if run.is_finished() {
                break run.join().unwrap();
            }
        };
        assert!(!shown.stdout.contains("abc.def"), "{}", shown.stdout);
    }
}
