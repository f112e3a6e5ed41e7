//! A JWT that any client sends: nothing is believed of it that a key has not signed.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ciba_server::fuzz::jws(data));
