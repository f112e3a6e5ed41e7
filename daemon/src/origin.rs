//! Where the daemon's socket comes from: it is bound here, given by a service manager, or left by the program that this
//! process ran before.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tracing::info;
use zeroize::Zeroizing;

use crate::handover::{self, HandOver};
use crate::incumbent;
use crate::listen::{self, Claim, Listening};
use crate::service;

/// Where the daemon's socket comes from.
pub(crate) enum Origin {
    /// It is bound here, at this path, unless another daemon serves there.
    Path(PathBuf),
    /// A service manager listens already.
    Manager(UnixListener),
    /// The program that this process was before has served on it.
    HandOver(HandOver),
}

/// What a daemon serves with.
pub(crate) struct Claimed {
    pub(crate) listening: Listening,
    /// The sessions that the last program has left.
    pub(crate) sessions: Vec<Zeroizing<Vec<u8>>>,
}

impl Origin {
    /// Returns what the last program of this process has left.
    pub(crate) fn handed_over() -> anyhow::Result<Self> {
        let hand_over = handover::inherit().context("nothing was handed over")?;
        Ok(Self::HandOver(hand_over))
    }

    /// Returns a service manager's socket where there is one, else where to bind one.
    pub(crate) fn of_new_process(uid: u32) -> anyhow::Result<Self> {
        let given = service::socket().context("the service manager's socket is not usable")?;
        match given {
            Some(listener) => Ok(Self::Manager(listener)),
            None => socket(uid).map(Self::Path),
        }
    }

    /// Becomes the one daemon of the user `uid`; returns `None` when another one serves.
    pub(crate) async fn claim(self, uid: u32) -> anyhow::Result<Option<Claimed>> {
        let listening = match self {
            Self::HandOver(hand_over) => return take_over(hand_over).map(Some),
            Self::Manager(listener) => listen::adopt(listener, uid).await?,
            Self::Path(socket) => match listen::claim(&socket, uid).await? {
                Claim::Ours(listening) => listening,
                Claim::Taken(incumbent) => {
                    info!("another cibad serves already");
                    if incumbent.is_other_version() {
                        incumbent::ask_to_hand_over(&socket).await;
                    }
                    return Ok(None);
                }
            },
        };
        let sessions = Vec::new();
        Ok(Some(Claimed { listening, sessions }))
    }
}

fn take_over(hand_over: HandOver) -> anyhow::Result<Claimed> {
    let sessions = handover::unpack(hand_over.sessions).context("the sessions cannot be read")?;
    info!(sessions = sessions.len(), "taken over");
    let listening = Listening::from_fds(hand_over.listening)?;
    Ok(Claimed { listening, sessions })
}

fn socket(uid: u32) -> anyhow::Result<PathBuf> {
    Ok(ipc_proto::socket_path(
        uid,
        |name| std::env::var_os(name),
        Path::is_dir,
    )?)
}
