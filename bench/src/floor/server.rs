//! What a device's socket cannot cost less than: an axum WebSocket server that is set up as ours and answers
//! each message with a short one. And what a held request cannot: one that never ends.

use std::process::ExitCode;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::routing::{any, post};
use tokio::net::TcpListener;
use tokio::process::Command;

/// As small as in `ciba-server`: most of a socket's memory are its buffers.
const READ_AHEAD: usize = 128;

/// Bytes of an answer: about what a device is sent when it connects.
const ANSWER: [u8; 64] = [7; 64];

/// Returns what starts this floor. It prints its address.
pub(crate) fn command() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("floor-server");
    Ok(command)
}

/// Serves until it is killed.
pub(crate) async fn run() -> Result<ExitCode> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let routes = Router::new()
        .route("/", any(upgrade))
        .route("/answer", post(|_: Bytes| async { "{}" }))
        .route("/hold", post(hold));
    axum::serve(listener, routes).await?;
    Ok(ExitCode::SUCCESS)
}

async fn hold(_: Bytes) {
    std::future::pending::<()>().await;
}

async fn upgrade(upgrade: WebSocketUpgrade) -> axum::response::Response {
    upgrade
        .read_buffer_size(READ_AHEAD)
        .write_buffer_size(0)
        .on_upgrade(answer)
}

async fn answer(mut websocket: WebSocket) {
    while let Some(Ok(Message::Binary(_))) = websocket.recv().await {
        let answer = Message::Binary(ANSWER.to_vec().into());
        if websocket.send(answer).await.is_err() {
            return;
        }
    }
}
