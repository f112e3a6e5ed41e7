//! The requests that wait for the person's decision (C-211): which there are, which one is meant, and the decision.

mod cut;
mod details;
mod show;
mod width;
mod wrap;

use std::time::{Duration, Instant};

use ipc_proto::{
    AnswerAt, Approval, Decided, ErrorCode, Event, Failure, HANDLE, MIN_REQUEST_PREFIX, Message, Op,
    ProfileName,
};
use serde::de::IgnoredAny;

pub(crate) use self::show::{line, line_of_gone, question, table};
use crate::connection::{Connection, too_late};
use crate::error::Error;
use crate::question::Terminal;
use crate::screen::USUAL_COLUMNS;
use crate::terminal::{self, Plain};
use crate::{ask, browser, clock};

/// How long the daemon may take to list requests: it may wait for its link.
const LISTED_WITHIN: Duration = Duration::from_secs(15);

/// How long the daemon may take to have a decision confirmed.
const DECIDED_WITHIN: Duration = Duration::from_secs(30);

/// Characters of a SHA-256 in base64url: the name that a program reads.
const WHOLE_NAME: usize = 43;

// How a request is decided. Not a doc comment: clap would show it as the help of the command.
#[derive(clap::Args)]
pub(crate) struct Wish {
    /// Request that is meant, by the beginning of its name; the only one there is when absent
    #[arg(value_name = "ID", allow_hyphen_values = true, value_parser = no_option)]
    id: Option<String>,

    /// Print the address of a page, and leave the browser alone
    #[arg(long)]
    no_browser: bool,
}

/// Takes the name of a request. One in 64 begins with a hyphen: typed whole it is a name, and anything else is an option that
/// the command does not have.
fn no_option(typed: &str) -> Result<String, String> {
    let is_whole = typed.len() == HANDLE || typed.len() == WHOLE_NAME;
    if typed.starts_with('-') && !is_whole {
        return Err(format!(
            "there is no such option; a request whose name begins with a hyphen is named by all {HANDLE} characters"
        ));
    }
    Ok(typed.to_owned())
}

/// What is done with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Never without a person's answer on the terminal: a program must not approve what it asks for itself.
    Approve,
    /// A script may deny without a question.
    Deny { unasked: bool },
}

impl Verdict {
    fn question(self) -> &'static str {
        match self {
            Self::Approve => "Approve?",
            Self::Deny { .. } => "Deny?",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Approve => "Approved",
            Self::Deny { .. } => "Denied",
        }
    }
}

/// A request, and the login that it came to.
pub(crate) struct Waiting {
    pub(crate) profile: ProfileName,
    pub(crate) approval: Approval,
}

/// Returns the requests that wait, those that end soonest first. Two logins of the same person have the same ones: each is
/// there once.
pub(crate) fn waiting(profile: Option<ProfileName>) -> Result<Vec<Waiting>, Error> {
    let op = Op::Approvals {
        profile,
        watch: false,
    };
    ask::whoever_serves(op, list)
}

fn list(mut connection: Connection, op: Op) -> Result<Vec<Waiting>, Error> {
    let deadline = Instant::now() + LISTED_WITHIN;
    let mut waiting: Vec<Waiting> = Vec::new();
    connection.send(op)?;
    loop {
        match connection.next::<IgnoredAny>(Some(deadline))? {
            Some(Message::Event(Event::Approval { profile, approval })) => {
                let is_new = waiting
                    .iter()
                    .all(|known| known.approval.request != approval.request);
                if is_new {
                    let approval = *approval;
                    waiting.push(Waiting { profile, approval });
                }
            }
            Some(Message::Event(_) | Message::UnknownEvent) => {}
            Some(Message::Failure(failure)) => return Err(failure.into()),
            Some(Message::Answer(_)) => break,
            None => return Err(too_late(LISTED_WITHIN)),
        }
    }
    waiting.sort_by_key(|waiting| waiting.approval.expires_at);
    Ok(waiting)
}

/// Shows a request, asks, and has it decided.
pub(crate) fn decide(wish: &Wish, verdict: Verdict, profile: Option<ProfileName>) -> Result<(), Error> {
    let waiting = pick(waiting(profile)?, wish.id.as_deref())?;
    let approval = &waiting.approval;
    let terminal = Terminal::open();
    let question = question(
        approval,
        terminal.as_ref().map_or(USUAL_COLUMNS, Terminal::columns),
    );
    let may_approve = approval.answer == AnswerAt::Terminal && question.is_whole;
    if verdict == Verdict::Approve && !may_approve {
        terminal::tell(question.text);
        return Err(in_browser(&approval.url, wish));
    }
    if verdict != (Verdict::Deny { unasked: true }) {
        let terminal = terminal.ok_or_else(|| nowhere_to_ask(approval, verdict))?;
        // Where the answer is typed, whatever became of standard error: no one agrees to what they do not see.
        terminal.show(question.text);
        let patience = Duration::from_secs(clock::left(approval.expires_at));
        if !terminal.allows(verdict.question(), patience) {
            return Err(not_agreed(approval));
        }
    }
    send(&waiting, verdict, wish)
}

fn send(Waiting { profile, approval }: &Waiting, verdict: Verdict, wish: &Wish) -> Result<(), Error> {
    let op = Op::Decide {
        request: approval.request.clone(),
        approve: verdict == Verdict::Approve,
        profile: Some(profile.clone()),
    };
    let sent = Connection::connect_or_start()?.ask_visibly::<Decided>(op, DECIDED_WITHIN, "Deciding");
    match sent {
        Ok(_) => {
            let name = Plain(&approval.client_name);
            terminal::tell(format_args!("{}: {}, {name}", verdict.done(), approval.handle()));
            Ok(())
        }
        Err(error) => match error.failure().and_then(|failure| failure.url.clone()) {
            Some(url) => Err(in_browser(&url, wish)),
            None => Err(error),
        },
    }
}

/// Returns the request that is meant. Its name is compared here, so that what is shown is what is decided.
fn pick(waiting: Vec<Waiting>, id: Option<&str>) -> Result<Waiting, Error> {
    if id.is_some_and(|id| id.len() < MIN_REQUEST_PREFIX) {
        let problem = format!("a request is named by its first {MIN_REQUEST_PREFIX} characters at least");
        return Err(Error::usage(problem).hint("ciba approvals"));
    }
    let is_meant = |waiting: &Waiting| id.is_none_or(|id| waiting.approval.request.starts_with(id));
    let mut meant: Vec<_> = waiting.into_iter().filter(is_meant).collect();
    match (meant.pop(), meant.is_empty(), id) {
        (Some(waiting), true, _) => Ok(waiting),
        (None, _, None) => Err(unknown("no request waits for your decision")),
        (None, _, Some(_)) => Err(unknown("no request of this name waits for your decision")),
        (_, _, None) => Err(ambiguous("several requests wait: name one")),
        (_, _, Some(_)) => Err(ambiguous("several requests begin so: type more of the name")),
    }
}

fn unknown(message: &str) -> Error {
    let failure = Failure::new(ErrorCode::UnknownRequest, message);
    Error::from(failure).hint("ciba approvals --watch, which shows them as they come")
}

fn ambiguous(message: &str) -> Error {
    Error::from(Failure::new(ErrorCode::AmbiguousRequest, message)).hint("ciba approvals")
}

/// The hint never names a way past the person: a program may be reading it.
fn nowhere_to_ask(approval: &Approval, verdict: Verdict) -> Error {
    let (message, hint) = match verdict {
        Verdict::Approve => (
            "only a person at a terminal can approve here, and there is no terminal",
            format!("the person can decide on this page: {}", approval.url),
        ),
        Verdict::Deny { .. } => (
            "there is no terminal to ask you on",
            format!("ciba deny --yes -- {}", approval.handle()),
        ),
    };
    Error::usage(message).hint(hint)
}

fn not_agreed(approval: &Approval) -> Error {
    let message = if clock::left(approval.expires_at) == 0 {
        return Failure::new(ErrorCode::Timeout, "the request has expired").into();
    } else {
        "nothing was decided: the request still waits"
    };
    Failure::new(ErrorCode::Denied, message).into()
}

/// Leads the person to the page that decides.
fn in_browser(url: &str, wish: &Wish) -> Error {
    terminal::tell(format_args!("Open this page to decide:\n\n  {}\n", Plain(url)));
    if !wish.no_browser && browser::open(url) {
        terminal::tell("The page opens in your browser.");
    }
    let message = "nothing was decided here: this request can be approved in the browser alone";
    Failure::new(ErrorCode::NeedsBrowser, message).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn approval(request: &str) -> Approval {
        Approval {
            request: request.into(),
            client_name: "Shop".into(),
            client_uri: None,
            client_vouched: false,
            scope: vec!["openid".into()],
            resources: vec![],
            binding_message: None,
            authorization_details: None,
            agent: None,
            created_at: 0,
            expires_at: 0,
            url: "https://c.example/".into(),
            answer: AnswerAt::Terminal,
        }
    }

    fn picked(requests: &[&str], id: Option<&str>) -> Result<String, &'static str> {
        let waiting = requests.iter().map(|request| Waiting {
            profile: ProfileName::default(),
            approval: approval(request),
        });
        match pick(waiting.collect(), id) {
            Ok(waiting) => Ok(waiting.approval.request),
            Err(error) => Err(error.failure().unwrap().code.word()),
        }
    }

    #[test]
    fn c_211_the_only_request_or_the_one_that_begins_so_is_meant() {
        for (requests, id, expected) in [
            (&["abcdefgh"][..], None, Ok("abcdefgh")),
            (&["abcdefgh", "abcdxxxx"], Some("abcde"), Ok("abcdefgh")),
            (&["-bcdefgh"], Some("-bcd"), Ok("-bcdefgh")),
            (&[], None, Err("unknown_request")),
            (&["abcdefgh"], Some("xxxx"), Err("unknown_request")),
            (&["abcdefgh", "xxxxxxxx"], None, Err("ambiguous_request")),
            (&["abcdefgh", "abcdxxxx"], Some("abcd"), Err("ambiguous_request")),
            (&["abcdefgh"], Some("abc"), Err("bad_request")),
            (&["abcdefgh"], Some(""), Err("bad_request")),
        ] {
            let expected = expected.map(str::to_owned);
            assert_eq!(picked(requests, id), expected, "{requests:?} {id:?}");
        }
    }
}
