//! Whether a secret was written down.

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};

/// Whether these bytes hold a secret, however it was written down.
pub(crate) fn holds(all: &[u8], secret: &[u8]) -> bool {
    spellings(secret)
        .iter()
        .any(|text| all.windows(text.len()).any(|at| at == text))
}

/// The same bytes as other code may have written them down.
fn spellings(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    // Only whole groups of three bytes do not depend on what follows.
    let whole = &secret[..secret.len() - secret.len() % 3];
    let texts = [
        hex.to_uppercase(),
        hex,
        Base64::encode_string(whole),
        Base64UrlUnpadded::encode_string(whole),
    ];
    let utf16 = secret.iter().flat_map(|byte| [*byte, 0]).collect();
    [
        vec![secret.to_vec(), utf16],
        texts.map(String::into_bytes).to_vec(),
    ]
    .concat()
}

/// Fails if anything the server wrote holds one of these.
pub(crate) fn assert_unsaid(log: &str, secrets: &[&str]) {
    assert!(log.contains("serving"), "this is not a log: {log}");
    for secret in secrets {
        assert!(
            secret.len() >= 6 && !log.contains(secret),
            "a secret is in the log: {log}"
        );
    }
}
