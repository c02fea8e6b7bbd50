//! Operations that give new parameters, scalar by scalar.
//!
//! A product and a sum are rounded one after the other, never fused, so that a host with FMA and a
//! guest without it agree to the last bit.

use std::sync::Arc;

use glob_match::glob_match;
use rand_distr::{Distribution, StandardNormal};

use crate::{Params, ParamsError, Seed, Structure};

impl Params {
    /// Same structure, every scalar `value`.
    pub fn filled(&self, value: f32) -> Self {
        Self::new(self.structure.clone(), vec![value; self.count()])
    }

    /// Only the tensors whose name matches `glob` (`*` any run of characters).
    pub fn select(&self, glob: &str) -> Result<Self, ParamsError> {
        // `*` shall cross the slashes of no name: PEFT names have dots only.
        let chosen = self.structure.tensors().iter();
        let chosen: Vec<_> = chosen.filter(|t| glob_match(glob, &t.name)).collect();
        if chosen.is_empty() {
            return Err(ParamsError::Empty {
                selection: glob.into(),
            });
        }
        Self::from_tensors(chosen.into_iter().map(|tensor| {
            let values = self.values[tensor.range()].to_vec();
            (tensor.name.clone(), tensor.shape.clone(), values)
        }))
    }

    /// These tensors, those of `other` replacing the ones of the same name or added after them.
    pub fn merge(&self, other: &Self) -> Result<Self, ParamsError> {
        let entries = |params: &Self| -> Vec<(String, Vec<usize>, Vec<f32>)> {
            let tensors = params.structure.tensors().iter();
            tensors
                .map(|tensor| {
                    let values = params.values[tensor.range()].to_vec();
                    (tensor.name.clone(), tensor.shape.clone(), values)
                })
                .collect()
        };
        let mut merged = entries(self);
        merged.retain(|(name, _, _)| other.structure.get(name).is_none());
        merged.extend(entries(other));
        Self::from_tensors(merged)
    }

    /// self + other.
    pub fn add(&self, other: &Self) -> Result<Self, ParamsError> {
        self.zip(other, |a, b| a + b)
    }

    /// self - other.
    pub fn sub(&self, other: &Self) -> Result<Self, ParamsError> {
        self.zip(other, |a, b| a - b)
    }

    /// self * other, scalar by scalar.
    pub fn mul(&self, other: &Self) -> Result<Self, ParamsError> {
        self.zip(other, |a, b| a * b)
    }

    /// self / other, scalar by scalar.
    pub fn div(&self, other: &Self) -> Result<Self, ParamsError> {
        self.zip(other, |a, b| a / b)
    }

    /// The smaller of each pair of scalars; NaN if either is.
    pub fn minimum(&self, other: &Self) -> Result<Self, ParamsError> {
        self.zip(other, |a, b| {
            if a.is_nan() || b.is_nan() {
                f32::NAN
            } else {
                a.min(b)
            }
        })
    }

    /// The larger of each pair of scalars; NaN if either is.
    pub fn maximum(&self, other: &Self) -> Result<Self, ParamsError> {
        self.zip(other, |a, b| {
            if a.is_nan() || b.is_nan() {
                f32::NAN
            } else {
                a.max(b)
            }
        })
    }

    /// self + factor * other.
    pub fn add_scaled(&self, factor: f32, other: &Self) -> Result<Self, ParamsError> {
        self.zip(other, |a, b| a + factor * b)
    }

    /// factor * self.
    pub fn scale(&self, factor: f32) -> Self {
        self.map(|a| factor * a)
    }

    /// self + addend.
    pub fn offset(&self, addend: f32) -> Self {
        self.map(|a| a + addend)
    }

    /// Square root; NaN where a scalar is negative.
    pub fn sqrt(&self) -> Self {
        self.map(f32::sqrt)
    }

    /// self * self.
    pub fn square(&self) -> Self {
        self.map(|a| a * a)
    }

    /// Absolute value.
    pub fn abs(&self) -> Self {
        self.map(f32::abs)
    }

    /// -1, 0 or 1; NaN stays NaN.
    pub fn sign(&self) -> Self {
        self.map(|a| {
            if a > 0.0 {
                1.0
            } else if a < 0.0 {
                -1.0
            } else {
                a
            }
        })
    }

    /// Every scalar moved into [low, high]; the interval must not be empty.
    pub fn clamp(&self, low: f32, high: f32) -> Result<Self, ParamsError> {
        if low.is_nan() || high.is_nan() || low > high {
            return Err(ParamsError::Empty {
                selection: format!("clamp({low}, {high})"),
            });
        }
        Ok(self.map(|a| a.clamp(low, high)))
    }

    /// Standard normal scalars of this structure, from `seed` alone.
    pub fn gaussian(&self, seed: Seed) -> Self {
        let mut rng = seed.rng();
        let values = (0..self.count()).map(|_| StandardNormal.sample(&mut rng));
        Self::new(self.structure.clone(), values.collect())
    }

    fn map(&self, op: impl Fn(f32) -> f32) -> Self {
        let values = self.values.iter().map(|&a| op(a)).collect();
        Self::new(self.structure.clone(), values)
    }

    fn zip(&self, other: &Self, op: impl Fn(f32, f32) -> f32) -> Result<Self, ParamsError> {
        self.check_same_structure(other)?;
        let pairs = self.values.iter().zip(other.values.iter());
        let values = pairs.map(|(&a, &b)| op(a, b)).collect();
        Ok(Self::new(self.structure.clone(), values))
    }
}

impl Structure {
    /// Parameters of this structure that are all zero.
    pub fn zeros(self: &Arc<Self>) -> Params {
        Params::new(self.clone(), vec![0.0; self.count()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(a: [f32; 2], b: f32) -> Params {
        Params::from_tensors([
            ("layer.b".to_owned(), vec![1], vec![b]),
            ("layer.a".to_owned(), vec![2], a.to_vec()),
        ])
        .unwrap()
    }

    #[test]
    fn order_is_by_name_whatever_order_was_given() {
        let params = params([1.0, 2.0], 3.0);
        assert_eq!(params.values(), [1.0, 2.0, 3.0]);
        assert_eq!(params.tensor("layer.b"), Some(&[3.0][..]));
    }

    #[test]
    fn operations_match_their_formulas() {
        let (x, y) = (params([1.0, -4.0], 9.0), params([2.0, 5.0], -3.0));
        let check = |found: Params, expected: [f32; 3]| assert_eq!(found.values(), expected);
        check(x.add(&y).unwrap(), [3.0, 1.0, 6.0]);
        check(x.sub(&y).unwrap(), [-1.0, -9.0, 12.0]);
        check(x.mul(&y).unwrap(), [2.0, -20.0, -27.0]);
        check(x.div(&y).unwrap(), [0.5, -0.8, -3.0]);
        check(x.minimum(&y).unwrap(), [1.0, -4.0, -3.0]);
        check(x.maximum(&y).unwrap(), [2.0, 5.0, 9.0]);
        check(x.add_scaled(0.5, &y).unwrap(), [2.0, -1.5, 7.5]);
        check(x.scale(-2.0), [-2.0, 8.0, -18.0]);
        check(x.offset(1.0), [2.0, -3.0, 10.0]);
        check(x.square(), [1.0, 16.0, 81.0]);
        check(x.abs().sqrt(), [1.0, 2.0, 3.0]);
        check(x.sign(), [1.0, -1.0, 1.0]);
        check(x.clamp(-1.0, 2.0).unwrap(), [1.0, -1.0, 2.0]);
        check(x.filled(0.25), [0.25; 3]);
    }

    #[test]
    fn select_and_merge_keep_names() {
        let x = params([1.0, 2.0], 3.0);
        let b = x.select("*.b").unwrap().scale(10.0);
        assert_eq!(b.values(), [30.0]);
        assert_eq!(x.merge(&b).unwrap().values(), [1.0, 2.0, 30.0]);
        assert!(x.select("*.c").is_err());
    }

    #[test]
    fn a_structure_that_differs_names_the_tensor() {
        let x = params([1.0, 2.0], 3.0);
        let y = Params::from_tensors([("layer.a".to_owned(), vec![2], vec![0.0; 2])]).unwrap();
        let error = x.add(&y).unwrap_err().to_string();
        assert_eq!(error, "tensor `layer.b` is missing");
        let error = y.add(&x).unwrap_err().to_string();
        assert_eq!(error, "tensor `layer.b` is not expected");
    }
}
