//! `params` on the host's engine. What the sandbox would refuse, panics.

use folkmoot_params::{Evaluator, ParamsError, Seed};

/// A handle to parameters, evaluated or not.
#[derive(Clone, Debug)]
pub struct Params(pub folkmoot_params::Params);

#[track_caller]
fn fine<T>(result: Result<T, ParamsError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

fn engine() -> Evaluator {
    Evaluator::default()
}

fn inner<'a>(items: &'a [&'a Params]) -> Vec<&'a folkmoot_params::Params> {
    items.iter().map(|item| &item.0).collect()
}

/// Operations of the contract: `wit/params.wit` says what each does.
impl Params {
    pub fn names(&self) -> Vec<String> {
        let tensors = self.0.structure().tensors().iter();
        tensors.map(|tensor| tensor.name.clone()).collect()
    }

    pub fn count(&self) -> u64 {
        self.0.count() as u64
    }

    pub fn filled(&self, value: f32) -> Params {
        Params(self.0.filled(value))
    }

    pub fn select(&self, glob: &str) -> Params {
        Params(fine(self.0.select(glob)))
    }

    pub fn merge(&self, other: &Params) -> Params {
        Params(fine(self.0.merge(&other.0)))
    }

    pub fn add(&self, other: &Params) -> Params {
        Params(fine(self.0.add(&other.0)))
    }

    pub fn sub(&self, other: &Params) -> Params {
        Params(fine(self.0.sub(&other.0)))
    }

    pub fn mul(&self, other: &Params) -> Params {
        Params(fine(self.0.mul(&other.0)))
    }

    pub fn div(&self, other: &Params) -> Params {
        Params(fine(self.0.div(&other.0)))
    }

    pub fn minimum(&self, other: &Params) -> Params {
        Params(fine(self.0.minimum(&other.0)))
    }

    pub fn maximum(&self, other: &Params) -> Params {
        Params(fine(self.0.maximum(&other.0)))
    }

    pub fn scale(&self, factor: f32) -> Params {
        Params(self.0.scale(factor))
    }

    pub fn offset(&self, addend: f32) -> Params {
        Params(self.0.offset(addend))
    }

    pub fn add_scaled(&self, factor: f32, other: &Params) -> Params {
        Params(fine(self.0.add_scaled(factor, &other.0)))
    }

    pub fn sqrt(&self) -> Params {
        Params(self.0.sqrt())
    }

    pub fn square(&self) -> Params {
        Params(self.0.square())
    }

    pub fn abs(&self) -> Params {
        Params(self.0.abs())
    }

    pub fn sign(&self) -> Params {
        Params(self.0.sign())
    }

    pub fn clamp(&self, low: f32, high: f32) -> Params {
        Params(fine(self.0.clamp(low, high)))
    }

    pub fn sum(&self) -> f64 {
        fine(engine().sum(&self.0))
    }

    pub fn dot(&self, other: &Params) -> f64 {
        fine(engine().dot(&self.0, &other.0))
    }

    pub fn norm(&self) -> f64 {
        fine(engine().norm(&self.0))
    }

    pub fn norms(&self) -> Vec<f64> {
        fine(engine().norms(&self.0))
    }
}

/// Σ weight · item.
pub fn weighted_sum(items: &[(&Params, f64)]) -> Params {
    let items: Vec<_> = items
        .iter()
        .map(|(item, weight)| (&item.0, *weight))
        .collect();
    Params(fine(folkmoot_params::weighted_sum(&items)))
}

/// Coordinate-wise mean after dropping the `drop` smallest and `drop` largest values.
pub fn trimmed_mean(items: &[&Params], drop: u32) -> Params {
    Params(fine(folkmoot_params::trimmed_mean(
        &inner(items),
        drop as usize,
    )))
}

/// Coordinate-wise median.
pub fn median(items: &[&Params]) -> Params {
    Params(fine(folkmoot_params::median(&inner(items))))
}

/// Coordinate-wise mean of the `keep` values that lie nearest to the median.
pub fn mean_near_median(items: &[&Params], keep: u32) -> Params {
    Params(fine(folkmoot_params::mean_near_median(
        &inner(items),
        keep as usize,
    )))
}

/// Squared L2 distance of each item from `center`.
pub fn distances(items: &[&Params], center: &Params) -> Vec<f64> {
    fine(engine().distances(&inner(items), &center.0))
}

/// Squared L2 distance of every pair, row-major upper triangle without the diagonal.
pub fn pairwise_distances(items: &[&Params]) -> Vec<f64> {
    fine(engine().pairwise_distances(&inner(items)))
}

/// Standard normal values of `like`'s structure, from `label`.
pub fn gaussian(like: &Params, label: &str) -> Params {
    Params(like.0.gaussian(Seed(0).derive(label, 0)))
}
