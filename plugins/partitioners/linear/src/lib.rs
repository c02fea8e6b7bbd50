//! Linear: client i of 1 to n holds ⌊i / Σj · N⌋ of N examples; the last one also what remains.
//! As `LinearPartitioner` of Flower Datasets does.

use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner, split};
use schemars::JsonSchema;
use serde::Deserialize;

/// Sizes grow with the client's number.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Shuffle the examples before they are dealt out; without it they are taken in the data's order.
    #[serde(default = "shuffle")]
    shuffle: bool,
}
export_partitioner!(Linear);

fn shuffle() -> bool {
    true
}

impl Partitioner for Linear {
    const REFERENCES: &'static [&'static str] =
        &["Flower Datasets, LinearPartitioner, https://flower.ai/docs/datasets"];

    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        split::by_units(data, clients, self.shuffle, |id| id)
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
            let shuffle = Linear { shuffle: true }.partition(&data, clients).unwrap();
            let shards = Linear { shuffle: false }.partition(&data, clients).unwrap();
            assert!(shards.concat().into_iter().eq(0..rows as u32));
            assert_ne!(shards, shuffle);
            shards.iter().map(Vec::len).collect::<Vec<_>>()
        };
        // Of flwr-datasets 0.6.1.
        assert_eq!(sizes(55, 10), [1, 2, 3, 4, 5, 6, 6, 8, 9, 11]);
        assert_eq!(sizes(100, 7), [3, 7, 10, 14, 17, 21, 28]);
        assert_eq!(sizes(1000, 4), [100, 200, 300, 400]);
        assert_eq!(sizes(23, 2), [7, 16]);
    }

    #[test]
    fn an_empty_client_is_refused() {
        let data = dataset(&[("text", &["row"; 3])], 7);
        let refused = Linear { shuffle: true }.partition(&data, 3).unwrap_err();
        assert_eq!(
            refused,
            "client 0 would be empty; fewer clients, or more examples"
        );
    }
}
