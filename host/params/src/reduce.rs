//! Reductions over scalars and over a cohort, accumulated in f64 in a fixed order.

use crate::{Params, ParamsError};

/// Scalars summed in one go before partial sums are added: the grouping is part of the result.
const BLOCK: usize = 4096;

impl Params {
    /// Sum of all scalars.
    pub fn sum(&self) -> f64 {
        reduce(self.values(), self.values(), |a, _| f64::from(a))
    }

    /// Σ self·other.
    pub fn dot(&self, other: &Self) -> Result<f64, ParamsError> {
        self.check_same_structure(other)?;
        let product = |a, b| f64::from(a) * f64::from(b);
        Ok(reduce(self.values(), other.values(), product))
    }

    /// L2 norm over all scalars.
    pub fn norm(&self) -> f64 {
        norm(self.values())
    }

    /// L2 norm of each tensor, in storage order.
    pub fn norms(&self) -> Vec<f64> {
        let tensors = self.structure().tensors().iter();
        tensors
            .map(|tensor| norm(&self.values()[tensor.range()]))
            .collect()
    }
}

/// Σ weight · item, each scalar accumulated in f64 in the order of `items` and rounded once.
pub fn weighted_sum(items: &[(&Params, f64)]) -> Result<Params, ParamsError> {
    let first = first_of("weighted-sum", items.iter().map(|(item, _)| *item))?;
    let mut sum = vec![0f64; first.count()];
    for (item, weight) in items {
        for (sum, value) in sum.iter_mut().zip(item.values()) {
            *sum += weight * f64::from(*value);
        }
    }
    let values = sum.into_iter().map(|value| value as f32).collect();
    Ok(Params::new(first.structure().clone(), values))
}

/// Coordinate-wise mean after dropping the `drop` smallest and `drop` largest values.
pub fn trimmed_mean(items: &[&Params], drop: usize) -> Result<Params, ParamsError> {
    let needed = drop.saturating_mul(2).saturating_add(1);
    if items.len() < needed {
        return Err(ParamsError::TooFew {
            operation: "trimmed-mean",
            needed,
            found: items.len(),
        });
    }
    coordinate_wise("trimmed-mean", items, |column| {
        let kept = &column[drop..column.len() - drop];
        (kept.iter().copied().map(f64::from).sum::<f64>() / kept.len() as f64) as f32
    })
}

/// Coordinate-wise median; the mean of the two middle values where their number is even.
pub fn median(items: &[&Params]) -> Result<Params, ParamsError> {
    coordinate_wise("median", items, |column| {
        let middle = column.len() / 2;
        if column.len() % 2 == 1 {
            column[middle]
        } else {
            ((f64::from(column[middle - 1]) + f64::from(column[middle])) / 2.0) as f32
        }
    })
}

/// Squared L2 distance of every pair, row-major upper triangle without the diagonal.
pub fn pairwise_distances(items: &[&Params]) -> Result<Vec<f64>, ParamsError> {
    first_of("pairwise-distances", items.iter().copied())?;
    let mut distances = Vec::new();
    for (index, a) in items.iter().enumerate() {
        for b in &items[index + 1..] {
            let square = |a: f32, b: f32| (f64::from(a) - f64::from(b)).powi(2);
            distances.push(reduce(a.values(), b.values(), square));
        }
    }
    Ok(distances)
}

fn coordinate_wise(
    operation: &'static str,
    items: &[&Params],
    pick: impl Fn(&[f32]) -> f32,
) -> Result<Params, ParamsError> {
    let first = first_of(operation, items.iter().copied())?;
    let mut column = vec![0f32; items.len()];
    let values = (0..first.count()).map(|index| {
        for (slot, item) in column.iter_mut().zip(items) {
            *slot = item.values()[index];
        }
        column.sort_by(f32::total_cmp);
        pick(&column)
    });
    let values = values.collect();
    Ok(Params::new(first.structure().clone(), values))
}

/// The first item, after a check that all have its structure.
fn first_of<'a>(
    operation: &'static str,
    mut items: impl Iterator<Item = &'a Params>,
) -> Result<&'a Params, ParamsError> {
    let first = items.next().ok_or(ParamsError::TooFew {
        operation,
        needed: 1,
        found: 0,
    })?;
    for item in items {
        first.check_same_structure(item)?;
    }
    Ok(first)
}

fn norm(values: &[f32]) -> f64 {
    reduce(values, values, |a, b| f64::from(a) * f64::from(b)).sqrt()
}

/// Σ term(a, b): sums of blocks of fixed size, added in order.
fn reduce(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f64) -> f64 {
    let blocks = a.chunks(BLOCK).zip(b.chunks(BLOCK));
    blocks
        .map(|(a, b)| a.iter().zip(b).map(|(&a, &b)| term(a, b)).sum::<f64>())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(values: [f32; 3]) -> Params {
        Params::from_tensors([("w".to_owned(), vec![3], values.to_vec())]).unwrap()
    }

    #[test]
    fn reductions_match_their_formulas() {
        let x = params([3.0, 0.0, -4.0]);
        let y = params([1.0, 2.0, 0.5]);
        assert_eq!(x.sum(), -1.0);
        assert_eq!(x.dot(&y).unwrap(), 1.0);
        assert_eq!(x.norm(), 5.0);
        assert_eq!(x.norms(), [5.0]);
    }

    #[test]
    fn cohort_operations_match_their_formulas() {
        let items = [
            params([1.0, 5.0, 0.0]),
            params([2.0, -5.0, 1.0]),
            params([9.0, 0.0, 5.0]),
            params([4.0, 1.0, 3.0]),
        ];
        let items: Vec<&Params> = items.iter().collect();
        assert_eq!(median(&items).unwrap().values(), [3.0, 0.5, 2.0]);
        assert_eq!(median(&items[..3]).unwrap().values(), [2.0, 0.0, 1.0]);
        assert_eq!(trimmed_mean(&items, 1).unwrap().values(), [3.0, 0.5, 2.0]);
        let sum = weighted_sum(&[(items[0], 0.25), (items[2], 0.75)]).unwrap();
        assert_eq!(sum.values(), [7.0, 1.25, 3.75]);
        let distances = pairwise_distances(&items[..3]).unwrap();
        assert_eq!(distances, [102.0, 114.0, 90.0]);
    }

    #[test]
    fn empty_and_overtrimmed_cohorts_are_refused() {
        assert!(weighted_sum(&[]).is_err());
        let x = params([1.0; 3]);
        let error = trimmed_mean(&[&x, &x], 1).unwrap_err().to_string();
        assert_eq!(error, "trimmed-mean needs at least 3 items, got 2");
    }
}
