//! A deadline in loops.

use std::time::Instant;

use crate::ParamsError;

/// Turns of a loop between two looks at the clock.
pub(crate) const TURNS: usize = 1 << 10;

/// Keeps a deadline in loops whose turns are shorter than a look at the clock.
pub(crate) struct Watch {
    deadline: Option<Instant>,
    /// Since the last look.
    turns: usize,
}

impl Watch {
    pub(crate) fn new(deadline: Option<Instant>) -> Self {
        Self { deadline, turns: 0 }
    }

    #[inline]
    pub(crate) fn turn(&mut self) -> Result<(), ParamsError> {
        self.turns(1)
    }

    /// A turn that takes as long as `count` others.
    #[inline]
    pub(crate) fn turns(&mut self, count: usize) -> Result<(), ParamsError> {
        self.turns += count;
        match self.turns < TURNS {
            true => Ok(()),
            false => {
                self.turns = 0;
                self.look()
            }
        }
    }

    pub(crate) fn look(&self) -> Result<(), ParamsError> {
        match self.deadline {
            Some(deadline) if Instant::now() > deadline => Err(ParamsError::OutOfTime),
            _ => Ok(()),
        }
    }
}
