//! What each operation means: one call of the agent, and its answer as lines (step 10 of a token's way).

use std::sync::Arc;

use ipc_proto::{
    DEFAULT_RESOURCE, ErrorCode, Event, Failure, Hello, Id, LEAVING, Op, PROTOCOL, ProfileName, Request,
    encode_answer, encode_event, encode_failure, encode_token,
};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;

use super::Context;
use super::serve::Outbox;
use crate::agent::{Agent, StartAsk, Step, TokenAsk, Which};
use crate::table::Token;

/// Answers one request. Dropping the future abandons it; a login it waits for is cancelled.
pub(super) async fn answer(request: Request, context: &Context, out: Outbox) {
    let reply = Reply { id: request.id, out };
    tokio::select! {
        biased;
        () = act(request.op, context, &reply) => {}
        () = context.shutdown.begun() => reply.no(&leaving()).await,
    }
}

async fn act(op: Op, context: &Context, reply: &Reply) {
    let agent = &context.agent;
    match op {
        Op::Hello { protocol } => reply.result(&hello(protocol)).await,
        Op::Token {
            profile,
            resource,
            min_valid,
            force,
        } => {
            let ask = TokenAsk {
                profile: profile.unwrap_or_default(),
                resource: resource_or_default(resource),
                min_valid,
                force,
            };
            token(agent, ask, reply).await;
        }
        Op::Start {
            url,
            profile,
            resource,
            one_shot,
            keychain,
        } => {
            let ask = StartAsk {
                url,
                profile: profile.unwrap_or_default(),
                resource: resource_or_default(resource),
                one_shot,
                keychain,
            };
            start(agent, ask, reply).await;
        }
        Op::Status { profile } => reply.result(&agent.status(profile.as_ref()).await).await,
        Op::Stop { profile, all } => stop(context, which(profile, all), reply).await,
        Op::Watch {} => watch(agent, reply).await,
        Op::Add { resource, profile } => {
            let ask = TokenAsk {
                profile: profile.unwrap_or_default(),
                resource,
                min_valid: None,
                force: false,
            };
            reply.result(&agent.add(ask).await).await;
        }
        Op::Diagnose {} => reply.result(&agent.diagnose().await).await,
        Op::HandOver {} => hand_over(context, reply).await,
        Op::Shutdown {} => shutdown(context, reply).await,
    }
}

fn resource_or_default(resource: Option<String>) -> String {
    resource.unwrap_or_else(|| DEFAULT_RESOURCE.into())
}

fn which(profile: Option<ProfileName>, all: bool) -> Which {
    if all {
        Which::All
    } else {
        Which::One(profile.unwrap_or_default())
    }
}

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

async fn token(agent: &Agent, ask: TokenAsk, reply: &Reply) {
    match agent.token(ask).await {
        Ok(token) => reply.token(&token).await,
        Err(failure) => reply.no(&failure).await,
    }
}

/// Tells how the login goes until it ends one way or the other.
async fn start(agent: &Agent, ask: StartAsk, reply: &Reply) {
    let mut login = match agent.start(ask).await {
        Ok(login) => login,
        Err(failure) => return reply.no(&failure).await,
    };
    loop {
        match login.next().await {
            Step::Event(event) => reply.event(&event).await,
            Step::Started(started) => {
                agent.succeed(&started.profile);
                return reply.yes(&started).await;
            }
            Step::Token(token) => return reply.token(&token).await,
            Step::Failed(failure) => return reply.no(&failure).await,
        }
    }
}

async fn stop(context: &Context, which: Which, reply: &Reply) {
    let stopped = context.agent.stop(which).await;
    reply.result(&stopped).await;
    // Who was started to end a login that is not there has nothing to stay for either.
    if stopped.map_or_else(|_| context.agent.is_idle(), |stopped| stopped.daemon_leaves) {
        context.shutdown.begin();
    }
}

async fn watch(agent: &Agent, reply: &Reply) {
    let mut events = agent.watch();
    let failure = loop {
        match events.recv().await {
            Ok(event) => reply.event(&event).await,
            Err(RecvError::Closed) => break leaving(),
            // Nobody may go on with a picture that has holes.
            Err(RecvError::Lagged(_)) => {
                break Failure::new(ErrorCode::Busy, "events were missed; watch again");
            }
        }
    };
    reply.no(&failure).await;
}

/// An answer that holds nothing.
#[derive(Serialize)]
struct Heard {}

async fn shutdown(context: &Context, reply: &Reply) {
    reply.yes(&Heard {}).await;
    context.shutdown.begin();
}

async fn hand_over(context: &Context, reply: &Reply) {
    let begins = context.shutdown.hand_over().await;
    let told = begins.map(|()| Heard {});
    let not_begun = |reason| Failure::new(ErrorCode::Busy, reason);
    reply.result(&told.map_err(not_begun)).await;
}

fn leaving() -> Failure {
    Failure::new(ErrorCode::Internal, LEAVING)
}

/// Where one request's lines go.
struct Reply {
    id: Id,
    out: Outbox,
}

impl Reply {
    async fn yes(&self, answer: &impl Serialize) {
        self.out.send(encode_answer(&self.id, answer)).await;
    }

    async fn no(&self, failure: &Failure) {
        self.out.send(encode_failure(&self.id, failure)).await;
    }

    async fn result(&self, result: &Result<impl Serialize, Failure>) {
        match result {
            Ok(answer) => self.yes(answer).await,
            Err(failure) => self.no(failure).await,
        }
    }

    async fn event(&self, event: &Event) {
        self.out.send(encode_event(&self.id, event)).await;
    }

    async fn token(&self, token: &Arc<Token>) {
        let line = encode_token(
            &self.id,
            token.access_token(),
            &token.token_type,
            token.resource.as_str(),
            token.expires_at,
            token.scope.as_deref(),
        );
        self.out.send(line).await;
    }
}
