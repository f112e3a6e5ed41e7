//! `ciba watch`: every change of sessions and tokens as it happens, never a token's value.

use ipc_proto::{Approval, Event, Failure, Message, Op, ProfileName, SessionState};
use serde::de::IgnoredAny;

use crate::clock;
use crate::connection::Connection;
use crate::error::Error;
use crate::terminal::{self, Plain};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// Follows the daemon that runs until it leaves or the person interrupts.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let mut connection = Connection::connect()?.ok_or_else(not_running)?;
    connection.send(Op::Watch {})?;
    loop {
        match connection.next::<IgnoredAny>(None)? {
            Some(Message::Event(event)) if args.json => terminal::print_json(&event)?,
            Some(Message::Event(event)) => terminal::print(sentence(&event).as_bytes())?,
            Some(Message::Failure(failure)) => return Err(failure.into()),
            Some(Message::Answer(_)) => return Ok(()),
            Some(Message::UnknownEvent) | None => {}
        }
    }
}

fn not_running() -> Error {
    Error::internal("cibad is not running").hint("ciba start --url URL")
}

/// Returns an event as a line that begins with its profile.
fn sentence(event: &Event) -> String {
    let (profile, what) = match event {
        // A question goes to the client that can answer it, not to those that watch.
        Event::Confirm { .. } | Event::Acknowledged { .. } | Event::Waiting { .. } => return String::new(),
        Event::Authorize {
            profile,
            url,
            user_code,
            ..
        } => (profile, waits(url, user_code)),
        Event::Connected { profile } => (profile, "connected".into()),
        Event::Disconnected { profile } => (profile, "connection lost".into()),
        Event::Token {
            profile, resource, ..
        } => (profile, format!("new token for {}", Plain(resource))),
        Event::Approval { profile, approval } => (profile, asks(approval)),
        Event::ApprovalGone { profile, request } => (profile, gone(request)),
        Event::Expiring { profile, expires_at } => (profile, expiring(profile, *expires_at)),
        Event::Session {
            profile,
            state,
            error,
        } => (profile, changed(*state, error.as_ref())),
    };
    format!("{profile}: {what}\n")
}

fn waits(url: &str, user_code: &str) -> String {
    format!("waits for a login at {}, code {}", Plain(url), Plain(user_code))
}

fn asks(approval: &Approval) -> String {
    let (name, id) = (Plain(&approval.client_name), Plain(approval.handle()));
    format!("{name} asks for your approval; decide: ciba approve {id}")
}

fn gone(request: &str) -> String {
    format!(
        "the request {} waits no longer",
        Plain(ipc_proto::handle(request))
    )
}

fn expiring(profile: &ProfileName, expires_at: u64) -> String {
    let ends = clock::ends(clock::left(expires_at));
    format!("the login {ends}; renew it: {}", profile.login("URL"))
}

fn changed(state: SessionState, error: Option<&Failure>) -> String {
    let why = error.map_or("", |failure| failure.message.as_str());
    let colon = if why.is_empty() { "" } else { ": " };
    format!("{}{colon}{}", happened(state), Plain(why))
}

fn happened(state: SessionState) -> &'static str {
    match state {
        SessionState::Pending => "login begins",
        SessionState::Active => "logged in",
        SessionState::Failed => "login failed",
        SessionState::Ended => "logged out",
    }
}
