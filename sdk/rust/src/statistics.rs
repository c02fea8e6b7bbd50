//! Means with their standard errors, and the bootstrap.
//!
//! Examples reach `summarize` in an order that depends on what was observed only, so what is summed or
//! drawn here is the same whoever observed them, and when.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Resamples of the bootstrap.
pub const RESAMPLES: usize = 1000;

/// Draws over all resamples, at most: large sets are resampled less often, but never less than 100 times.
const DRAWS: usize = 20_000_000;

/// The mean and its standard error s/√n, s² = Σ(x - mean)²/(n - 1); without an error where n = 1.
pub fn mean(values: &[f64]) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (squares / (n - 1.0) / n).sqrt();
    (mean, (values.len() > 1).then_some(error))
}

/// The standard error √(p(1-p)/n) of a share `p` of `n`.
pub fn share_error(p: f64, n: f64) -> Option<f64> {
    (n > 0.0).then(|| (p * (1.0 - p) / n).max(0.0).sqrt())
}

/// The bootstrap's standard error of a statistic of `examples` (Efron 1979): the standard deviation over
/// [`RESAMPLES`] resamples, at least 100 where there are many examples. `statistic` is told how often each
/// example was drawn. Without an error where there are less than two examples, or where the statistic is
/// undefined (not finite) for a resample.
pub fn bootstrap(examples: usize, statistic: impl Fn(&[u32]) -> f64) -> Option<f64> {
    if examples < 2 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(0x0b00_7574_7261_7000);
    let resamples = (DRAWS / examples).clamp(100, RESAMPLES);
    let mut drawn = vec![0u32; examples];
    let mut values = Vec::with_capacity(resamples);
    for _ in 0..resamples {
        drawn.fill(0);
        for _ in 0..examples {
            drawn[rng.random_range(0..examples as u32) as usize] += 1;
        }
        let value = statistic(&drawn);
        if !value.is_finite() {
            return None;
        }
        values.push(value);
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (squares / (n - 1.0)).sqrt();
    error.is_finite().then_some(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bootstrap_agrees_with_the_closed_form_of_a_mean() {
        let values: Vec<f64> = (0..500).map(|i| f64::from(i * 37 % 101)).collect();
        let (_, closed) = mean(&values);
        let of = |drawn: &[u32]| {
            let sum: f64 = values
                .iter()
                .zip(drawn)
                .map(|(x, n)| x * f64::from(*n))
                .sum();
            sum / values.len() as f64
        };
        let (closed, drawn) = (closed.unwrap(), bootstrap(values.len(), of).unwrap());
        assert!((drawn / closed - 1.0).abs() < 0.08, "{drawn} {closed}");
    }

    #[test]
    fn one_example_has_no_error() {
        assert_eq!(mean(&[2.0]), (2.0, None));
        assert_eq!(bootstrap(1, |_| 1.0), None);
    }
}
