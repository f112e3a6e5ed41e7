//! `ciba approve`: a client gets what it asks the person for.

use ipc_proto::ProfileName;

use crate::approval::{self, Verdict, Wish};
use crate::error::Error;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    wish: Wish,
}

pub(crate) fn run(args: &Args, profile: Option<ProfileName>) -> Result<(), Error> {
    approval::decide(&args.wish, Verdict::Approve, profile)
}
