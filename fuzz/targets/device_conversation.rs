//! A server that sends anything, against the device's end of a connection. Messages: a length byte, then its bytes.
#![no_main]

use std::time::Instant;

use device_proto::device::Event;
use device_proto::{Challenge, Device};
use libfuzzer_sys::fuzz_target;

const SECRET: [u8; 32] = [3; 32];

fuzz_target!(
    init: std::panic::set_hook(Box::new(|_| {})),
    |bytes: &[u8]| {
        let challenge = Challenge::new(&SECRET);
        let session = "req-7Q2m".parse().expect("a good name");
        let mut device = Device::connect(session, challenge, Instant::now());
        let mut rest = bytes;
        while let Some((&length, tail)) = rest.split_first() {
            let (message, tail) = tail.split_at(usize::from(length).min(tail.len()));
            rest = tail;
            device.handle_message(message, challenge);
        }
        let events: Vec<_> = std::iter::from_fn(|| device.poll_event()).collect();
        let over = events.iter().filter(|e| matches!(e, Event::Disconnected(_))).count();
        // Abort and not panic: the hook above is silent.
        if over > 1 || over == 1 && device.poll_timeout().is_some() {
            std::process::abort();
        }
    }
);
