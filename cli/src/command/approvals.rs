//! `ciba approvals`: the requests of clients that wait for the person's decision.

use std::collections::HashSet;

use ipc_proto::{Approval, Event, Message, Op, ProfileName};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::approval::{self, Waiting};
use crate::connection::Connection;
use crate::error::Error;
use crate::terminal;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print a JSON object for each
    #[arg(long)]
    json: bool,

    /// Print each as it comes and goes, until interrupted
    #[arg(long)]
    watch: bool,
}

pub(crate) fn run(args: &Args, profile: Option<ProfileName>) -> Result<(), Error> {
    if args.watch {
        return watch(args, profile);
    }
    let waiting = approval::waiting(profile)?;
    if args.json {
        return waiting
            .iter()
            .try_for_each(|waiting| print(None, &waiting.profile, &waiting.approval));
    }
    if waiting.is_empty() {
        terminal::tell("No request waits for your decision.");
    }
    terminal::print(approval::table(&waiting).as_bytes())
}

/// Follows the daemon until it leaves or the person interrupts.
fn watch(args: &Args, profile: Option<ProfileName>) -> Result<(), Error> {
    let op = Op::Approvals { profile, watch: true };
    let mut connection = Connection::connect_or_start()?;
    connection.send(op)?;
    // Two logins of the same person have the same requests.
    let mut told = HashSet::new();
    loop {
        match connection.next::<IgnoredAny>(None)? {
            Some(Message::Event(Event::Approval { profile, approval })) => {
                if told.insert(approval.request.clone()) {
                    tell(args, profile, *approval)?;
                }
            }
            Some(Message::Event(Event::ApprovalGone { profile, request })) => {
                if told.remove(&request) {
                    tell_gone(args, profile, request)?;
                }
            }
            Some(Message::Failure(failure)) => return Err(failure.into()),
            Some(Message::Answer(_)) => return Ok(()),
            Some(Message::Event(_) | Message::UnknownEvent) | None => {}
        }
    }
}

fn tell(args: &Args, profile: ProfileName, approval: Approval) -> Result<(), Error> {
    let Waiting { profile, approval } = Waiting { profile, approval };
    if args.json {
        return print(Some("approval"), &profile, &approval);
    }
    terminal::print(approval::line(&approval).as_bytes())
}

fn tell_gone(args: &Args, profile: ProfileName, request: String) -> Result<(), Error> {
    if args.json {
        return terminal::print_json(&Event::ApprovalGone { profile, request });
    }
    terminal::print(approval::line_of_gone(&request).as_bytes())
}

/// A request as a JSON object: what is JSON text on the daemon's socket is JSON here.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    id: &'a str,
    profile: &'a ProfileName,
    #[serde(flatten)]
    approval: Value,
}

fn print(event: Option<&'static str>, profile: &ProfileName, approval: &Approval) -> Result<(), Error> {
    let mut value = serde_json::to_value(approval).expect("texts and numbers always serialize");
    for member in ["authorization_details", "agent"] {
        let parsed = value[member]
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok());
        if let Some(parsed) = parsed {
            value[member] = parsed;
        }
    }
    terminal::print_json(&Shown {
        event,
        id: approval.handle(),
        profile,
        approval: value,
    })
}
