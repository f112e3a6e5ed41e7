//! Lines do not depend on how the bytes arrive. The first byte says how long a read is.
#![no_main]

use ipc_proto::Lines;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&step, mut rest)) = bytes.split_first() else {
        return;
    };
    let whole = rest;
    let mut lines = Lines::default();
    let mut seen = 0;
    while !rest.is_empty() {
        let Ok(space) = lines.space() else { return };
        let count = rest.len().min(space.len()).min(usize::from(step) + 1);
        space[..count].copy_from_slice(&rest[..count]);
        lines.filled(count);
        rest = &rest[count..];
        while let Some(line) = lines.next_line() {
            assert_eq!(line, &whole[seen..seen + line.len()]);
            assert_eq!(whole[seen + line.len()], b'\n');
            seen += line.len() + 1;
        }
    }
    assert!(!whole[seen..].contains(&b'\n'));
});
