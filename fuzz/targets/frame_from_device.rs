//! Bytes of a device, as the server reads them: no panic, and what was read survives being written.
#![no_main]

use device_proto::frame::{Packet, Sender};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(Packet::Frame(frame)) = Packet::decode(bytes, Sender::Device) {
        assert_eq!(
            Packet::decode(&frame.encode(), Sender::Device),
            Ok(Packet::Frame(frame))
        );
    }
});
