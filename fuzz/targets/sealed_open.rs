//! A text that claims to be sealed never opens, and leaves nothing behind.
#![no_main]

use device_proto::Challenge;
use device_proto::seal::{Key, KeyUse, Sealed};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let session = "req-7Q2m".parse().expect("a good name");
    let key = Key::of_challenge(Challenge::new(&[3; 32]), &session, KeyUse::Token);
    let Ok(sealed) = Sealed::try_from(text.to_owned()) else {
        return;
    };
    let mut buffer = vec![0; sealed.plaintext_len()];
    assert!(key.open("urn:d:x", &sealed, &mut buffer).is_err());
    assert!(buffer.iter().all(|&b| b == 0));
});
