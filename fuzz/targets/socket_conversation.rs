//! A device that sends anything, against the server's end of a socket. Messages: a length byte, then its bytes.
#![no_main]

use std::time::Instant;

use device_proto::hub::{Decision, MAX_DENIALS, Socket};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let now = Instant::now();
    let mut socket = Socket::new(now);
    let mut denials = 0;
    let mut rest = bytes;
    while let Some((&length, tail)) = rest.split_first() {
        let (message, tail) = tail.split_at(usize::from(length).min(tail.len()));
        rest = tail;
        match socket.receive(now, message) {
            Err(_) => return,
            Ok(Decision::Prove { document, token, .. }) if token.expose().len() % 2 == 0 => {
                assert!(socket.grant(document, &[0, 0]).len() <= 3);
            }
            Ok(Decision::Prove { document, .. }) => {
                denials += 1;
                assert_eq!(socket.deny(document).is_err(), denials >= MAX_DENIALS);
                if denials >= MAX_DENIALS {
                    return;
                }
            }
            Ok(_) => {}
        }
    }
});
