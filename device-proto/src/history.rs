//! What one replica was given so far (D-036), and so whether the next update fits: over an ordered connection each
//! builds on the ones before it. A server that sends something else is broken or hostile.

use std::collections::BTreeMap;

use crate::update::{self, MAX_PIECES, Refused};

/// What one replica was given so far.
#[derive(Default)]
pub(crate) struct History {
    /// How far each client's clock is.
    clocks: BTreeMap<u64, u64>,
    pieces: usize,
}

impl History {
    /// Decides whether the next update may be given to yrs.
    ///
    /// # Errors
    ///
    /// [`Refused`]; the history is of no use afterwards.
    pub(crate) fn admit(&mut self, update: &[u8]) -> Result<(), Refused> {
        let extent = update::check(update)?;
        self.pieces += extent.pieces;
        if self.pieces > MAX_PIECES {
            return Err(Refused::TooMany);
        }
        for (client, clocks) in extent.brings {
            let known = self.clocks.entry(client).or_default();
            if clocks.start > *known {
                return Err(Refused::Unknown);
            }
            *known = clocks.end.max(*known);
        }
        let exists =
            |(client, clock): (&u64, &u64)| self.clocks.get(client).is_some_and(|known| known >= clock);
        if extent.needs.iter().all(exists) {
            Ok(())
        } else {
            Err(Refused::Unknown)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `m.k = null` as client 7 at a clock.
    fn entry(clock: u8) -> [u8; 13] {
        [1, 1, 7, clock, 0x28, 1, 1, b'm', 1, b'k', 1, 126, 0]
    }

    #[test]
    fn d_036_an_update_has_to_build_on_the_ones_before_it() {
        let mut history = History::default();
        assert_eq!(history.admit(&entry(0)), Ok(()));
        assert_eq!(history.admit(&entry(0)), Ok(()), "again is harmless");
        assert_eq!(history.admit(&entry(1)), Ok(()));
        assert_eq!(history.admit(&[0, 1, 7, 1, 0, 2]), Ok(()), "deletes both");
        assert_eq!(
            History::default().admit(&entry(1)),
            Err(Refused::Unknown),
            "a gap"
        );
    }

    #[test]
    fn d_036_what_is_not_there_cannot_be_an_origin_or_deleted() {
        let behind = |client: u8, clock: u8| [1, 1, 7, 1, 0x88, client, clock, 1, 126, 0];
        for (update, fits) in [
            (&behind(7, 0)[..], true),
            (&behind(7, 1), false),
            (&behind(7, 75), false),
            (&behind(8, 0), false),
            (&[0, 1, 7, 1, 0, 1], true),
            (&[0, 1, 7, 1, 0, 2], false),
            (&[0, 1, 8, 1, 0, 1], false),
            (&[0, 1, 7, 2, 0, 1, 0, 1], false),
            (&[1, 1, 7, 1, 10, 5, 0], false),
        ] {
            let mut history = History::default();
            assert_eq!(history.admit(&entry(0)), Ok(()));
            assert_eq!(history.admit(update).is_ok(), fits, "{update:?}");
        }
    }

    #[test]
    fn d_036_pieces_add_up_over_a_connection() {
        let mut history = History::default();
        let taken = (0..).take_while(|_| history.admit(&entry(0)).is_ok());
        assert_eq!(taken.count(), MAX_PIECES / 2);
    }
}
