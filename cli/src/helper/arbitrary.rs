//! What a tool, a daemon or an attacker may say, for the properties that every helper has.

use std::fmt;

use ipc_proto::{Scheme, Secret, Token};
use proptest::prelude::*;

use super::Credential;

/// Pieces of a request.
const PIECES: usize = 24;

/// Bytes of a piece that is no word.
const NOISE: usize = 12;

/// Returns requests that are put together of these words and of any bytes: some of them are nearly right.
pub(super) fn said(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(words).prop_map(|word| word.as_bytes().to_vec());
    let noise = prop::collection::vec(any::<u8>(), 0..NOISE);
    let piece = prop_oneof![6 => word, 1 => noise];
    prop::collection::vec(piece, 0..PIECES).prop_map(|pieces| pieces.concat())
}

/// Returns texts in which a line end, a quote or a control character is as likely as a letter.
pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-z0-9._=+/~-]{1,20}",
        1 => "[a-z\r\n\0\"\\\\=: \u{85}\u{2028}\u{202e}]{0,20}",
        1 => any::<String>(),
    ]
}

/// Returns the credentials that get through the checks, of whatever a daemon may answer.
pub(super) fn credential() -> impl Strategy<Value = Credential> {
    let scheme = prop::sample::select(&[Scheme::Auto, Scheme::Basic, Scheme::Bearer]);
    (text(), text(), scheme, any::<u64>(), any::<u64>()).prop_filter_map(
        "a token and a name that print",
        |(token, username, scheme, expires_at, serial)| {
            let token = Token {
                access_token: Secret::from(token),
                token_type: String::new(),
                resource: String::new(),
                expires_at,
                scope: None,
            };
            let answer = ipc_proto::Credential {
                token,
                scheme,
                username,
                serial,
            };
            answer.try_into().ok()
        },
    )
}

/// For a property that fails. The token is made up, and left out all the same.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Credential({:?}, {:?}, {})",
            self.username, self.scheme, self.expires_at
        )
    }
}
