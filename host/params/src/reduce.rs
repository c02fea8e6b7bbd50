//! Evaluation of what was recorded, and reductions, accumulated in f64 in a fixed order.

use std::time::Instant;

use crate::algebra::{MOST_ITEMS, at_most, common};
use crate::evaluate::{Fold, commit, fold};
use crate::{Params, ParamsError};

/// Items of which every pair has a distance at most: 2 million pairs.
const MOST_PAIRED: usize = 1 << 11;

/// Evaluates expressions and reduces them, up to a deadline.
#[derive(Clone, Copy, Default, Debug)]
pub struct Evaluator {
    deadline: Option<Instant>,
}

impl Evaluator {
    /// One that gives up at `deadline` with [`ParamsError::OutOfTime`]; the default never does.
    pub fn until(deadline: Instant) -> Self {
        Self {
            deadline: Some(deadline),
        }
    }

    /// Evaluates `wanted`, those of the same structure in one pass over their inputs.
    pub fn commit(&self, wanted: &[Params]) -> Result<(), ParamsError> {
        commit(wanted, 0, self.deadline).map(|_| ())
    }

    /// Evaluates `wanted` and tells, in the same pass, whether the first of them is finite everywhere.
    pub fn commit_finite(&self, wanted: &[Params]) -> Result<bool, ParamsError> {
        Ok(commit(wanted, 1, self.deadline)? == 0)
    }

    /// Sum of all scalars.
    pub fn sum(&self, a: &Params) -> Result<f64, ParamsError> {
        self.one(std::slice::from_ref(a), Fold::Sum(0))
    }

    /// Σ a·b.
    pub fn dot(&self, a: &Params, b: &Params) -> Result<f64, ParamsError> {
        a.check_same_structure(b)?;
        self.one(&[a.clone(), b.clone()], Fold::Dot(0, 1))
    }

    /// L2 norm over all scalars.
    pub fn norm(&self, a: &Params) -> Result<f64, ParamsError> {
        Ok(self.one(std::slice::from_ref(a), Fold::Dot(0, 0))?.sqrt())
    }

    /// L2 norm of each tensor, in storage order.
    pub fn norms(&self, a: &Params) -> Result<Vec<f64>, ParamsError> {
        let operands = [a.clone()];
        let tensors = a.structure().tensors().iter();
        let norm = tensors.map(|tensor| {
            let square = [Fold::Dot(0, 0)];
            let sums = fold(
                a.structure(),
                &operands,
                tensor.range(),
                &square,
                self.deadline,
            )?;
            Ok(sums[0].sqrt())
        });
        norm.collect()
    }

    /// How many scalars are NaN or infinite.
    pub fn not_finite(&self, a: &Params) -> Result<u64, ParamsError> {
        Ok(self.one(std::slice::from_ref(a), Fold::NotFinite(0))? as u64)
    }

    /// Squared L2 distance of each item from `center`, in one pass over all of them.
    pub fn distances(&self, items: &[&Params], center: &Params) -> Result<Vec<f64>, ParamsError> {
        at_most(MOST_ITEMS, "distances", items.len())?;
        let all = std::iter::once(center).chain(items.iter().copied());
        let structure = common("distances", all.clone())?;
        let operands: Vec<Params> = all.cloned().collect();
        let folds: Vec<Fold> = (1..operands.len())
            .map(|item| Fold::Distance(item, 0))
            .collect();
        fold(
            &structure,
            &operands,
            0..structure.count(),
            &folds,
            self.deadline,
        )
    }

    /// Squared L2 distance of every pair, row-major upper triangle without the diagonal.
    pub fn pairwise_distances(&self, items: &[&Params]) -> Result<Vec<f64>, ParamsError> {
        at_most(MOST_PAIRED, "pairwise-distances", items.len())?;
        let structure = common("pairwise-distances", items.iter().copied())?;
        let operands: Vec<Params> = items.iter().map(|item| (*item).clone()).collect();
        let pairs = (0..items.len()).flat_map(|a| (a + 1..items.len()).map(move |b| (a, b)));
        let folds: Vec<Fold> = pairs.map(|(a, b)| Fold::Distance(a, b)).collect();
        fold(
            &structure,
            &operands,
            0..structure.count(),
            &folds,
            self.deadline,
        )
    }

    fn one(&self, operands: &[Params], of: Fold) -> Result<f64, ParamsError> {
        let structure = operands[0].structure();
        let sums = fold(
            structure,
            operands,
            0..structure.count(),
            &[of],
            self.deadline,
        )?;
        Ok(sums[0])
    }
}

impl Params {
    /// L2 norm over all scalars; NaN where [`Evaluator::norm`] refuses the expression.
    pub fn norm(&self) -> f64 {
        // Without a deadline a reduction fails only where the expression is too large.
        Evaluator::default().norm(self).unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{mean_near_median, median, trimmed_mean, weighted_sum};

    fn params(values: [f32; 3]) -> Params {
        Params::from_tensors([("w".to_owned(), vec![3], values.to_vec())]).unwrap()
    }

    #[test]
    fn reductions_match_their_formulas() {
        let x = params([3.0, 0.0, -4.0]);
        let y = params([1.0, 2.0, 0.5]);
        let evaluator = Evaluator::default();
        assert_eq!(evaluator.sum(&x), Ok(-1.0));
        assert_eq!(evaluator.dot(&x, &y), Ok(1.0));
        assert_eq!(x.norm(), 5.0);
        assert_eq!(evaluator.norms(&x), Ok(vec![5.0]));
        let late = Evaluator::until(Instant::now() - std::time::Duration::from_secs(1));
        assert_eq!(late.sum(&x), Err(ParamsError::OutOfTime));
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
        assert_eq!(
            mean_near_median(&items, 2).unwrap().values(),
            [3.0, 0.5, 2.0]
        );
        let sum = weighted_sum(&[(items[0], 0.25), (items[2], 0.75)]).unwrap();
        assert_eq!(sum.values(), [7.0, 1.25, 3.75]);
        let evaluator = Evaluator::default();
        let distances = evaluator.pairwise_distances(&items[..3]).unwrap();
        assert_eq!(distances, [102.0, 114.0, 90.0]);
        let distances = evaluator.distances(&items[1..3], items[0]).unwrap();
        assert_eq!(distances, [102.0, 114.0]);
    }

    #[test]
    fn distances_of_too_many_are_refused() {
        let x = params([1.0; 3]);
        let evaluator = Evaluator::default();
        let many = vec![&x; MOST_ITEMS + 1];
        let error = evaluator.distances(&many, &x).unwrap_err().to_string();
        assert_eq!(error, "distances takes at most 16384 items, got 16385");
        let many = &many[..MOST_PAIRED + 1];
        let error = evaluator.pairwise_distances(many).unwrap_err().to_string();
        assert_eq!(
            error,
            "pairwise-distances takes at most 2048 items, got 2049"
        );
    }

    #[test]
    fn empty_and_overtrimmed_cohorts_are_refused() {
        assert!(weighted_sum(&[]).is_err());
        let x = params([1.0; 3]);
        let error = trimmed_mean(&[&x, &x], 1).unwrap_err().to_string();
        assert_eq!(error, "trimmed-mean needs at least 3 items, got 2");
    }
}
