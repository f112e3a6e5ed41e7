//! `ciba deny`: a client gets nothing of what it asks the person for.

use ipc_proto::ProfileName;

use crate::approval::{self, Verdict, Wish};
use crate::error::Error;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    wish: Wish,

    /// Do not ask first
    #[arg(short, long)]
    yes: bool,
}

pub(crate) fn run(args: &Args, profile: Option<ProfileName>) -> Result<(), Error> {
    let verdict = Verdict::Deny { unasked: args.yes };
    approval::decide(&args.wish, verdict, profile)
}
