//! `ciba watch`: every change of sessions and tokens as it happens, never a token's value.

use ipc_proto::{Event, Message, Op, SessionState};
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

/// Follows a daemon that is there until it leaves or the person does.
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
    match event {
        Event::Authorize {
            profile,
            url,
            user_code,
            ..
        } => {
            format!(
                "{profile}: waits for a login at {}, code {}\n",
                Plain(url),
                Plain(user_code)
            )
        }
        Event::Connected { profile } => format!("{profile}: connected\n"),
        Event::Disconnected { profile } => format!("{profile}: connection lost\n"),
        Event::Token {
            profile, resource, ..
        } => format!("{profile}: new token for {}\n", Plain(resource)),
        Event::Expiring { profile, expires_at } => {
            let cure = profile.login("URL");
            let ends = clock::ends(clock::left(*expires_at));
            format!("{profile}: the login {ends}; renew it: {cure}\n")
        }
        Event::Session {
            profile,
            state,
            error,
        } => {
            let why = error.as_ref().map_or("", |failure| failure.message.as_str());
            let colon = if why.is_empty() { "" } else { ": " };
            format!("{profile}: {}{colon}{}\n", happened(*state), Plain(why))
        }
    }
}

fn happened(state: SessionState) -> &'static str {
    match state {
        SessionState::Pending => "login begins",
        SessionState::Active => "logged in",
        SessionState::Failed => "login failed",
        SessionState::Ended => "logged out",
    }
}
