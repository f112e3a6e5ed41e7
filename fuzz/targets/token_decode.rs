//! An opened text: a token or not, and a token survives being written.
#![no_main]

use device_proto::token::Token;

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    if let Ok(token) = Token::decode(text) {
        let written = token.encode();
        let read = Token::decode(&written).expect("what was written is read");
        assert!(read.access_token == token.access_token && read.expires_at == token.expires_at);
    }
});
