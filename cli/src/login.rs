//! What a person sees between asking for a login and having it: the page, the code to compare, the browser,
//! and how long the page still works. `ciba start` and the one-shot login share it.

use std::time::{Duration, Instant};

use ipc_proto::{Event, Message, Op};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde::de::DeserializeOwned;

use crate::ask;
use crate::browser;
use crate::clock;
use crate::connection::Connection;
use crate::error::Error;
use crate::terminal::{self, Plain, Progress};

/// How often the progress line is written anew.
const TICK: Duration = Duration::from_secs(1);

// How the person is led to the page. Not a doc comment: clap would show it as the help of the command.
#[derive(clap::Args, Default)]
pub(crate) struct Prompt {
    /// Print the page's address, and leave the browser alone
    #[arg(long)]
    no_browser: bool,

    /// Show the page's address as a QR code
    #[arg(long)]
    qr: bool,
}

impl Prompt {
    /// Whether any of it was typed.
    pub(crate) fn is_given(&self) -> bool {
        self.no_browser || self.qr
    }
}

/// Asks for a login and waits until it is done, refused or too late: the daemon says which. Leaving in
/// between closes the socket, and that cancels the login. A daemon that leaves before it has begun is asked again, once.
pub(crate) fn run<T: DeserializeOwned>(
    op: Op,
    prompt: &Prompt,
    on_event: impl Fn(&Event) -> Result<(), Error>,
) -> Result<T, Error> {
    let mut wait = Wait::new();
    match follow(op.clone(), &mut wait, prompt, &on_event) {
        Err(error) if ask::has_left(&error) && !wait.has_begun() => follow(op, &mut wait, prompt, &on_event),
        followed => followed,
    }
}

fn follow<T: DeserializeOwned>(
    op: Op,
    wait: &mut Wait,
    prompt: &Prompt,
    on_event: &impl Fn(&Event) -> Result<(), Error>,
) -> Result<T, Error> {
    let mut connection = Connection::connect_or_start()?;
    connection.send(op)?;
    loop {
        match connection.next(wait.tick())? {
            Some(Message::Answer(answer)) => return Ok(answer),
            Some(Message::Failure(failure)) => return Err(failure.into()),
            Some(Message::Event(event)) => {
                on_event(&event)?;
                wait.tell(&event, prompt);
            }
            Some(Message::UnknownEvent) | None => {}
        }
    }
}

/// The moving line under the page's address.
struct Wait {
    line: Option<Progress>,
    expires_at: Option<u64>,
}

impl Wait {
    fn new() -> Self {
        Self {
            line: Progress::new(),
            expires_at: None,
        }
    }

    /// Whether a person has been shown a page.
    fn has_begun(&self) -> bool {
        self.expires_at.is_some()
    }

    /// Shows the time left, and returns when to do so again.
    fn tick(&self) -> Option<Instant> {
        let (line, expires_at) = (self.line.as_ref()?, self.expires_at?);
        let left = clock::left(expires_at);
        line.show(format_args!(
            "Waiting for the login … {}:{:02} left",
            left / 60,
            left % 60
        ));
        Some(Instant::now() + TICK)
    }

    fn tell(&mut self, event: &Event, prompt: &Prompt) {
        let Event::Authorize {
            url,
            user_code,
            expires_at,
            ..
        } = event
        else {
            return;
        };
        if let Some(line) = &self.line {
            line.clear();
        }
        self.expires_at = Some(*expires_at);
        show_page(url, user_code, prompt);
    }
}

fn show_page(url: &str, user_code: &str, prompt: &Prompt) {
    terminal::tell(format_args!("Open this page to log in:\n\n  {}\n", Plain(url)));
    if prompt.qr {
        show_qr(url);
    }
    terminal::tell(format_args!(
        "Compare this code with the page: {}",
        terminal::bold(user_code)
    ));
    if !prompt.no_browser && browser::open(url) {
        terminal::tell("The page opens in your browser.");
    }
}

/// A scanner wants dark on light; `Dense1x2` has it the other way round on a dark terminal.
fn show_qr(url: &str) {
    match QrCode::new(url) {
        Ok(code) => {
            let picture = code
                .render::<Dense1x2>()
                .dark_color(Dense1x2::Light)
                .light_color(Dense1x2::Dark)
                .build();
            terminal::tell(format_args!("{picture}\n"));
        }
        Err(_) => terminal::tell("The address is too long for a QR code."),
    }
}
