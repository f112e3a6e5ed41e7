//! A line of the daemon, as the client reads it, whatever it asked for.
#![no_main]

use ipc_proto::{Configuration, Credential, Hello, Message, Started, Status, Stopped, Token};

libfuzzer_sys::fuzz_target!(|line: &[u8]| {
    let _ = Message::<Token>::decode(line);
    let _ = Message::<Credential>::decode(line);
    let _ = Message::<Configuration>::decode(line);
    let _ = Message::<Status>::decode(line);
    let _ = Message::<Started>::decode(line);
    let _ = Message::<Stopped>::decode(line);
    let _ = Message::<Hello>::decode(line);
});
