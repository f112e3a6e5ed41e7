//! The provider's only source of time, so that a test can let a token expire without waiting for it.

use std::sync::Arc;

use crate::clock;

/// A clock that tells Unix seconds.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// Returns a clock that asks `now` for the Unix seconds.
    pub fn new(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Returns the machine's clock.
    pub fn system() -> Self {
        Self::new(|| clock::now().seconds())
    }

    pub(super) fn now(&self) -> u64 {
        (self.0)()
    }
}
