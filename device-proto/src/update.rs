//! The guard before yrs (D-035, D-036): walks a Yjs update by its grammar and refuses what would make the
//! decoder overflow its stack, reserve memory it was only promised, or panic.
//!
//! Grammar: hocuspocus.md §6, update format v1. Only what a device doc holds is let through: entries of maps that
//! have a name. Types within types are not: yrs deletes them by recursion, and a 160 KiB chain of them ends the
//! process. Texts neither: it cuts them by UTF-16 units.

use std::collections::BTreeMap;
use std::ops::Range;

use thiserror::Error;

use crate::frame::{MAX_SAFE_INTEGER, Reader};

/// Levels of arrays and objects in a value. yrs decodes by recursion: 6,245 levels end a 2 MiB stack.
pub const MAX_NESTING: usize = 32;

/// Structs, values (those within arrays and objects too) and deletions that one connection may bring; a list of
/// them counts as one at least. yrs holds up to some hundred bytes for each, however few the update spends on it.
/// It compares each entry with all that claim the same key: these take it a third of a second, twice as many four
/// times as long.
pub const MAX_PIECES: usize = 8 * 1024;

/// Bytes of a root's name or an entry's key: twice the longest [resource](crate::ResourceUrn::MAX_LEN). yrs hashes
/// the key of each entry that overwrites another, and such an entry does not spell it out.
pub const MAX_NAME: usize = 1024;

/// Bytes of a text or of binary data. A sealed token takes some ten thousand; what says how the session is, is read
/// again with each change of it.
pub const MAX_TEXT: usize = 1024 * 1024;

/// Largest clock or length. yrs counts in 32 bits; half of it keeps every sum of two inside.
const MAX_CLOCK: u64 = 1 << 31;

/// Why an update is not given to yrs. The text quotes nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// It ends early, or a length or count claims more than is there.
    #[error("the update ends early")]
    Truncated,
    /// A client id, clock or length beyond what Yjs can mean, or a name or text that is too long.
    #[error("the update holds a number out of range")]
    OutOfRange,
    /// A kind of content that no device doc holds.
    #[error("the update holds content of an unexpected kind")]
    Unexpected,
    /// Values nested deeper than [`MAX_NESTING`].
    #[error("the update nests values too deeply")]
    TooDeep,
    /// More than [`MAX_PIECES`].
    #[error("the update has too many pieces")]
    TooMany,
    /// It builds on what the replica was never given. Over one ordered connection that cannot be; yrs would keep
    /// it waiting, and what waits in odd combinations makes it panic or read memory that is not its own.
    #[error("the update builds on something unknown")]
    Unknown,
}

/// What an update brings and what it builds on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// How many pieces it has; [the history](crate::history) adds them up.
    pub(crate) pieces: usize,
    /// The clocks of each client's structs.
    pub(crate) brings: BTreeMap<u64, Range<u64>>,
    /// How far each client's clock has to be for its origins and deletions to exist.
    pub(crate) needs: BTreeMap<u64, u64>,
}

/// Decides whether an update is one that may be given to yrs, if it fits [what came before](crate::history).
///
/// # Errors
///
/// [`Refused`].
pub(crate) fn check(update: &[u8]) -> Result<Extent, Refused> {
    let mut walk = Walk {
        reader: Reader::new(update),
        extent: Extent::default(),
    };
    for _ in 0..walk.count(3)? {
        walk.client_block()?;
    }
    walk.deletes()?;
    if walk.reader.is_empty() {
        Ok(walk.extent)
    } else {
        Err(Refused::Unexpected)
    }
}

struct Walk<'a> {
    reader: Reader<'a>,
    extent: Extent,
}

impl Walk<'_> {
    fn number(&mut self) -> Result<u64, Refused> {
        self.reader.number().ok_or(Refused::Truncated)
    }

    /// A count of things that take at least `least` bytes each: checked against what is left.
    fn count(&mut self, least: usize) -> Result<u64, Refused> {
        let count = self.number()?;
        let room = self.reader.remaining() / least;
        if count <= room as u64 {
            Ok(count)
        } else {
            Err(Refused::Truncated)
        }
    }

    /// A count of things that yrs keeps apart. An empty list is a piece as well: it is kept under its client.
    fn pieces(&mut self, least: usize) -> Result<u64, Refused> {
        let count = self.count(least)?;
        self.extent.pieces += usize::try_from(count.max(1)).map_err(|_| Refused::TooMany)?;
        if self.extent.pieces <= MAX_PIECES {
            Ok(count)
        } else {
            Err(Refused::TooMany)
        }
    }

    fn clock(&mut self) -> Result<u64, Refused> {
        Some(self.number()?)
            .filter(|&clock| clock < MAX_CLOCK)
            .ok_or(Refused::OutOfRange)
    }

    fn client(&mut self) -> Result<u64, Refused> {
        // The reader stops at 2^53 already; debug builds of yrs panic from there on.
        let client = self.number()?;
        if client <= MAX_SAFE_INTEGER {
            Ok(client)
        } else {
            Err(Refused::OutOfRange)
        }
    }

    fn bytes(&mut self) -> Result<(), Refused> {
        let bytes = self.reader.bytes().ok_or(Refused::Truncated)?;
        at_most(MAX_TEXT, bytes.len())
    }

    fn text(&mut self, most: usize) -> Result<(), Refused> {
        let text = self.reader.text().ok_or(Refused::Truncated)?;
        at_most(most, text.len())
    }

    /// An origin of a struct of `writer` at `clock`: something that was there before it.
    fn origin(&mut self, writer: u64, clock: u64) -> Result<(), Refused> {
        let (client, origin) = (self.client()?, self.clock()?);
        if client == writer && origin >= clock {
            return Err(Refused::Unknown);
        }
        self.need(client, origin + 1);
        Ok(())
    }

    fn need(&mut self, client: u64, clock: u64) {
        let needed = self.extent.needs.entry(client).or_default();
        *needed = clock.max(*needed);
    }

    fn client_block(&mut self) -> Result<(), Refused> {
        let structs = self.pieces(2)?;
        if structs == 0 {
            // No peer writes it, and yrs recurses over clients without structs: hundreds of thousands end the process.
            return Err(Refused::Unexpected);
        }
        let writer = self.client()?;
        let start = self.clock()?;
        let mut clock = start;
        for _ in 0..structs {
            clock += self.block(writer, clock)?;
            if clock >= MAX_CLOCK {
                return Err(Refused::OutOfRange);
            }
        }
        match self.extent.brings.insert(writer, start..clock) {
            None => Ok(()),
            // yrs joins what one client has in two places out of order, and then reads memory that is not its own.
            Some(_) => Err(Refused::Unexpected),
        }
    }

    /// Returns how far the struct moves its client's clock; never zero.
    fn block(&mut self, writer: u64, clock: u64) -> Result<u64, Refused> {
        let info = self.reader.byte().ok_or(Refused::Truncated)?;
        let length = match info {
            0 => self.clock()?,
            // 10 would leave a gap: what an update skips, another has to bring.
            10 => return Err(Refused::Unknown),
            _ => {
                self.origins(info, writer, clock)?;
                self.content(info & 0x1f)?
            }
        };
        if length > 0 {
            Ok(length)
        } else {
            Err(Refused::OutOfRange)
        }
    }

    fn origins(&mut self, info: u8, writer: u64, clock: u64) -> Result<(), Refused> {
        for _ in 0..(info & 0xc0).count_ones() {
            self.origin(writer, clock)?;
        }
        if info & 0xc0 != 0 {
            return Ok(());
        }
        // 0 would name a type within a type.
        if self.number()? != 1 {
            return Err(Refused::Unexpected);
        }
        self.text(MAX_NAME)?;
        if info & 0x20 != 0 {
            self.text(MAX_NAME)?;
        }
        Ok(())
    }

    fn content(&mut self, kind: u8) -> Result<u64, Refused> {
        match kind {
            1 => self.clock(),
            3 => self.bytes().map(|()| 1),
            8 => self.values(),
            _ => Err(Refused::Unexpected),
        }
    }

    fn values(&mut self) -> Result<u64, Refused> {
        let count = self.pieces(1)?;
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
        let fixed = |walk: &mut Self, count| walk.reader.take(count).map(drop).ok_or(Refused::Truncated);
        match self.reader.byte().ok_or(Refused::Truncated)? {
            127 | 126 | 121 | 120 => Ok(()),
            125 => self.signed(),
            124 => fixed(self, 4),
            123 | 122 => fixed(self, 8),
            119 => self.text(MAX_TEXT),
            118 => self.object(depth),
            117 => self.array(depth),
            116 => self.bytes(),
            _ => Err(Refused::Unexpected),
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Refused> {
        for _ in 0..self.pieces(1)? {
            self.value(depth + 1)?;
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), Refused> {
        for _ in 0..self.pieces(2)? {
            self.text(MAX_NAME)?;
            self.value(depth + 1)?;
        }
        Ok(())
    }

    /// A varInt: one bit less in its first byte, otherwise shaped as a varUint of at most 64 bits.
    fn signed(&mut self) -> Result<(), Refused> {
        for _ in 0..10 {
            if self.reader.byte().ok_or(Refused::Truncated)? & 0x80 == 0 {
                return Ok(());
            }
        }
        Err(Refused::OutOfRange)
    }

    fn deletes(&mut self) -> Result<(), Refused> {
        for _ in 0..self.count(2)? {
            let client = self.client()?;
            let mut end = 0;
            for _ in 0..self.pieces(2)? {
                let (start, length) = (self.clock()?, self.clock()?);
                if start < end || length == 0 {
                    return Err(Refused::Unexpected);
                }
                end = start + length;
            }
            self.need(client, end);
        }
        Ok(())
    }
}

fn at_most(most: usize, length: usize) -> Result<(), Refused> {
    if length <= most {
        Ok(())
    } else {
        Err(Refused::OutOfRange)
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
        assert!(check(&nested(MAX_NESTING)).is_ok());
        assert!(
            Update::decode_v1(&nested(MAX_NESTING)).is_ok(),
            "the hand-made update is a real one"
        );
        assert_eq!(check(&nested(MAX_NESTING + 1)), Err(Refused::TooDeep));
        assert_eq!(check(&nested(6_250)), Err(Refused::TooDeep));
        let object = |levels: usize| setting(&[[118, 1, 1, b'k'].repeat(levels), vec![126]].concat());
        assert!(check(&object(MAX_NESTING)).is_ok());
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
        for kind in [2, 4, 5, 6, 7, 9, 11, 31] {
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
        assert_eq!(check(&[0, 0]), Ok(Extent::default()));
    }

    #[test]
    fn d_036_a_chain_of_types_that_would_overflow_the_stack_on_deletion_is_refused() {
        let mut chain = vec![1];
        chain.write_var(20_000u32);
        chain.extend([7, 0, 0x27, 1, 1, b'm', 1, b'k', 1]);
        for parent in 0..19_999u32 {
            chain.extend([0x27, 0, 7]);
            chain.write_var(parent);
            chain.extend([1, b'k', 1]);
        }
        chain.extend([1, 7, 1, 0, 1]);
        assert!(
            Update::decode_v1(&chain).is_ok(),
            "the hand-made update is a real one"
        );
        assert!(check(&chain).is_err());
        let within = [1, 1, 7, 0, 0x28, 0, 7, 0, 1, b'k', 1, 126, 0];
        assert_eq!(
            check(&within),
            Err(Refused::Unexpected),
            "a parent within the doc"
        );
        let shortest = [1, 1, 7, 0, 0x27, 1, 1, b'm', 1, b'k', 1, 0];
        assert_eq!(
            check(&shortest),
            Err(Refused::Unexpected),
            "one type within another"
        );
    }

    #[test]
    fn d_036_pieces_that_yrs_would_compare_with_each_other_are_counted() {
        let repeated = |count: usize| {
            let mut update = vec![1];
            update.write_var(count);
            update.extend([7, 0]);
            update.extend([0x28, 1, 1, b'm', 1, b'k', 1, 126].repeat(count));
            update.push(0);
            update
        };
        let pieces = |update: &[u8]| check(update).unwrap().pieces;
        assert_eq!(
            pieces(&repeated(100)),
            200,
            "for each entry the struct and its one value"
        );
        assert_eq!(pieces(&repeated(MAX_PIECES / 2)), MAX_PIECES);
        assert_eq!(check(&repeated(MAX_PIECES / 2 + 1)), Err(Refused::TooMany));

        let mut deletes = vec![0, 1, 7];
        deletes.write_var(MAX_PIECES + 1);
        deletes.extend([0, 1].repeat(MAX_PIECES + 1));
        assert_eq!(check(&deletes), Err(Refused::TooMany));
    }

    /// A count and as many times the same bytes.
    fn list(count: usize, one: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.write_var(count);
        bytes.extend(one.repeat(count));
        bytes
    }

    #[test]
    fn d_036_an_array_of_millions_of_empty_objects_that_would_fill_the_memory_is_refused() {
        for (kind, one) in [
            (117, &[118, 0][..]),
            (117, &[117, 0]),
            (117, &[126]),
            (118, &[0, 126]),
        ] {
            let value = |count| [vec![kind], list(count, one)].concat();
            assert_eq!(
                check(&setting(&value(2_000_000))),
                Err(Refused::TooMany),
                "{one:?}"
            );
            assert!(check(&setting(&value(100))).unwrap().pieces >= 100, "{one:?}");
        }
        let nested = |count| setting(&[&[117, 1, 117][..], &list(count, &[126])].concat());
        assert_eq!(check(&nested(100)).unwrap().pieces, 1 + 1 + 1 + 100);
        assert_eq!(check(&nested(MAX_PIECES)), Err(Refused::TooMany));
    }

    #[test]
    fn d_036_clients_without_structs_that_would_overflow_the_stack_are_refused() {
        let clients = |count: u64| {
            let mut update = Vec::new();
            update.write_var(count);
            for id in 0..count {
                update.push(0);
                update.write_var(id);
                update.push(0);
            }
            update.push(0);
            update
        };
        for count in [1, 700_000] {
            assert!(
                Update::decode_v1(&clients(count)).is_ok(),
                "the hand-made update is a real one"
            );
            assert_eq!(check(&clients(count)), Err(Refused::Unexpected));
        }
    }

    #[test]
    fn d_036_clients_that_delete_nothing_and_would_fill_the_memory_are_counted() {
        let deletes = |count: usize| [vec![0], list(count, &[7, 0])].concat();
        assert!(
            Update::decode_v1(&deletes(100)).is_ok(),
            "the hand-made update is a real one"
        );
        assert_eq!(check(&deletes(100)).unwrap().pieces, 100);
        assert_eq!(check(&deletes(MAX_PIECES + 1)), Err(Refused::TooMany));
    }

    #[test]
    fn d_036_a_long_key_that_each_overwriting_entry_would_have_yrs_hash_is_refused() {
        let named = |root: usize, key: usize| {
            let mut update = vec![1, 1, 7, 0, 0x28, 1];
            update.write_string(&"r".repeat(root));
            update.write_string(&"k".repeat(key));
            update.extend([1, 126, 0]);
            check(&update).map(drop)
        };
        assert_eq!(named(MAX_NAME, MAX_NAME), Ok(()));
        assert_eq!(named(MAX_NAME + 1, 1), Err(Refused::OutOfRange));
        assert_eq!(named(1, MAX_NAME + 1), Err(Refused::OutOfRange));
    }

    #[test]
    fn d_036_a_long_text_that_each_change_of_the_session_would_have_copied_is_refused() {
        for kind in [119, 116] {
            let value = |length: usize| {
                let mut value = vec![kind];
                value.write_buf(vec![b'x'; length]);
                check(&setting(&value)).map(drop)
            };
            assert_eq!(value(MAX_TEXT), Ok(()));
            assert_eq!(value(MAX_TEXT + 1), Err(Refused::OutOfRange));
        }
        let mut binary = vec![1, 1, 7, 0, 0x23, 1, 1, b'm', 1, b'k'];
        binary.write_buf(vec![0; MAX_TEXT + 1]);
        binary.push(0);
        assert_eq!(check(&binary), Err(Refused::OutOfRange));
    }

    #[test]
    fn d_036_a_client_with_structs_in_two_places_that_makes_yrs_read_freed_memory_is_refused() {
        let twice = [2, 1, 1, 1, 0, 85, 1, 1, 0, 1, 1, 1, b'!', 1, 0];
        assert!(Update::decode_v1(&twice).is_ok(), "yrs takes it");
        assert_eq!(check(&twice), Err(Refused::Unexpected));
    }

    #[test]
    fn a_struct_of_no_content_carries_no_flags() {
        assert!(check(&[1, 1, 7, 0, 0, 5, 0]).is_ok());
        assert!(
            check(&[1, 1, 7, 0, 0x20, 5, 0]).is_err(),
            "yrs takes it for an item"
        );
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
            prop_assert!(check(&update).is_ok());
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
