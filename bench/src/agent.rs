//! A client of `cibad`: lines over its Unix socket, as `docs/ipc.md` has them.

use std::path::Path;

use anyhow::{Context, Result, bail};
use ipc_proto::{Lines, Message, Op, Request};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// One connection, with one request under way at a time.
pub(crate) struct Agent {
    stream: UnixStream,
    lines: Lines,
}

impl Agent {
    pub(crate) async fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .await
            .context("connecting to the daemon")?;
        Ok(Self {
            stream,
            lines: Lines::default(),
        })
    }

    /// Asks and waits for the final answer.
    pub(crate) async fn ask<T: DeserializeOwned>(&mut self, op: Op) -> Result<T> {
        self.send(op).await?;
        self.answer().await
    }

    pub(crate) async fn send(&mut self, op: Op) -> Result<()> {
        let request = Request { id: 1.into(), op };
        Ok(self.stream.write_all(&request.encode()).await?)
    }

    /// Waits for the final answer and passes over events.
    pub(crate) async fn answer<T: DeserializeOwned>(&mut self) -> Result<T> {
        loop {
            match self.message().await? {
                Message::Answer(answer) => return Ok(answer),
                Message::Failure(failure) => bail!("the daemon says: {failure}"),
                Message::Event(_) | Message::UnknownEvent => {}
            }
        }
    }

    /// Waits for the next line of any kind.
    pub(crate) async fn message<T: DeserializeOwned>(&mut self) -> Result<Message<T>> {
        loop {
            if let Some(line) = self.lines.next_line() {
                return Ok(Message::decode(line)?);
            }
            let read = self.stream.read(self.lines.space()?).await?;
            if read == 0 {
                bail!("the daemon closed the connection");
            }
            self.lines.filled(read);
        }
    }
}
