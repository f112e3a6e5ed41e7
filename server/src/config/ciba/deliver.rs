//! `[ciba.deliver]`: how often a ping or push that failed is tried again.

use std::ops::RangeInclusive;

use serde::Deserialize;

use crate::config::{Error, within};

/// Tries after the first (C-334, C-364).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section")]
pub(crate) struct Deliver {
    pub(crate) ping_retries: u64,
    pub(crate) push_retries: u64,
}

/// With six, the last wait is 32 seconds and all together take a minute.
const RETRIES: RangeInclusive<u64> = 0..=6;

impl Default for Deliver {
    fn default() -> Self {
        Self {
            ping_retries: 2,
            push_retries: 3,
        }
    }
}

impl Deliver {
    pub(super) fn checked(self) -> Result<Self, Error> {
        within(("ciba.deliver.ping_retries", self.ping_retries), &RETRIES)?;
        within(("ciba.deliver.push_retries", self.push_retries), &RETRIES)?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_364_the_number_of_retries_has_bounds() {
        let checked = |text: &str| toml::from_str::<Deliver>(text).unwrap().checked();
        assert_eq!(
            checked("").unwrap(),
            Deliver {
                ping_retries: 2,
                push_retries: 3
            }
        );
        assert!(checked("ping_retries = 0\npush_retries = 6").is_ok());
        for wrong in ["ping_retries", "push_retries"] {
            let error = checked(&format!("{wrong} = 7")).unwrap_err().to_string();
            assert_eq!(error, format!("ciba.deliver.{wrong}: must be 0 to 6"));
        }
    }
}
