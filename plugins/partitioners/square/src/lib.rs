//! Square: client i of 1 to n holds ⌊i² / Σj² · N⌋ of N examples; the last one also what remains.
//! As `SquarePartitioner` of Flower Datasets does.

use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner, split};
use schemars::JsonSchema;
use serde::Deserialize;

/// Sizes grow with the square of the client's number.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Square {
    /// Shuffle the examples before they are dealt out; without it they are taken in the data's order.
    #[serde(default = "shuffle")]
    shuffle: bool,
}
export_partitioner!(Square);

fn shuffle() -> bool {
    true
}

impl Partitioner for Square {
    const REFERENCES: &'static [&'static str] =
        &["Flower Datasets, SquarePartitioner, https://flower.ai/docs/datasets"];

    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        split::by_units(data, clients, self.shuffle, |id| id * id)
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
            let shuffle = Square { shuffle: true }.partition(&data, clients).unwrap();
            let shards = Square { shuffle: false }.partition(&data, clients).unwrap();
            assert!(shards.concat().into_iter().eq(0..rows as u32));
            assert_ne!(shards, shuffle);
            shards.iter().map(Vec::len).collect::<Vec<_>>()
        };
        // Of flwr-datasets 0.6.1.
        assert_eq!(sizes(55, 5), [1, 4, 9, 16, 25]);
        assert_eq!(sizes(1000, 10), [2, 10, 23, 41, 64, 93, 127, 166, 210, 264]);
        assert_eq!(sizes(77, 3), [5, 22, 50]);
    }

    #[test]
    fn an_empty_client_is_refused() {
        let data = dataset(&[("text", &["row"; 3])], 7);
        let refused = Square { shuffle: true }.partition(&data, 3).unwrap_err();
        assert_eq!(
            refused,
            "client 0 would be empty; fewer clients, or more examples"
        );
    }
}
