//! `ciba --url URL`: log in, print one token, leave nothing behind.

use ipc_proto::{Op, ProfileName, Token};

use crate::environment::or_variable;
use crate::error::Error;
use crate::login::{self, Prompt};
use crate::print::{self, Form};

#[derive(clap::Args, Default)]
#[command(next_help_heading = "Without a command (one-shot login)")]
pub(crate) struct Args {
    /// Log in at this server, print one token and keep nothing
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// Resource the token is for [env: CIBA_RESOURCE]
    #[arg(long, value_name = "URN", requires = "url")]
    resource: Option<String>,

    #[command(flatten)]
    prompt: Prompt,
}

impl Args {
    /// Whether any of it was typed.
    pub(crate) fn is_given(&self) -> bool {
        self.url.is_some() || self.resource.is_some() || self.prompt.is_given()
    }
}

/// Runs the login to its end and prints the token, and nothing else, on standard output.
pub(crate) fn run(args: Args, profile: Option<ProfileName>) -> Result<(), Error> {
    let op = Op::Start {
        url: args
            .url
            .ok_or_else(|| Error::usage("no server is named").hint("ciba --url URL"))?,
        profile,
        resource: or_variable(args.resource, "CIBA_RESOURCE")?,
        one_shot: true,
        keychain: None,
    };
    let token: Token = login::run(op, &args.prompt, |_| Ok(()))?;
    print::token(&token, Form::Bare)
}
