//! Sizes: client i holds `sizes[i]` examples, taken one after another. As `SizePartitioner` of Flower
//! Datasets does.

use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner, split};
use schemars::JsonSchema;
use serde::Deserialize;

/// Every client holds as many examples as the settings say; what they leave out is not used.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Number of examples of each client.
    #[schemars(length(min = 1), inner(range(min = 1)))]
    sizes: Vec<u32>,
    /// Shuffle the examples before they are dealt out; without it they are taken in the data's order.
    #[serde(default = "shuffle")]
    shuffle: bool,
}
export_partitioner!(Size);

fn shuffle() -> bool {
    true
}

impl Partitioner for Size {
    const REFERENCES: &'static [&'static str] =
        &["Flower Datasets, SizePartitioner, https://flower.ai/docs/datasets"];
    const CLIENTS_FROM_DATA: bool = true;

    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        split::check_clients(clients, self.sizes.len(), "`sizes`")?;
        let sizes = split::sizes(&self.sizes, data.examples())?;
        split::full(split::cut(&data.rows(self.shuffle), &sizes), "larger sizes")
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::dataset;

    use super::*;

    fn size(sizes: &[u32], shuffle: bool) -> Size {
        let sizes = sizes.to_vec();
        Size { sizes, shuffle }
    }

    #[test]
    fn sizes_are_kept() {
        let data = dataset(&[("text", &["row"; 10])], 7);
        let bare = size(&[2, 5], false).partition(&data, 0).unwrap();
        assert_eq!(bare, [vec![0, 1], vec![2, 3, 4, 5, 6]]);
        let shuffled = size(&[2, 5], true).partition(&data, 2).unwrap();
        assert_eq!((shuffled[0].len(), shuffled[1].len()), (2, 5));
        assert_ne!(shuffled, bare);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let data = dataset(&[("text", &["row"; 10])], 7);
        let refused = |sizes: &[u32], clients| {
            let found = size(sizes, true).partition(&data, clients);
            found.unwrap_err()
        };
        assert_eq!(
            refused(&[4, 7], 0),
            "`sizes` sum to 11, but there are 10 examples; lower them"
        );
        assert_eq!(
            refused(&[4, 0], 0),
            "client 1 would be empty; every size must be at least 1"
        );
        assert_eq!(
            refused(&[4, 4], 3),
            "`sizes` gives 2 clients, but 3 are asked for; leave the number of clients out"
        );
    }
}
