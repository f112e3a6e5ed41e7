//! What `cibad` cannot be quicker than: a task a connection, a line in, a constant line out.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use ipc_proto::{Lines, TokenFields, encode_token};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Command;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to listen
    socket: PathBuf,
    /// Bytes of the token in the answer
    length: usize,
}

/// Returns what starts this floor.
pub(crate) fn command(socket: &Path, length: usize) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("floor-agent").arg(socket).arg(length.to_string());
    Ok(command)
}

/// Serves until it is killed.
pub(crate) async fn run(args: &Args) -> Result<ExitCode> {
    let listener = UnixListener::bind(&args.socket)?;
    let answer = std::sync::Arc::new(answer(args.length));
    loop {
        let (stream, _) = listener.accept().await?;
        let answer = answer.clone();
        tokio::spawn(async move { serve(stream, &answer).await });
    }
}

async fn serve(mut stream: UnixStream, answer: &[u8]) -> Result<()> {
    let mut lines = Lines::default();
    loop {
        let read = stream.read(lines.space()?).await?;
        if read == 0 {
            return Ok(());
        }
        lines.filled(read);
        while lines.next_line().is_some() {
            stream.write_all(answer).await?;
        }
    }
}

fn answer(length: usize) -> Vec<u8> {
    let token = "x".repeat(length);
    let token = TokenFields {
        access_token: &token,
        token_type: "Bearer",
        resource: ipc_proto::DEFAULT_RESOURCE,
        expires_at: u64::from(u32::MAX),
        scope: None,
    };
    encode_token(&1.into(), token).to_vec()
}
