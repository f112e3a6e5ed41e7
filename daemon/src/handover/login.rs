//! One login on its way to the next program: the text that a keychain would keep, and whether one does.

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::keychain::{Item, Unreadable};

/// What is added to the text of a login that no keychain has. A program that does not know it reads the login all the
/// same.
const NOT_KEPT: &[u8] = br#","is_kept":false}"#;

/// A login of an earlier daemon.
pub(crate) struct HandedOver {
    pub(crate) item: Item,
    /// Whether its keychain has it. If not, the next daemon goes on trying.
    pub(crate) is_kept: bool,
}

/// What a keychain has is kept.
impl From<Item> for HandedOver {
    fn from(item: Item) -> Self {
        Self { item, is_kept: true }
    }
}

impl HandedOver {
    /// Returns a login as [`HandedOver::decode`] reads it.
    pub(crate) fn encode(item: &Item, is_kept: bool) -> Zeroizing<Vec<u8>> {
        let mut text = item.encode();
        if !is_kept {
            let end = text.len() - b"}".len();
            text.truncate(end);
            text.extend_from_slice(NOT_KEPT);
        }
        text
    }

    /// Reads what [`HandedOver::encode`] wrote.
    pub(crate) fn decode(text: &[u8]) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Kept {
            is_kept: Option<bool>,
        }
        let item = Item::decode(text)?;
        let Kept { is_kept } = serde_json::from_slice(text).map_err(|_| Unreadable)?;
        Ok(Self {
            item,
            is_kept: is_kept.unwrap_or(true),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keychain::item::MAX_ITEM;
    use crate::keychain::item::tests::{login, longest, parts};

    #[test]
    fn d_052_a_login_and_whether_it_is_kept_are_read_as_they_were_written() {
        for item in [login("work"), longest()] {
            for is_kept in [true, false] {
                let text = HandedOver::encode(&item, is_kept);
                assert_eq!(text.capacity(), MAX_ITEM, "it never grew");
                let read = HandedOver::decode(&text).ok().unwrap();
                assert_eq!((parts(&read.item), read.is_kept), (parts(&item), is_kept));
                assert!(Item::decode(&text).is_ok(), "an older program reads it too");
            }
        }
    }

    #[test]
    fn what_a_keychain_has_is_kept() {
        let read = HandedOver::decode(&login("work").encode()).ok().unwrap();
        assert!(read.is_kept);
        assert!(HandedOver::decode(b"{}").is_err());
    }
}
