//! A stateless message, in either direction.
#![no_main]

use device_proto::ask::{Ask, Reply};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(ask) = Ask::decode(text) {
        assert_eq!(Ask::decode(&ask.encode()), Ok(ask));
    }
    if let Ok(reply) = Reply::decode(text) {
        assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
    }
});
