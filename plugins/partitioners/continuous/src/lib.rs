//! Continuous: the examples are ordered by b = σz + (1 - σ)ε, where z is the standardised number in a
//! column, ε is drawn from N(0, 1) and σ is `strictness`, and cut into equal parts. As
//! `ContinuousPartitioner` of Flower Datasets does.

use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner, split};
use schemars::JsonSchema;
use serde::Deserialize;

/// Clients differ in a number: the examples are ordered by it, with noise, and cut into equal parts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Continuous {
    /// Column that holds the number.
    column: String,
    /// How much the number counts against noise: 0 is IID, 1 its strict order.
    #[schemars(range(min = 0.0, max = 1.0))]
    strictness: f64,
}
export_partitioner!(Continuous);

impl Partitioner for Continuous {
    const REFERENCES: &'static [&'static str] =
        &["Flower Datasets, ContinuousPartitioner, https://flower.ai/docs/datasets"];

    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        let values = data.numbers(&self.column)?;
        let of = format!("column `{}`", self.column);
        split::by_order(&values, self.strictness, clients, &of, &mut data.rng())
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::dataset;

    use super::*;

    fn partition(values: &[&str], strictness: f64, clients: u32) -> Result<Vec<Vec<u32>>> {
        let column = "age".into();
        let data = dataset(&[("age", values)], 7);
        Continuous { column, strictness }.partition(&data, clients)
    }

    /// How far the mean row of the last client lies above that of the first, in parts of all rows.
    fn spread(strictness: f64) -> f64 {
        let values: Vec<String> = (0..900).map(|row| row.to_string()).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let shards = partition(&values, strictness, 3).unwrap();
        let mean = |shard: &[u32]| shard.iter().map(|&row| f64::from(row)).sum::<f64>() / 300.0;
        (mean(&shards[2]) - mean(&shards[0])) / 900.0
    }

    #[test]
    fn strictness_goes_from_iid_to_sorted() {
        assert!(spread(0.0).abs() < 0.1);
        assert!((0.2..0.6).contains(&spread(0.5)));
        assert!((spread(1.0) - 2.0 / 3.0).abs() < 1e-9);
        let shards = partition(&["3", "-1.5", "0", "2", "7"], 1.0, 2).unwrap();
        assert_eq!(shards, [vec![1, 2, 3], vec![0, 4]]);
    }

    #[test]
    fn what_cannot_be_ordered_is_refused() {
        let refused = |values: &[&str], strictness| partition(values, strictness, 2).unwrap_err();
        assert!(refused(&["1", "NaN", "2"], 0.5).starts_with("column `age` of row 1 is `NaN`"));
        assert!(refused(&["1", "1", "1"], 0.5).contains("standard deviation 0"));
        assert!(partition(&["1", "1", "1"], 0.0, 2).is_ok());
        assert!(refused(&["1"], 0.0).starts_with("client 1 would be empty"));
        assert!(refused(&["1", "2"], 1.5).starts_with("`strictness` is 1.5"));
    }
}
