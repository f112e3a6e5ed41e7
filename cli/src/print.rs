//! Step 11 of the token's way: a token as bytes on standard output, in the form that the reader understands.

use ipc_proto::{Granted, GrantedFields, Secret, Token};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::terminal;

/// Bytes in the JSON object around the token. It comes first, so whatever does not fit finds it in place.
const ROOM: usize = 64;

/// What is printed.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// The token alone.
    Bare,
    /// `Authorization: Bearer TOKEN`.
    Header,
    /// `Bearer TOKEN`.
    Bearer,
    /// A JSON object with the token and what is known of it.
    Json,
}

/// Prints a token with one write, from a buffer that is wiped.
pub(crate) fn token(token: &Token, form: Form) -> Result<(), Error> {
    let secret = printable(token)?;
    let line = match form {
        Form::Bare => line("", secret),
        Form::Header => line("Authorization: Bearer ", secret),
        Form::Bearer => line("Bearer ", secret),
        Form::Json => json(token),
    };
    terminal::print(&line)
}

/// Prints what a provider has granted: the access token, or all of it as a JSON object.
pub(crate) fn granted(granted: &Granted, as_json: bool) -> Result<(), Error> {
    let secret = granted.access_token.expose();
    if !is_printable(secret) || secret.is_empty() {
        return Err(unprintable());
    }
    let line = if as_json {
        granted_json(granted)
    } else {
        line("", secret)
    };
    terminal::print(&line)
}

fn granted_json(granted: &Granted) -> Zeroizing<Vec<u8>> {
    let shown = GrantedFields {
        access_token: granted.access_token.expose(),
        token_type: &granted.token_type,
        expires_at: granted.expires_at,
        scope: granted.scope.as_deref(),
        id_token: granted.id_token.as_ref().map(Secret::expose),
        refresh_token: granted.refresh_token.as_ref().map(Secret::expose),
        authorization_details: granted.authorization_details.as_ref(),
    };
    // The daemon's line was no longer.
    let mut line = Zeroizing::new(Vec::with_capacity(ipc_proto::MAX_LINE));
    serde_json::to_writer(&mut *line, &shown).expect("a Vec takes every write, and no map has odd keys");
    line.push(b'\n');
    line
}

/// Returns the token itself; an error for one that a header cannot carry (RFC 6750 §2.1): it could carry a second header
/// instead.
pub(crate) fn printable(token: &Token) -> Result<&str, Error> {
    let secret = token.access_token.expose();
    // A tool would take nothing for a token: cargo then asks without one, and says that a token was rejected.
    if is_printable(secret) && !secret.is_empty() {
        Ok(secret)
    } else {
        Err(unprintable())
    }
}

fn line(before: &str, secret: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([before, secret, "\n"].concat().into_bytes())
}

/// Looks at every byte, also after the first bad one: the compiler then takes many at a time.
fn is_printable(secret: &str) -> bool {
    secret
        .bytes()
        .fold(true, |good, byte| good & byte.is_ascii_graphic())
}

fn unprintable() -> Error {
    Error::internal("the token holds characters that no header may carry")
}

fn json(token: &Token) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Shown<'a> {
        access_token: &'a str,
        token_type: &'a str,
        expires_at: u64,
        resource: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        scope: Option<&'a str>,
    }
    let shown = Shown {
        access_token: token.access_token.expose(),
        token_type: &token.token_type,
        expires_at: token.expires_at,
        resource: &token.resource,
        scope: token.scope.as_deref(),
    };
    // Room for a token all of quotation marks: a buffer that grows leaves copies behind (I-008).
    let room = 2 * shown.access_token.len() + ROOM;
    let mut line = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *line, &shown).expect("a Vec takes every write, and no map has odd keys");
    line.push(b'\n');
    line
}
