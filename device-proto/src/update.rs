//! The guard before yrs (D-035, D-036): walks a Yjs update by its grammar and refuses what would make the
//! decoder overflow its stack, reserve memory it was only promised, or panic.
//!
//! Grammar: hocuspocus.md §6, update format v1. Only what a device doc holds is let through.

use thiserror::Error;

use crate::frame::{MAX_SAFE_INTEGER, Reader};

/// Levels of arrays and objects in a value. yrs decodes by recursion: 6,245 levels end a 2 MiB stack.
pub const MAX_NESTING: usize = 32;

/// Largest clock or length. yrs counts in 32 bits; half of it keeps every sum of two inside.
const MAX_CLOCK: u64 = 1 << 31;

/// Why an update is not given to yrs. The text quotes nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// It ends early, or a length or count claims more than is there.
    #[error("the update ends early")]
    Truncated,
    /// A client id, clock or length beyond what Yjs can mean.
    #[error("the update holds a number out of range")]
    OutOfRange,
    /// A kind of content that no device doc holds.
    #[error("the update holds content of an unexpected kind")]
    Unexpected,
    /// Values nested deeper than [`MAX_NESTING`].
    #[error("the update nests values too deeply")]
    TooDeep,
}

/// Decides whether an update may be given to yrs.
///
/// # Errors
///
/// [`Refused`].
pub fn check(update: &[u8]) -> Result<(), Refused> {
    let mut walk = Walk(Reader::new(update));
    for _ in 0..walk.count(3)? {
        walk.client_block()?;
    }
    walk.deletes()?;
    if walk.0.is_empty() {
        Ok(())
    } else {
        Err(Refused::Unexpected)
    }
}

struct Walk<'a>(Reader<'a>);

impl Walk<'_> {
    fn number(&mut self) -> Result<u64, Refused> {
        self.0.number().ok_or(Refused::Truncated)
    }

    /// A count of things that take at least `least` bytes each: checked against what is left.
    fn count(&mut self, least: usize) -> Result<u64, Refused> {
        let count = self.number()?;
        let room = self.0.remaining() / least;
        if count <= room as u64 {
            Ok(count)
        } else {
            Err(Refused::Truncated)
        }
    }

    fn clock(&mut self) -> Result<u64, Refused> {
        Some(self.number()?)
            .filter(|&clock| clock < MAX_CLOCK)
            .ok_or(Refused::OutOfRange)
    }

    fn client(&mut self) -> Result<(), Refused> {
        // The reader stops at 2^53 already; debug builds of yrs panic from there on.
        let client = self.number()?;
        if client <= MAX_SAFE_INTEGER {
            Ok(())
        } else {
            Err(Refused::OutOfRange)
        }
    }

    fn bytes(&mut self) -> Result<(), Refused> {
        self.0.bytes().map(drop).ok_or(Refused::Truncated)
    }

    fn text(&mut self) -> Result<u64, Refused> {
        let text = self.0.text().ok_or(Refused::Truncated)?;
        Ok(text.encode_utf16().count() as u64)
    }

    fn id(&mut self) -> Result<(), Refused> {
        self.client()?;
        self.clock().map(drop)
    }

    fn client_block(&mut self) -> Result<(), Refused> {
        let structs = self.count(2)?;
        self.client()?;
        let mut clock = self.clock()?;
        for _ in 0..structs {
            clock += self.block()?;
            if clock >= MAX_CLOCK {
                return Err(Refused::OutOfRange);
            }
        }
        Ok(())
    }

    /// Returns how far the struct moves its client's clock; never zero.
    fn block(&mut self) -> Result<u64, Refused> {
        let info = self.0.byte().ok_or(Refused::Truncated)?;
        let length = match info & 0x1f {
            0 | 10 => self.clock()?,
            kind => {
                self.origins(info)?;
                self.content(kind)?
            }
        };
        if length > 0 {
            Ok(length)
        } else {
            Err(Refused::OutOfRange)
        }
    }

    fn origins(&mut self, info: u8) -> Result<(), Refused> {
        if info & 0x80 != 0 {
            self.id()?;
        }
        if info & 0x40 != 0 {
            self.id()?;
        }
        if info & 0xc0 != 0 {
            return Ok(());
        }
        match self.number()? {
            1 => self.text().map(drop)?,
            0 => self.id()?,
            _ => return Err(Refused::Unexpected),
        }
        if info & 0x20 != 0 {
            self.text()?;
        }
        Ok(())
    }

    fn content(&mut self, kind: u8) -> Result<u64, Refused> {
        match kind {
            1 => self.clock(),
            3 => self.bytes().map(|()| 1),
            4 => self.text(),
            // 0, 1, 2: array, map, text. The XML types carry names that no device doc has.
            7 => {
                if self.number()? <= 2 {
                    Ok(1)
                } else {
                    Err(Refused::Unexpected)
                }
            }
            8 => self.values(),
            _ => Err(Refused::Unexpected),
        }
    }

    fn values(&mut self) -> Result<u64, Refused> {
        let count = self.count(1)?;
        for _ in 0..count {
            self.value(0)?;
        }
        Ok(count)
    }

    /// Recursion is safe here: it ends at [`MAX_NESTING`].
    fn value(&mut self, depth: usize) -> Result<(), Refused> {
        if depth > MAX_NESTING {
            return Err(Refused::TooDeep);
        }
        let fixed = |walk: &mut Self, count| walk.0.take(count).map(drop).ok_or(Refused::Truncated);
        match self.0.byte().ok_or(Refused::Truncated)? {
            127 | 126 | 121 | 120 => Ok(()),
            125 => self.signed(),
            124 => fixed(self, 4),
            123 | 122 => fixed(self, 8),
            119 => self.text().map(drop),
            118 => self.object(depth),
            117 => self.array(depth),
            116 => self.bytes(),
            _ => Err(Refused::Unexpected),
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Refused> {
        for _ in 0..self.count(1)? {
            self.value(depth + 1)?;
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), Refused> {
        for _ in 0..self.count(2)? {
            self.text()?;
            self.value(depth + 1)?;
        }
        Ok(())
    }

    /// A varInt: one bit less in its first byte, otherwise shaped as a varUint of at most 64 bits.
    fn signed(&mut self) -> Result<(), Refused> {
        for _ in 0..10 {
            if self.0.byte().ok_or(Refused::Truncated)? & 0x80 == 0 {
                return Ok(());
            }
        }
        Err(Refused::OutOfRange)
    }

    fn deletes(&mut self) -> Result<(), Refused> {
        for _ in 0..self.count(2)? {
            self.client()?;
            for _ in 0..self.count(2)? {
                let (start, length) = (self.clock()?, self.clock()?);
                if start + length >= MAX_CLOCK {
                    return Err(Refused::OutOfRange);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use yrs::encoding::write::Write as _;
    use yrs::updates::decoder::Decode as _;
    use yrs::{Doc, Map as _, Transact as _, Update};

    use super::*;

    /// An update that sets `m.k` to the value with these bytes.
    fn setting(value: &[u8]) -> Vec<u8> {
        let mut update = vec![1, 1, 7, 0, 0x28, 1, 1, b'm', 1, b'k', 1];
        update.extend_from_slice(value);
        update.push(0);
        update
    }

    #[test]
    fn d_035_deep_nesting_is_refused_before_the_decoder_recurses() {
        let nested = |levels: usize| setting(&[[117, 1].repeat(levels), vec![126]].concat());
        assert_eq!(check(&nested(MAX_NESTING)), Ok(()));
        assert!(
            Update::decode_v1(&nested(MAX_NESTING)).is_ok(),
            "the hand-made update is a real one"
        );
        assert_eq!(check(&nested(MAX_NESTING + 1)), Err(Refused::TooDeep));
        assert_eq!(check(&nested(6_250)), Err(Refused::TooDeep));
        let object = |levels: usize| setting(&[[118, 1, 1, b'k'].repeat(levels), vec![126]].concat());
        assert_eq!(check(&object(MAX_NESTING)), Ok(()));
        assert_eq!(check(&object(MAX_NESTING + 1)), Err(Refused::TooDeep));
    }

    #[test]
    fn d_036_a_count_is_checked_against_the_bytes_that_are_left() {
        let mut clients = Vec::new();
        clients.write_var(1u64 << 28);
        clients.push(0);
        assert_eq!(check(&clients), Err(Refused::Truncated));
        let mut array = vec![117];
        array.write_var(1u64 << 28);
        assert_eq!(check(&setting(&array)), Err(Refused::Truncated));
        let mut deletes = vec![0];
        deletes.write_var(1u64 << 28);
        assert_eq!(check(&deletes), Err(Refused::Truncated));
    }

    #[test]
    fn d_036_numbers_beyond_yjs_are_refused() {
        let mut client = vec![1, 1];
        client.write_var(1u64 << 53);
        client.extend([0, 0x28, 1, 1, b'm', 1, b'k', 1, 126, 0]);
        assert!(check(&client).is_err());
        let mut clock = vec![1, 1, 7];
        clock.write_var(MAX_CLOCK);
        clock.extend([0x28, 1, 1, b'm', 1, b'k', 1, 126, 0]);
        assert_eq!(check(&clock), Err(Refused::OutOfRange));
        assert_eq!(
            check(&setting(&[
                125, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0
            ])),
            Err(Refused::OutOfRange)
        );
    }

    #[test]
    fn what_no_device_doc_holds_is_unexpected() {
        for kind in [2, 5, 6, 9, 11, 31] {
            assert_eq!(
                check(&[1, 1, 7, 0, kind, 1, 1, b'm', 1, 0, 0]),
                Err(Refused::Unexpected),
                "{kind}"
            );
        }
        assert_eq!(
            check(&[0, 0, 0]),
            Err(Refused::Unexpected),
            "bytes behind the end"
        );
        assert_eq!(check(&[0, 0]), Ok(()));
    }

    proptest! {
        #[test]
        fn d_036_what_passes_never_kills_the_decoder(
            keys in proptest::collection::vec(("[a-c]", "[ -~]{0,20}"), 1..6),
            flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let doc = Doc::with_client_id(7);
            let map = doc.get_or_insert_map("m");
            let mut txn = doc.transact_mut();
            for (key, value) in &keys {
                map.insert(&mut txn, key.clone(), value.clone());
            }
            let mut update = txn.encode_update_v1();
            drop(txn);
            prop_assert_eq!(check(&update), Ok(()));
            for (at, byte) in flips {
                let at = at.index(update.len());
                update[at] = byte;
            }
            if check(&update).is_ok() {
                let _ = std::panic::catch_unwind(|| Update::decode_v1(&update));
            }
        }

        #[test]
        fn any_bytes_are_checked_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = check(&bytes);
        }
    }
}
