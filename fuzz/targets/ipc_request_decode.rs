//! A line of a local client, as the daemon reads it.
#![no_main]

use ipc_proto::{Id, Request};

libfuzzer_sys::fuzz_target!(|line: &[u8]| {
    if let Ok(request) = Request::decode(line) {
        let written = request.encode();
        let line = written.strip_suffix(b"\n").expect("a line ends");
        let read = Request::decode(line).expect("what was written is read");
        assert_eq!(read.op, request.op);
        // A fraction, or an integer beyond 64 bits, is echoed as the nearest f64.
        if !matches!(&request.id, Id::Number(number) if number.is_f64()) {
            assert_eq!(read.id, request.id);
        }
    }
});
