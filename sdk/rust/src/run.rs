//! What authors do with a round's updates and randomness, in terms of the contract's resources.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::{Params, Result, Round, Update, Updates, Weighting, weighted_sum};

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

    /// The clients' changes of the parameters, in ascending client id.
    pub fn deltas(&self) -> Vec<Params> {
        self.iter().map(|update| update.delta()).collect()
    }

    /// pᵢ = nᵢ / Σ n with n = examples, or 1 / the number of updates; in ascending client id.
    pub fn shares(&self, weighting: Weighting) -> Vec<f64> {
        let weight = |update: Update| match weighting {
            Weighting::Examples => update.examples() as f64,
            Weighting::Uniform => 1.0,
        };
        let weights: Vec<f64> = self.iter().map(weight).collect();
        let total: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / total).collect()
    }

    /// Σ pᵢ Δᵢ with pᵢ = nᵢ / Σ n, n = examples: the mean update of FedAvg (McMahan et al. 2017).
    pub fn mean(&self) -> Result<Params> {
        self.mean_by(Weighting::Examples)
    }

    /// Σ pᵢ Δᵢ with the shares of `weighting`.
    pub fn mean_by(&self, weighting: Weighting) -> Result<Params> {
        self.weighted_mean(&self.shares(weighting))
    }

    /// Σ wᵢ Δᵢ / Σ w, one weight per update in ascending client id.
    pub fn weighted_mean(&self, weights: &[f64]) -> Result<Params> {
        let deltas = self.deltas();
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
