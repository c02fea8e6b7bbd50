//! What authors do with a round's updates and randomness, in terms of the contract's resources.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::{Params, Result, Round, Update, Updates, weighted_sum};

impl Round {
    /// A generator seeded from the experiment, this round and this plugin.
    pub fn rng(&self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.random())
    }
}

impl Updates {
    /// The updates in ascending client id.
    pub fn iter(&self) -> impl Iterator<Item = Update> + '_ {
        (0..self.count()).map(|index| self.get(index))
    }

    /// Σ pᵢ Δᵢ with pᵢ = nᵢ / Σ n, n = examples: the mean update of FedAvg (McMahan et al. 2017).
    pub fn mean(&self) -> Result<Params> {
        let weights: Vec<f64> = self.iter().map(|update| update.examples() as f64).collect();
        self.weighted_mean(&weights)
    }

    /// Σ wᵢ Δᵢ / Σ w, one weight per update in ascending client id.
    pub fn weighted_mean(&self, weights: &[f64]) -> Result<Params> {
        let deltas: Vec<Params> = self.iter().map(|update| update.delta()).collect();
        let total: f64 = weights.iter().sum();
        if deltas.len() != weights.len() || total.is_nan() || total <= 0.0 {
            return Err(format!(
                "{} weights with sum {total} for {} updates",
                weights.len(),
                deltas.len()
            ));
        }
        let items = deltas
            .iter()
            .zip(weights)
            .map(|(delta, weight)| (delta, weight / total));
        Ok(weighted_sum(&items.collect::<Vec<_>>()))
    }
}
