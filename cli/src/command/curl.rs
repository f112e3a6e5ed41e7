//! `ciba curl`: runs curl with the token of the URL's rule. The token reaches curl through a pipe: what stands in
//! arguments can be read by every user of the machine, and what lies in a file by whoever finds it.

use std::ffi::OsString;
use std::io::{self, PipeReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{FdFlags, fcntl_setfd};

use crate::curl::Request;
use crate::error::Error;
use crate::helper::{self, Credential, Reply, Wanted};

/// The first curl that keeps an `Authorization` header from another port of the same host (CVE-2022-27774).
const CAREFUL: (u32, u32) = (7, 83);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments of curl: one URL, and options that cannot send the token elsewhere
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENT"
    )]
    arguments: Vec<OsString>,
}

/// Becomes curl.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let request = Request::read(&args.arguments)?;
    if request.follows && version().is_none_or(|version| version < CAREFUL) {
        return Err(too_old());
    }
    let credential = helper::credential(&Wanted {
        url: &request.url,
        tool: "curl",
        refused: None,
    })?;
    let header = header(&credential)?;
    let mut curl = Command::new("curl");
    // The first: no ~/.curlrc, which may hold every option that is refused here.
    curl.args(["-q", "--globoff"]).args(bounds(&request));
    curl.args(["-H", &format!("@/dev/fd/{}", header.as_raw_fd())]);
    // It returns only when it fails.
    let error = curl.args(&args.arguments).exec();
    Err(Error::not_run(curl.get_program(), &error))
}

/// Keeps a secure request secure, also when it is redirected, and one without TLS from the environment's proxy.
fn bounds(request: &Request) -> &'static [&'static str] {
    if request.is_https() {
        &["--proto", "=https", "--proto-redir", "=https"]
    } else {
        &["--noproxy", "*"]
    }
}

/// Returns a pipe that holds the header, and that a program inherits.
fn header(credential: &Credential) -> Result<PipeReader, Error> {
    let header = Reply::default()
        .word("Authorization: ")
        .authorization(credential)
        .word("\n")
        .into_bytes();
    filled(&header).map_err(|error| Error::internal(format!("the token does not go into a pipe: {error}")))
}

fn filled(bytes: &[u8]) -> io::Result<PipeReader> {
    let (reader, mut writer) = io::pipe()?;
    // No program reads yet: what does not fit would be waited for, for ever.
    fcntl_setfl(&writer, OFlags::NONBLOCK)?;
    writer.write_all(bytes)?;
    fcntl_setfd(&reader, FdFlags::empty())?;
    Ok(reader)
}

/// Asks curl for its version.
fn version() -> Option<(u32, u32)> {
    let told = Command::new("curl")
        .args(["-q", "--version"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    read_version(std::str::from_utf8(&told.stdout).ok()?)
}

/// Reads `curl 7.88.1 (…`.
fn read_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("curl ")?.split(['.', ' ', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn too_old() -> Error {
    let (major, minor) = CAREFUL;
    Error::usage(format!(
        "-L is refused: it takes curl {major}.{minor} or newer, since older ones pass the token on to other ports"
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_version_is_two_numbers() {
        assert_eq!(read_version("curl 7.88.1 (x86_64-pc-linux-gnu)"), Some((7, 88)));
        assert_eq!(read_version("curl 8.20.0-DEV (x)"), Some((8, 20)));
        for odd in ["", "curl", "curl x.y", "wget 1.2.3"] {
            assert_eq!(read_version(odd), None, "{odd}");
        }
        assert!((8, 0) > CAREFUL && (7, 82) < CAREFUL);
    }

    #[test]
    fn a_header_that_no_pipe_holds_is_an_error_and_no_wait() {
        let mut text = String::new();
        filled(b"x").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        assert!(filled(&vec![b'x'; 8 * 1024 * 1024]).is_err());
    }
}
