//! The body that any client sends to an OAuth endpoint: it is read strictly, or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ciba_server::fuzz::form(data));
