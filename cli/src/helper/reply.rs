//! What a helper prints: put together from words of the program and checked texts, in a buffer that is wiped, and
//! written at once.

use std::io::{self, Write};

use serde::Serialize;
use zeroize::Zeroizing;

use super::{Credential, Field, HeaderText};
use crate::error::Error;
use crate::terminal;

/// Bytes a reply without a long token needs.
const ROOM: usize = 4 * 1024;

/// The bytes of a reply, or of what a tool has said. Wiped on drop, and what it leaves when it grows as well (I-008).
pub(super) struct Wiped(Zeroizing<Vec<u8>>);

impl Wiped {
    pub(super) fn with_room(bytes: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(bytes)))
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(2 * needed));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// An answer on its way to standard output.
pub(crate) struct Reply(Wiped);

impl Default for Reply {
    fn default() -> Self {
        Self(Wiped::with_room(ROOM))
    }
}

impl Reply {
    /// Adds a text of the program.
    #[must_use]
    pub(crate) fn word(mut self, text: &'static str) -> Self {
        self.0.push(text.as_bytes());
        self
    }

    /// Adds a text that prints.
    #[must_use]
    pub(crate) fn field(mut self, text: &Field) -> Self {
        self.0.push(text.as_str().as_bytes());
        self
    }

    /// Adds a number.
    #[must_use]
    pub(crate) fn number(mut self, number: u64) -> Self {
        self.0.push(number.to_string().as_bytes());
        self
    }

    /// Adds a token.
    #[must_use]
    pub(crate) fn token(mut self, token: &HeaderText) -> Self {
        self.0.push(token.expose().as_bytes());
        self
    }

    /// Adds the value of an `Authorization` header: Basic where the rule says so (RFC 7617 §2), else Bearer (RFC 6750
    /// §2.1). For tools that do not say what the service offers.
    #[must_use]
    pub(crate) fn authorization(self, credential: &Credential) -> Self {
        match credential.scheme {
            ipc_proto::Scheme::Basic => self.word("Basic ").user_and_password(credential),
            _ => self.word("Bearer ").token(&credential.token),
        }
    }

    /// Adds `base64(username:token)`.
    fn user_and_password(mut self, credential: &Credential) -> Self {
        let mut pair = Wiped::with_room(ROOM);
        pair.push(credential.username.as_str().as_bytes());
        pair.push(b":");
        pair.push(credential.token.expose().as_bytes());
        for group in pair.into_bytes().chunks(3) {
            self.0.push(&base64(group));
        }
        self
    }

    /// Adds a JSON value, whose strings are escaped.
    #[must_use]
    pub(crate) fn json(mut self, value: &impl Serialize) -> Self {
        serde_json::to_writer(&mut self.0, value)
            .expect("a buffer takes every write, and no map has odd keys");
        self
    }

    /// Returns all of it, for another place than standard output.
    pub(crate) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0.into_bytes()
    }

    /// Writes all of it to standard output.
    pub(crate) fn print(self) -> Result<(), Error> {
        terminal::print(&self.0.into_bytes())
    }

    #[cfg(test)]
    pub(crate) fn text(self) -> String {
        String::from_utf8(self.0.into_bytes().to_vec()).unwrap()
    }
}

impl Write for Wiped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Encodes one to three bytes (RFC 4648 §4).
fn base64(group: &[u8]) -> [u8; 4] {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let byte = |place: usize| u32::from(group.get(place).copied().unwrap_or(0));
    let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
    std::array::from_fn(|place| {
        if place > group.len() {
            return b'=';
        }
        let sextet = bits >> (18 - 6 * place) & 0x3f;
        ALPHABET[sextet as usize]
    })
}

#[cfg(test)]
mod tests {
    use ipc_proto::{Scheme, Secret};

    use super::*;

    fn credential(scheme: Scheme, token: &str) -> Credential {
        Credential {
            token: HeaderText::new(Secret::from(token.to_owned())).unwrap(),
            expires_at: 5,
            scheme,
            username: Field::new("oauth2").unwrap(),
            serial: 1,
        }
    }

    #[test]
    fn an_authorization_is_as_the_rule_has_it() {
        for (scheme, token, expected) in [
            (Scheme::Bearer, "abc", "Bearer abc"),
            (Scheme::Auto, "abc", "Bearer abc"),
            // RFC 7617 §2 has no example with this name; `base64` of coreutils says the same.
            (Scheme::Basic, "abc", "Basic b2F1dGgyOmFiYw=="),
            (Scheme::Basic, "abcd", "Basic b2F1dGgyOmFiY2Q="),
            (Scheme::Basic, "abcde", "Basic b2F1dGgyOmFiY2Rl"),
        ] {
            let credential = credential(scheme, token);
            assert_eq!(Reply::default().authorization(&credential).text(), expected);
        }
    }

    #[test]
    fn i_008_a_reply_that_outgrows_its_room_is_whole() {
        let token = "x".repeat(3 * ROOM);
        let long = credential(Scheme::Auto, &token);
        let reply = Reply::default().word("a").token(&long.token).number(7);
        assert_eq!(reply.text(), format!("a{token}7"));
    }

    #[test]
    fn json_escapes_what_a_field_may_hold() {
        let field = Field::new("a\"b\\").unwrap();
        let reply = Reply::default().json(&field.as_str());
        assert_eq!(reply.text(), r#""a\"b\\""#);
    }
}
