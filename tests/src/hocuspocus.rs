//! The genuine Hocuspocus provider and server, as peers of our server and of our daemon.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::script::Script;

/// The real `@hocuspocus/provider`: what a device that is not ours would run.
pub struct Provider {
    /// Its events and commands: `interop/hocuspocus/provider.mjs`.
    pub script: Script,
}

impl Provider {
    /// Connects to `url` for `document`, proving possession with `token`.
    ///
    /// The token stands in the script's argument list, so no test may sample process lists beside it.
    pub fn start(url: &str, document: &str, token: &str, options: &[&str]) -> Result<Self> {
        let arguments = [&[url, document, token], options].concat();
        Ok(Self {
            script: Script::start("hocuspocus", "provider.mjs", &arguments)?,
        })
    }
}

/// The real `@hocuspocus/server`, which lets in a device whose token hashes to the verifier.
pub struct PeerServer {
    /// `ws://127.0.0.1:PORT`; every path is served.
    pub url: String,
    /// Its events and commands: `interop/hocuspocus/server.mjs`.
    pub script: Script,
}

impl PeerServer {
    /// Starts on a free port and returns when it listens; `verifier` may be `any`.
    pub async fn start(verifier: &str, options: &[&str]) -> Result<Self> {
        Self::start_on("0", verifier, options).await
    }

    /// Starts on the port given, to stand in for one that was killed.
    pub async fn start_on(port: &str, verifier: &str, options: &[&str]) -> Result<Self> {
        let arguments = [&[port, verifier], options].concat();
        let mut script = Script::start("hocuspocus", "server.mjs", &arguments)?;
        let listening = script.event("listening").await?;
        let url = listening["url"]
            .as_str()
            .context("the event listening has a url")?
            .to_owned();
        Ok(Self { url, script })
    }

    /// Writes one command and waits until it has been carried out; returns its result.
    pub async fn done(&mut self, command: &Value) -> Result<Value> {
        self.script.tell(command).await?;
        self.script
            .event_where("done", |event| event["cmd"] == command["cmd"])
            .await
    }
}
