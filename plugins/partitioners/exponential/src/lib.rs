//! Exponential: client i of 1 to n holds ⌊eⁱ / Σeʲ · N⌋ of N examples; the last one also what remains.
//! As `ExponentialPartitioner` of Flower Datasets does.

use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner, split};
use schemars::JsonSchema;
use serde::Deserialize;

/// Sizes grow exponentially with the client's number.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exponential {
    /// Shuffle the examples before they are dealt out; without it they are taken in the data's order.
    #[serde(default = "shuffle")]
    shuffle: bool,
}
export_partitioner!(Exponential);

fn shuffle() -> bool {
    true
}

impl Partitioner for Exponential {
    const REFERENCES: &'static [&'static str] =
        &["Flower Datasets, ExponentialPartitioner, https://flower.ai/docs/datasets"];

    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        split::by_units(data, clients, self.shuffle, f64::exp)
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::dataset;

    use super::*;

    #[test]
    fn sizes_are_flowers() {
        let sizes = |rows: usize, clients| {
            let data = dataset(&[("text", &vec!["row"; rows])], 7);
            let shuffle = Exponential { shuffle: true }
                .partition(&data, clients)
                .unwrap();
            let shards = Exponential { shuffle: false }
                .partition(&data, clients)
                .unwrap();
            assert!(shards.concat().into_iter().eq(0..rows as u32));
            assert_ne!(shards, shuffle);
            shards.iter().map(Vec::len).collect::<Vec<_>>()
        };
        // Of flwr-datasets 0.6.1.
        assert_eq!(sizes(1000, 4), [32, 87, 236, 645]);
        assert_eq!(sizes(100, 3), [9, 24, 67]);
        assert_eq!(sizes(5000, 7), [7, 21, 57, 157, 428, 1163, 3167]);
    }

    #[test]
    fn an_empty_client_is_refused() {
        let data = dataset(&[("text", &["row"; 3])], 7);
        let refused = Exponential { shuffle: true }
            .partition(&data, 3)
            .unwrap_err();
        assert_eq!(
            refused,
            "client 0 would be empty; fewer clients, or more examples"
        );
    }
}
