//! {{Name}}: client k of K gets a share of the rows that is proportional to ratio^k.
//!
//! A place to begin: rows are shuffled, then cut in sizes that shrink geometrically.

use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner, split};
use schemars::JsonSchema;
use serde::Deserialize;

/// Sizes that shrink from client to client.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct {{Name}} {
    /// What a client holds as a share of what the one before it holds.
    #[serde(default = "ratio")]
    #[schemars(range(min = 0.01, max = 1.0))]
    ratio: f64,
}
export_partitioner!({{Name}});

fn ratio() -> f64 {
    0.8
}

impl Partitioner for {{Name}} {
    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        let weights: Vec<f64> = (0..clients).map(|k| self.ratio.powi(k as i32)).collect();
        let total: f64 = weights.iter().sum();
        let shares: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        // One row each, so that nobody is left empty; the others by weight.
        let spare = data.examples().saturating_sub(clients) as usize;
        let sizes = split::largest_remainder(spare, &shares);
        let sizes: Vec<usize> = sizes.iter().map(|size| size + 1).collect();
        // Shuffled by the experiment's seed: the same rows to the same clients in every run.
        Ok(split::cut(&data.rows(true), &sizes))
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::dataset;

    use super::*;

    #[test]
    fn deals_every_row_once_in_shrinking_shards() {
        let texts: Vec<String> = (0..100).map(|row| format!("row {row}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let data = dataset(&[("text", &texts)], 7);
        let shards = {{Name}} { ratio: 0.5 }.partition(&data, 4).unwrap();
        assert!(shards.windows(2).all(|pair| pair[0].len() >= pair[1].len()));
        let mut rows = shards.concat();
        rows.sort_unstable();
        assert_eq!(rows, (0..100).collect::<Vec<_>>());
    }
}
