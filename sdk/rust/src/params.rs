//! Operators on parameters, in terms of the contract's operations.

use std::ops::{Add, Mul, Sub};

use crate::Params;

impl Params {
    /// Same structure, every scalar zero.
    pub fn zeros(&self) -> Params {
        self.filled(0.0)
    }
}

impl Add for &Params {
    type Output = Params;

    fn add(self, other: &Params) -> Params {
        Params::add(self, other)
    }
}

impl Sub for &Params {
    type Output = Params;

    fn sub(self, other: &Params) -> Params {
        Params::sub(self, other)
    }
}

impl Mul<&Params> for f32 {
    type Output = Params;

    fn mul(self, params: &Params) -> Params {
        params.scale(self)
    }
}
