//! A line of a local client, as the daemon reads it.
#![no_main]

use ipc_proto::Request;

libfuzzer_sys::fuzz_target!(|line: &[u8]| {
    if let Ok(request) = Request::decode(line) {
        let written = request.encode();
        let line = written.strip_suffix(b"\n").expect("a line ends");
        let read = Request::decode(line).expect("what was written is read");
        assert_eq!(read.op, request.op);
        assert_eq!(read.id, request.id);
    }
});
