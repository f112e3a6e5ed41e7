//! `ciba completions`: the files that lie in `completions/`, for people who did not get them with a package.

use clap::ValueEnum;

use crate::error::Error;
use crate::terminal;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Shell to complete in
    shell: Shell,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the file for the shell to read.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let file: &[u8] = match args.shell {
        Shell::Bash => include_bytes!("../../completions/ciba.bash"),
        Shell::Zsh => include_bytes!("../../completions/_ciba"),
        Shell::Fish => include_bytes!("../../completions/ciba.fish"),
    };
    terminal::print(file)
}
