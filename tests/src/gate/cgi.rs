//! `git http-backend` behind a gate, by the rules of CGI (RFC 3875).

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use axum::body::Body;
use axum::http::request::Parts;
use axum::response::Response;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Request headers that git's backend reads, and their variables (RFC 3875 §4.1).
const VARIABLES: [(&str, &str); 3] = [
    ("content-type", "CONTENT_TYPE"),
    ("content-encoding", "HTTP_CONTENT_ENCODING"),
    ("git-protocol", "HTTP_GIT_PROTOCOL"),
];

/// Answers a request about one of the repositories below `root`.
pub(super) async fn git(root: &Path, head: &Parts, body: &[u8]) -> Result<Response> {
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("REMOTE_USER", "gate")
        .env("REQUEST_METHOD", head.method.as_str())
        .env("PATH_INFO", head.uri.path())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    for (header, variable) in VARIABLES {
        if let Some(value) = head.headers.get(header) {
            command.env(variable, value.to_str()?);
        }
    }
    let mut child = command.spawn().context("starting git http-backend")?;
    let mut stdin = child.stdin.take().context("a pipe was asked for")?;
    // A backend that has heard enough closes its end.
    let (_, output) = tokio::join!(
        async move { stdin.write_all(body).await },
        child.wait_with_output()
    );
    response(&output?.stdout)
}

/// Reads the answer of a CGI program (RFC 3875 §6).
fn response(output: &[u8]) -> Result<Response> {
    const END: &[u8] = b"\r\n\r\n";
    let end = output.windows(END.len()).position(|window| window == END);
    let (head, body) = output.split_at(end.context("git http-backend gave no headers")?);
    let mut response = Response::builder();
    for line in std::str::from_utf8(head)?.lines() {
        let (name, value) = line.split_once(": ").context("a header has a name")?;
        response = match name {
            "Status" => response.status(value.get(..3).context("a status has three digits")?),
            _ => response.header(name, value),
        };
    }
    Ok(response.body(Body::from(body[END.len()..].to_vec()))?)
}
