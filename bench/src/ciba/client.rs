//! A client of a provider over one connection that stays: as little as HTTP/1.1 needs, so that many fit beside the server.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;

/// Bytes of an answer.
const MAX_ANSWER: usize = 64 * 1024;

/// What a client reads and writes ahead: thousands of them wait at once.
const BUFFER: usize = 1024;

/// One connection.
pub(super) struct Client {
    stream: BufStream<TcpStream>,
    host: String,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Client {
    pub(super) async fn connect(host: &str) -> Result<Self> {
        let stream = TcpStream::connect(host).await.context("connecting")?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufStream::with_capacity(BUFFER, BUFFER, stream),
            host: host.to_owned(),
        })
    }

    /// Posts a form and returns the answer.
    pub(super) async fn post(&mut self, path: &str, form: &str) -> Result<Answer> {
        self.send(path, form).await?;
        self.answer().await
    }

    /// Posts a form.
    pub(super) async fn send(&mut self, path: &str, form: &str) -> Result<()> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n",
            self.host,
            form.len()
        );
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.write_all(form.as_bytes()).await?;
        Ok(self.stream.flush().await?)
    }

    /// Reads an answer.
    pub(super) async fn answer(&mut self) -> Result<Answer> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let status = line.split(' ').nth(1).context("no status line")?.parse()?;
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line).await?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
        }
        if length > MAX_ANSWER {
            bail!("an answer of {length} bytes");
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok(Answer {
            status,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        })
    }
}
