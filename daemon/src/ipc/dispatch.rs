//! What each operation means: one call of the agent, and its answer as lines (step 10 of a token's way).

use ipc_proto::{ErrorCode, Failure, Hello, Op, PROTOCOL};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;

use super::Context;
use super::call::Call;
use super::caller::Caller;
use super::credential::Wanted;
use super::reply::Reply;
use crate::agent::{StartAsk, Step, TokenAsk, Which};
use crate::handover::HandOverError;
use crate::rules::Tool;

/// Answers one request. Dropping the future abandons it; a login it waits for is cancelled.
pub(super) async fn answer(op: Op, caller: &Caller, context: &Context, reply: Reply) {
    let call = Call {
        context,
        caller,
        reply,
    };
    tokio::select! {
        biased;
        () = call.act(op) => {}
        () = context.shutdown.begun() => call.reply.no(&leaving()).await,
    }
}

impl Call<'_> {
    async fn act(&self, op: Op) {
        let Context { agent, .. } = self.context;
        match op {
            Op::Hello { protocol } => self.reply.result(&hello(protocol)).await,
            Op::Token {
                profile,
                resource,
                min_valid,
                force,
                tool,
            } => {
                let ask = TokenAsk::of(profile, resource.as_deref(), min_valid, force);
                self.token(ask, tool).await;
            }
            Op::Start {
                url,
                profile,
                resource,
                one_shot,
                keychain,
            } => {
                let ask = StartAsk::of(&url, profile, resource.as_deref(), one_shot, keychain);
                self.start(ask).await;
            }
            Op::Credential {
                url,
                tool,
                refused,
                interactive,
            } => {
                // In a box: it can take much, and every request has room for it.
                Box::pin(self.credential(Wanted::of(&url, tool), refused, interactive)).await;
            }
            Op::Refused { url, tool, serial } => {
                let noted = self.refused(Wanted::of(&url, tool), serial);
                self.reply.result(&noted.map(|()| Done {})).await;
            }
            Op::Confirm { number, allow } => self.reply.result(&self.answered(number, allow)).await,
            Op::Approvals { profile, watch } => Box::pin(self.approvals(profile, watch)).await,
            Op::Decide {
                request,
                approve,
                profile,
            } => Box::pin(self.decide(&request, approve, profile.as_ref())).await,
            Op::Configuration {} => self.reply.yes(&self.context.settings.shown()).await,
            Op::Add { resource, profile } => {
                self.add(TokenAsk::of(profile, Some(&resource), None, false))
                    .await;
            }
            Op::Status { profile } => self.reply.result(&agent.status(profile.as_ref()).await).await,
            Op::Stop { profile, all } => self.stop(Which::of(profile, all)).await,
            Op::Watch {} => self.watch().await,
            // In a box: it can take much, and every request has room for it.
            Op::Request(asked) => Box::pin(self.request(&asked)).await,
            Op::ClientAdd {
                issuer,
                client_id,
                credential,
                keychain,
            } => self.client_add(&issuer, &client_id, &credential, keychain).await,
            Op::Clients {} => self.clients().await,
            Op::ClientRemove { issuer, client_id } => self.client_remove(&issuer, &client_id).await,
            Op::Diagnose {} => self.diagnose().await,
            Op::HandOver {} => self.hand_over().await,
            Op::Shutdown {} => self.shutdown().await,
        }
    }

    async fn token(&self, ask: Result<TokenAsk, Failure>, tool: Option<String>) {
        let token = async {
            let (ask, tool) = (ask?, tool.map(Tool::named).transpose()?);
            let token = self.context.agent.token(&ask).await?;
            let tool = tool.as_ref().map_or("token", Tool::as_str);
            self.audit(tool, None, &ask.profile, &token);
            Ok::<_, Failure>(token)
        };
        match token.await {
            Ok(token) => self.reply.token(&token).await,
            Err(failure) => self.reply.no(&failure).await,
        }
    }

    async fn add(&self, ask: Result<TokenAsk, Failure>) {
        let added = async { self.context.agent.add(ask?).await };
        self.reply.result(&added.await).await;
    }

    /// Tells how the login goes until it ends one way or the other.
    async fn start(&self, ask: Result<StartAsk, Failure>) {
        let (agent, reply) = (&self.context.agent, &self.reply);
        let begun = async { agent.start(ask?).await };
        let mut login = match begun.await {
            Ok(login) => login,
            Err(failure) => return reply.no(&failure).await,
        };
        loop {
            match login.next().await {
                Step::Event(event) => reply.event(&event).await,
                Step::Started(started) => {
                    agent.retire_outgoing(&started.profile);
                    return reply.yes(&started).await;
                }
                Step::Token(token) => {
                    self.audit("start", None, login.profile(), &token);
                    return reply.token(&token).await;
                }
                Step::Failed(failure) => return reply.no(&failure).await,
            }
        }
    }

    async fn stop(&self, which: Which) {
        let agent = &self.context.agent;
        let stopped = agent.stop(which).await;
        self.reply.result(&stopped).await;
        // A daemon that was started to end a login that is not there has nothing to stay for either.
        let leaves = match stopped {
            Ok(stopped) => stopped.daemon_leaves,
            Err(_) => agent.is_idle().await,
        };
        if leaves {
            self.context.shutdown.begin();
        }
    }

    async fn watch(&self) {
        let mut events = self.context.agent.watch();
        let failure = loop {
            match events.recv().await {
                Ok(event) => self.reply.event(&event).await,
                Err(RecvError::Closed) => break leaving(),
                Err(RecvError::Lagged(_)) => break missed(),
            }
        };
        self.reply.no(&failure).await;
    }

    async fn diagnose(&self) {
        let Context {
            agent,
            audit,
            log_place,
            ..
        } = self.context;
        let diagnosis = agent.diagnose(log_place.as_deref(), audit.lost()).await;
        self.reply.result(&diagnosis).await;
    }

    /// Takes the person's answer to a question of this connection.
    fn answered(&self, number: u64, allow: bool) -> Result<Done, Failure> {
        let answered = self.context.confirm.answer(self.caller.asker, number, allow);
        answered
            .map(|()| Done {})
            .map_err(|error| Failure::new(ErrorCode::BadRequest, error.to_string()))
    }

    async fn shutdown(&self) {
        self.reply.yes(&Done {}).await;
        self.context.shutdown.begin();
    }

    async fn hand_over(&self) {
        let begins = self.context.shutdown.hand_over().await;
        let told = begins.map(|()| Done {}).map_err(Failure::from);
        self.reply.result(&told).await;
    }
}

/// An answer that holds nothing.
#[derive(Serialize)]
pub(super) struct Done {}

/// Compares protocols (I-004). An older client is understood; a newer one may mean what we do not know.
fn hello(protocol: u32) -> Result<Hello, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if protocol > PROTOCOL {
        let message = format!("cibad {version} speaks protocol {PROTOCOL}, this client speaks {protocol}");
        return Err(
            Failure::new(ErrorCode::UnsupportedProtocol, message).hint("upgrade cibad, then: ciba restart")
        );
    }
    Ok(Hello {
        protocol: PROTOCOL,
        version: version.into(),
        pid: std::process::id(),
    })
}

/// A client must not go on with a picture that has holes.
pub(super) fn missed() -> Failure {
    Failure::new(ErrorCode::Busy, "events were missed; watch again")
}

pub(super) fn leaving() -> Failure {
    HandOverError::Leaving.into()
}
