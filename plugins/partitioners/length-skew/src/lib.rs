//! Length skew: the examples are ordered by b = σz + (1 - σ)ε, where z is the standardised length in
//! tokens, ε is drawn from N(0, 1) and σ is `strictness`, and cut into equal parts.

use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner, split};
use schemars::JsonSchema;
use serde::Deserialize;

/// Clients range from short examples to long ones, equally many each. Lengths are counted in tokens, or in words where
/// no model is at hand.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LengthSkew {
    /// How much the length counts against noise: 0 is IID, 1 its strict order.
    #[serde(default = "strictness")]
    #[schemars(range(min = 0.0, max = 1.0))]
    strictness: f64,
}
export_partitioner!(LengthSkew);

fn strictness() -> f64 {
    1.0
}

impl Partitioner for LengthSkew {
    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        let lengths: Vec<f64> = data.lengths().into_iter().map(f64::from).collect();
        split::by_order(
            &lengths,
            self.strictness,
            clients,
            "length",
            &mut data.rng(),
        )
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::dataset;

    use super::*;

    #[test]
    fn clients_range_from_short_to_long() {
        let texts: Vec<String> = (0..60)
            .map(|row| "word ".repeat(1 + row * 7 % 60))
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let data = dataset(&[("text", &texts)], 7);
        let longest = |strictness| {
            let shards = LengthSkew { strictness }.partition(&data, 3).unwrap();
            let longest = |shard: &Vec<u32>| shard.iter().map(|row| 1 + row * 7 % 60).max();
            shards.iter().filter_map(longest).collect::<Vec<_>>()
        };
        assert_eq!(longest(1.0), [20, 40, 60]);
        assert!(longest(0.0)[0] > 40);
    }

    #[test]
    fn equal_lengths_are_refused() {
        let data = dataset(&[("text", &["one", "two", "three"])], 7);
        let refused = LengthSkew { strictness: 1.0 }.partition(&data, 3);
        assert!(refused.unwrap_err().starts_with("length is the same"));
    }
}
