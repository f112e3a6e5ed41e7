//! What a client signs when it asks for a person: whatever it says, it gets what it may have.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ciba_server::fuzz::signed_request(data));
