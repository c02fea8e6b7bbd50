//! Operators on parameters, in terms of the contract's operations: formulas read as in a paper.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::Params;

impl Params {
    /// Same structure, every scalar zero.
    pub fn zeros(&self) -> Params {
        self.filled(0.0)
    }
}

/// `$operator` scalar by scalar, of values and references.
macro_rules! between_params {
    ($operator:ident, $method:ident) => {
        impl $operator<&Params> for &Params {
            type Output = Params;
            fn $method(self, other: &Params) -> Params {
                Params::$method(self, other)
            }
        }
        impl $operator<Params> for &Params {
            type Output = Params;
            fn $method(self, other: Params) -> Params {
                Params::$method(self, &other)
            }
        }
        impl $operator<&Params> for Params {
            type Output = Params;
            fn $method(self, other: &Params) -> Params {
                Params::$method(&self, other)
            }
        }
        impl $operator<Params> for Params {
            type Output = Params;
            fn $method(self, other: Params) -> Params {
                Params::$method(&self, &other)
            }
        }
    };
}

between_params!(Add, add);
between_params!(Sub, sub);
between_params!(Mul, mul);
between_params!(Div, div);

/// With a number: `factor * p` and `p + addend`.
macro_rules! with_number {
    ($params:ty) => {
        impl Mul<$params> for f32 {
            type Output = Params;
            fn mul(self, params: $params) -> Params {
                params.scale(self)
            }
        }
        impl Add<f32> for $params {
            type Output = Params;
            fn add(self, addend: f32) -> Params {
                self.offset(addend)
            }
        }
        impl Neg for $params {
            type Output = Params;
            fn neg(self) -> Params {
                self.scale(-1.0)
            }
        }
    };
}

with_number!(Params);
with_number!(&Params);
