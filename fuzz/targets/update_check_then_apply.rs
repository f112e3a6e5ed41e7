//! What the guard lets through reaches yrs: it may be refused there, even by a panic behind the fence, but the
//! process lives. The first byte cuts the rest in two, so that an update meets a doc that holds something.
#![no_main]

use device_proto::doc::Replica;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(
    // libFuzzer takes every panic for a crash; here a panic that is caught is a result.
    init: std::panic::set_hook(Box::new(|_| {})),
    |bytes: &[u8]| -> Corpus {
        let Some((&cut, updates)) = bytes.split_first() else {
            return Corpus::Reject;
        };
        let (first, second) = updates.split_at(usize::from(cut).min(updates.len()));
        let mut replica = Replica::default();
        for update in [first, second] {
            let Ok(entries) = replica.apply(update) else {
                return Corpus::Keep;
            };
            for entry in entries {
                assert_eq!(replica.read(entry.map, &entry.key), Some(entry.value), "what is told is held");
            }
        }
        Corpus::Keep
    }
);
