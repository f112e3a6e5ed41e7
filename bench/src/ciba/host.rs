//! The providers that are asked in the same way: ours, and the real npm oidc-provider.

use anyhow::{Context, Result, ensure};
use ciba_tests::{Idp, PATIENCE, Process, Server, World};
use rustix::process::Pid;

use super::client::Client;
use super::streams::Streams;
use crate::floor;

const SECRET: &str = "a-secret-that-only-a-bench-would-write-down";
const HOOK: &str = "the-hook-of-the-bench-on-loopback-alone";

/// A provider, running. Dropping it ends it.
pub(super) struct Host {
    pub(super) pid: Pid,
    pub(super) address: String,
    ask_path: &'static str,
    token_path: &'static str,
    /// How the client proves who it is, as the beginning of a form.
    credentials: String,
    hint: &'static str,
    _kind: Kind,
}

enum Kind {
    Ours { _server: Server, _world: World },
    Node { _idp: Idp },
}

impl Host {
    /// Ours, with the requests in this store; `long_poll` in seconds.
    pub(super) async fn ours(store: &str, long_poll: u64) -> Result<Self> {
        let world = World::new()?;
        let server = world
            .server(&format!(
                "listen = \"127.0.0.1:0\"\n[store]\nurl = \"{store}\"\n[login]\nissuer = \"http://127.0.0.1:9\"\nclient_id = \"bench\"\n\
                 [ciba]\nenabled = true\nexpires_in = 3600\nlong_poll = {long_poll}\ntest_hook_secret = \"{HOOK}\"\n\
                 [ciba.limits]\nrequests_per_minute = 0\nundecided_per_client = 0\nundecided_per_user = 0\n\
                 [[client]]\nclient_id = \"bench\"\nclient_secret = \"{SECRET}\"\nclient_name = \"Bench\"\n\
                 grant_types = [\"urn:openid:params:grant-type:ciba\"]\nbackchannel_token_delivery_mode = \"poll\"\n\
                 [[user]]\nsub = \"alice\"\nemail = \"alice@example.com\"\n"
            ))
            .await?;
        Ok(Self {
            pid: server.process.pid().context("ciba-server has ended")?,
            address: server.url.trim_start_matches("http://").to_owned(),
            ask_path: "/oauth2/bc-authorize",
            token_path: "/oauth2/token",
            credentials: format!("client_id=bench&client_secret={SECRET}"),
            hint: "alice%40example.com",
            _kind: Kind::Ours {
                _server: server,
                _world: world,
            },
        })
    }

    pub(super) async fn node() -> Result<Self> {
        let mut idp = Idp::start(&[]).await?;
        let pid = idp.script().process().pid().context("node has ended")?;
        Ok(Self {
            pid,
            address: idp.issuer.trim_start_matches("http://").to_owned(),
            ask_path: "/backchannel",
            token_path: "/token",
            credentials: format!("client_id={}&client_secret={}", idp.client_id, idp.client_secret),
            hint: "alice",
            _kind: Kind::Node { _idp: idp },
        })
    }

    pub(super) async fn client(&self) -> Result<Client> {
        Client::connect(&self.address).await
    }

    /// Asks for a person, and returns the `auth_req_id`.
    pub(super) async fn ask(&self, client: &mut Client) -> Result<String> {
        let form = format!(
            "{}&scope=openid&login_hint={}&binding_message=W4SCT",
            self.credentials, self.hint
        );
        let answer = client.post(self.ask_path, &form).await?;
        let id = answer.body["auth_req_id"].as_str();
        Ok(id
            .with_context(|| format!("{}: {}", answer.status, answer.body))?
            .to_owned())
    }

    /// Begins a poll.
    pub(super) async fn send_poll(&self, client: &mut Client, auth_req_id: &str) -> Result<()> {
        client.send(self.token_path, &self.poll_form(auth_req_id)).await
    }

    /// Begins a poll over a connection that others share. It lasts as long as what is returned.
    pub(super) async fn send_shared_poll(
        &self,
        client: &mut Streams,
        auth_req_id: &str,
    ) -> Result<impl Future + use<>> {
        client.send(self.token_path, self.poll_form(auth_req_id)).await
    }

    fn poll_form(&self, auth_req_id: &str) -> String {
        format!(
            "{}&grant_type=urn%3Aopenid%3Aparams%3Agrant-type%3Aciba&auth_req_id={auth_req_id}",
            self.credentials
        )
    }

    /// Polls a pending request.
    pub(super) async fn poll(&self, client: &mut Client, auth_req_id: &str) -> Result<()> {
        self.send_poll(client, auth_req_id).await?;
        let answer = client.answer().await?;
        let error = &answer.body["error"];
        let is_pending = error == "authorization_pending" || error == "slow_down";
        ensure!(is_pending, "{}: {}", answer.status, answer.body);
        Ok(())
    }

    /// The person of a request of ours says yes.
    pub(super) async fn approve(&self, client: &mut Client, auth_req_id: &str) -> Result<()> {
        let path = format!("/ciba/test-hook/{HOOK}?auth_req_id={auth_req_id}&action=allow");
        let answer = client.post(&path, "").await?;
        ensure!(answer.status == 204, "{}: {}", answer.status, answer.body);
        Ok(())
    }
}

/// The bare server, which holds what is posted to it for ever.
pub(super) struct Floor {
    pub(super) pid: Pid,
    address: String,
    _process: Process,
}

impl Floor {
    pub(super) async fn start() -> Result<Self> {
        let mut process = Process::spawn(floor::server::command()?)?;
        let address = process
            .wait_line("its address", PATIENCE, |line| Some(line.to_owned()))
            .await?;
        Ok(Self {
            pid: process.pid().context("the floor has ended")?,
            address,
            _process: process,
        })
    }

    /// Begins a request that is held.
    pub(super) async fn hold(&self) -> Result<Client> {
        let mut client = Client::connect(&self.address).await?;
        client.post("/answer", "a=b").await?;
        client.send("/hold", "a=b").await?;
        Ok(client)
    }
}
