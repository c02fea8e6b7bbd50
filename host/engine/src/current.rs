//! The algorithm of a run, which its author may replace between rounds.

use std::sync::{Arc, PoisonError, RwLock};

use folkmoot_plugin::Algorithm;

/// The algorithm as of the present round.
pub struct Current(RwLock<Arc<Algorithm>>);

/// Asked before each round: the algorithm that takes over with it, if there is one.
pub type Renewal<'a> = &'a dyn Fn() -> Option<Algorithm>;

impl Current {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        Self(RwLock::new(Arc::new(algorithm)))
    }

    /// The one that is asked now.
    pub fn get(&self) -> Arc<Algorithm> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn replace(&self, next: Algorithm) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }
}
