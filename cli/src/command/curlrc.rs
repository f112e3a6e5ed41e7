//! `ciba curlrc`: the line of a curl configuration that holds the token of a URL, for `curl -K -`.

use crate::error::Error;
use crate::helper::{self, Reply, Wanted};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// URL that the token is for
    url: String,
}

/// Prints the line. A token has no character that would have to be escaped in it.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let credential = helper::credential(&Wanted {
        url: &args.url,
        tool: "curl",
        refused: None,
    })?;
    Reply::default()
        .word("header = \"Authorization: ")
        .authorization(&credential)
        .word("\"\n")
        .print()
}
