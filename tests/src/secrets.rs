//! Says whether a secret, a piece of it or another spelling of it was written anywhere.

use std::collections::HashMap;

use base64ct::{Base64, Base64Url, Encoding};

/// Length of the pieces a secret is searched by, in bytes: a log may cut a secret short.
const PIECE: usize = 8;

/// Something that was written, and where.
pub struct Haystack {
    /// A file's path below the home, or the stream of a command.
    pub place: String,
    /// What was written there.
    pub bytes: Vec<u8>,
}

/// Asserts that no piece of `secret` is in any haystack, plain or as hex, base64 or base64url.
///
/// The head of a JWT is no secret and found in many places: give its signature alone.
///
/// # Panics
/// If a piece is found; the message names the place and the spelling, never the secret. Also if the secret
/// is too short for a meaningful search.
pub fn assert_nowhere(secret: &[u8], haystacks: &[Haystack]) {
    assert_none_anywhere([secret], haystacks);
}

/// The same for many secrets, in one look at each haystack.
///
/// # Panics
/// As [`assert_nowhere`].
pub fn assert_none_anywhere<'a>(secrets: impl IntoIterator<Item = &'a [u8]>, haystacks: &[Haystack]) {
    let mut needles = HashMap::new();
    for secret in secrets {
        assert!(
            secret.len() >= PIECE,
            "a secret of {} bytes turns up by chance",
            secret.len()
        );
        for (spelling, needle) in spellings(secret) {
            needles.extend(pieces(&needle).map(|piece| (piece.to_vec(), spelling.clone())));
        }
    }
    for haystack in haystacks {
        let found = haystack
            .bytes
            .windows(PIECE)
            .find_map(|window| needles.get(window));
        assert!(
            found.is_none(),
            "a piece of a secret ({}) was written to {}",
            found.map_or("", String::as_str),
            haystack.place
        );
    }
}

fn spellings(secret: &[u8]) -> Vec<(String, Vec<u8>)> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![
        ("plain".to_owned(), secret.to_vec()),
        ("HEX".to_owned(), hex.to_ascii_uppercase().into_bytes()),
        ("hex".to_owned(), hex.into_bytes()),
    ];
    for before in 0..3 {
        let shifted = [&vec![0; before], secret].concat();
        all.push((
            format!("base64 at {before}"),
            own_digits(&Base64::encode_string(&shifted), before),
        ));
        all.push((
            format!("base64url at {before}"),
            own_digits(&Base64Url::encode_string(&shifted), before),
        ));
    }
    all
}

/// The base64 digits that depend on the secret alone, not on the `before` bytes in front or on what follows.
fn own_digits(encoded: &str, before: usize) -> Vec<u8> {
    let foreign = (before * 8).div_ceil(6);
    let digits = encoded.trim_end_matches('=');
    let padded = digits.len() != encoded.len();
    digits.as_bytes()[foreign..digits.len() - usize::from(padded)].to_vec()
}

/// The whole pieces from the front, and the last one from the end.
fn pieces(needle: &[u8]) -> impl Iterator<Item = &[u8]> {
    needle
        .chunks_exact(PIECE)
        .chain(needle.rchunks_exact(PIECE).take(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"correct horse battery staple";

    fn written(bytes: impl Into<Vec<u8>>) -> [Haystack; 1] {
        [Haystack {
            place: "the log".to_owned(),
            bytes: bytes.into(),
        }]
    }

    fn found(bytes: impl Into<Vec<u8>>) -> bool {
        let haystack = written(bytes);
        std::panic::catch_unwind(|| assert_nowhere(SECRET, &haystack)).is_err()
    }

    #[test]
    fn every_spelling_at_every_offset_is_found() {
        assert!(found(*b"a line with correct horse battery staple in it"));
        assert!(found(*b"636F727265637420686F727365"));
        assert!(found(*b"636f727265637420686f727365"));
        for prefix in ["", "x", "xy", "xyz"] {
            let text = [prefix.as_bytes(), SECRET, b"and more"].concat();
            assert!(found(Base64::encode_string(&text)), "base64 after {prefix:?}");
            assert!(
                found(Base64Url::encode_string(&text)),
                "base64url after {prefix:?}"
            );
        }
    }

    #[test]
    fn a_piece_is_found_and_other_text_is_not() {
        assert!(found(*b"cut short: correct "));
        assert!(found(*b"ending: y staple"));
        assert!(!found(*b"correctly spelt, but no secret"));
    }

    #[test]
    fn the_message_does_not_tell_the_secret() {
        let panic = std::panic::catch_unwind(|| assert_nowhere(SECRET, &written(SECRET))).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains("the log") && !text.contains("correct"), "{text}");
    }
}
