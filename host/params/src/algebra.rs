//! Operations that give new parameters, scalar by scalar. Each is recorded, not evaluated; structures
//! that do not match are found at once.
//!
//! A product and a sum are rounded one after the other, never fused, so that a host with FMA and a
//! guest without it agree to the last bit.

use std::sync::Arc;

use glob_match::glob_match;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::expression::{Binary, Expression, Pick, Unary};
use crate::source::Source;
use crate::{Params, ParamsError, Seed, Structure};

/// Items of a column at most, or of distances from one: either takes a block of each, on every thread.
pub(crate) const MOST_ITEMS: usize = 1 << 14;

/// Scalars that are drawn from one seed.
const DRAWN: usize = 65_536;

impl Params {
    /// Same structure, every scalar `value`.
    pub fn filled(&self, value: f32) -> Self {
        Self::recorded(self.structure().clone(), Expression::Filled(value))
    }

    /// Only the tensors whose name matches `glob` (`*` any run of characters).
    pub fn select(&self, glob: &str) -> Result<Self, ParamsError> {
        // `*` crosses the slashes of no name: PEFT names have dots only.
        let tensors = self.structure().tensors().iter();
        let chosen = Structure::of(tensors.filter(|tensor| glob_match(glob, &tensor.name)))?;
        match chosen.tensors().is_empty() {
            true => Err(ParamsError::Empty {
                selection: glob.into(),
            }),
            false => Ok(Self::recorded(chosen, Expression::Select(self.clone()))),
        }
    }

    /// The tensors that `keep` lets through; none if it is none.
    pub fn filter(&self, keep: impl Fn(&str) -> bool) -> Option<Self> {
        let tensors = self.structure().tensors().iter();
        let chosen = Structure::of(tensors.filter(|tensor| keep(&tensor.name))).ok()?;
        let some = !chosen.tensors().is_empty();
        some.then(|| Self::recorded(chosen, Expression::Select(self.clone())))
    }

    /// These tensors, those of `other` replacing the ones of the same name or added after them.
    pub fn merge(&self, other: &Self) -> Result<Self, ParamsError> {
        let over = other.structure();
        let own = self.structure().tensors().iter();
        let mut tensors: Vec<_> = own
            .filter(|tensor| over.get(&tensor.name).is_none())
            .collect();
        tensors.extend(over.tensors());
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        let merged = Structure::of(tensors.into_iter())?;
        Ok(Self::recorded(
            merged,
            Expression::Merge(self.clone(), other.clone()),
        ))
    }

    /// self + other.
    pub fn add(&self, other: &Self) -> Result<Self, ParamsError> {
        self.binary(Binary::Add, other)
    }

    /// self - other.
    pub fn sub(&self, other: &Self) -> Result<Self, ParamsError> {
        self.binary(Binary::Sub, other)
    }

    /// self * other, scalar by scalar.
    pub fn mul(&self, other: &Self) -> Result<Self, ParamsError> {
        self.binary(Binary::Mul, other)
    }

    /// self / other, scalar by scalar.
    pub fn div(&self, other: &Self) -> Result<Self, ParamsError> {
        self.binary(Binary::Div, other)
    }

    /// The smaller of each pair of scalars; NaN if either is.
    pub fn minimum(&self, other: &Self) -> Result<Self, ParamsError> {
        self.binary(Binary::Minimum, other)
    }

    /// The larger of each pair of scalars; NaN if either is.
    pub fn maximum(&self, other: &Self) -> Result<Self, ParamsError> {
        self.binary(Binary::Maximum, other)
    }

    /// self + factor * other.
    pub fn add_scaled(&self, factor: f32, other: &Self) -> Result<Self, ParamsError> {
        self.binary(Binary::AddScaled(factor), other)
    }

    /// factor * self.
    pub fn scale(&self, factor: f32) -> Self {
        self.unary(Unary::Scale(factor))
    }

    /// self + addend.
    pub fn offset(&self, addend: f32) -> Self {
        self.unary(Unary::Offset(addend))
    }

    /// Square root; NaN where a scalar is negative.
    pub fn sqrt(&self) -> Self {
        self.unary(Unary::Sqrt)
    }

    /// self * self.
    pub fn square(&self) -> Self {
        self.unary(Unary::Square)
    }

    /// Absolute value.
    pub fn abs(&self) -> Self {
        self.unary(Unary::Abs)
    }

    /// -1, 0 or 1; NaN stays NaN.
    pub fn sign(&self) -> Self {
        self.unary(Unary::Sign)
    }

    /// Every scalar moved into [low, high]; the interval must not be empty.
    pub fn clamp(&self, low: f32, high: f32) -> Result<Self, ParamsError> {
        if low.is_nan() || high.is_nan() || low > high {
            return Err(ParamsError::Empty {
                selection: format!("clamp({low}, {high})"),
            });
        }
        Ok(self.unary(Unary::Clamp(low, high)))
    }

    /// Standard normal scalars of this structure, from `seed` alone; drawn at once.
    pub fn gaussian(&self, seed: Seed) -> Self {
        let mut buffer = Buffer::unset(self.count());
        let blocks = buffer.as_mut_slice().par_chunks_mut(DRAWN).enumerate();
        blocks.for_each(|(index, block)| {
            let mut rng = seed.derive("block", index as u64).rng();
            block.fill_with(|| StandardNormal.sample(&mut rng));
        });
        Self::evaluated(self.structure().clone(), Source::Memory(Arc::new(buffer)))
    }

    fn unary(&self, op: Unary) -> Self {
        Self::recorded(
            self.structure().clone(),
            Expression::Unary(op, self.clone()),
        )
    }

    fn binary(&self, op: Binary, other: &Self) -> Result<Self, ParamsError> {
        self.check_same_structure(other)?;
        let expression = Expression::Binary(op, self.clone(), other.clone());
        Ok(Self::recorded(self.structure().clone(), expression))
    }
}

impl Structure {
    /// Parameters of this structure that are all zero.
    pub fn zeros(self: &Arc<Self>) -> Params {
        Params::recorded(self.clone(), Expression::Filled(0.0))
    }
}

/// Σ weight · item, each scalar accumulated in f64 in the order of `items` and rounded once.
pub fn weighted_sum(items: &[(&Params, f64)]) -> Result<Params, ParamsError> {
    let structure = common("weighted-sum", items.iter().map(|(item, _)| *item))?;
    let items = items
        .iter()
        .map(|(item, weight)| ((*item).clone(), *weight));
    Ok(Params::recorded(
        structure,
        Expression::WeightedSum(items.collect()),
    ))
}

/// Coordinate-wise mean after dropping the `drop` smallest and `drop` largest values.
pub fn trimmed_mean(items: &[&Params], drop: usize) -> Result<Params, ParamsError> {
    let needed = drop.saturating_mul(2).saturating_add(1);
    columns("trimmed-mean", Pick::Trimmed(drop), items, needed)
}

/// Coordinate-wise median; the mean of the two middle values where their number is even.
pub fn median(items: &[&Params]) -> Result<Params, ParamsError> {
    columns("median", Pick::Median, items, 1)
}

/// Coordinate-wise mean of the `keep` values that lie nearest to the median; of two equally near ones
/// the smaller counts as nearer.
pub fn mean_near_median(items: &[&Params], keep: usize) -> Result<Params, ParamsError> {
    if keep == 0 {
        return Err(ParamsError::Empty {
            selection: "mean-near-median of 0".into(),
        });
    }
    columns("mean-near-median", Pick::NearMedian(keep), items, keep)
}

fn columns(
    operation: &'static str,
    pick: Pick,
    items: &[&Params],
    needed: usize,
) -> Result<Params, ParamsError> {
    if items.len() < needed {
        let found = items.len();
        return Err(ParamsError::TooFew {
            operation,
            needed,
            found,
        });
    }
    at_most(MOST_ITEMS, operation, items.len())?;
    let structure = common(operation, items.iter().copied())?;
    let items = items.iter().map(|item| (*item).clone()).collect();
    Ok(Params::recorded(
        structure,
        Expression::Columns(pick, items),
    ))
}

/// Refuses more than `most` items.
pub(crate) fn at_most(
    most: usize,
    operation: &'static str,
    found: usize,
) -> Result<(), ParamsError> {
    match found > most {
        true => Err(ParamsError::TooMany {
            operation,
            most,
            found,
        }),
        false => Ok(()),
    }
}

/// The structure that all items have.
pub(crate) fn common<'a>(
    operation: &'static str,
    mut items: impl Iterator<Item = &'a Params>,
) -> Result<Arc<Structure>, ParamsError> {
    let first = items.next().ok_or(ParamsError::TooFew {
        operation,
        needed: 1,
        found: 0,
    })?;
    for item in items {
        first.check_same_structure(item)?;
    }
    Ok(first.structure().clone())
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
        let many = vec![&x; MOST_ITEMS + 1];
        let error = median(&many).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, "median takes at most 16384 items, got 16385");
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
