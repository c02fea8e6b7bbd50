//! {{Name}}: of each coordinate the midpoint of the smallest and the largest update.
//!
//! A block kernel sees the same coordinates of every update at once; the host shards it over all cores.
//! Where an operation of `Params` does what is needed, an `Algorithm` that uses it is two to three times
//! as fast.

use folkmoot_sdk::{BlockKernel, Result, export_block_kernel};
use schemars::JsonSchema;
use serde::Deserialize;

/// The midrange of the clients' updates, coordinate by coordinate.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct {{Name}} {
    /// Learning rate η of the server.
    #[serde(default = "eta")]
    #[schemars(range(min = 0.0))]
    eta: f32,
}
export_block_kernel!({{Name}});

fn eta() -> f32 {
    1.0
}

impl BlockKernel for {{Name}} {
    fn reduce(&self, deltas: &[Vec<f32>], _weights: &[f64]) -> Result<Vec<f32>> {
        let length = deltas.first().map_or(0, Vec::len);
        let midrange = |index: usize| {
            let values = deltas.iter().map(|delta| delta[index]);
            let ends = |(low, high): (f32, f32), value: f32| (low.min(value), high.max(value));
            let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), ends);
            self.eta * (0.5 * low + 0.5 * high)
        };
        Ok((0..length).map(midrange).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_middle_of_the_ends() {
        let plugin = {{Name}} { eta: 1.0 };
        let deltas = [vec![1.0, 0.0], vec![5.0, -2.0], vec![2.0, 4.0]];
        assert_eq!(plugin.reduce(&deltas, &[0.2, 0.3, 0.5]), Ok(vec![3.0, 1.0]));
    }
}
