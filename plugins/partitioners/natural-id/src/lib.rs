//! Natural ids: every value of a column (a user, say) is a client, in order of the values: as numbers
//! where all are, else as text. As `NaturalIdPartitioner` of Flower Datasets does.

use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner, split};
use schemars::JsonSchema;
use serde::Deserialize;

/// Every value of a column is a client.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NaturalId {
    /// Column that holds the id.
    column: String,
}
export_partitioner!(NaturalId);

impl Partitioner for NaturalId {
    const REFERENCES: &'static [&'static str] = &[
        "Caldas et al. 2018, LEAF: A Benchmark for Federated Settings, https://arxiv.org/abs/1812.01097",
        "Flower Datasets, NaturalIdPartitioner, https://flower.ai/docs/datasets",
    ];
    const CLIENTS_FROM_DATA: bool = true;

    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        let groups = data.groups(&self.column)?;
        split::check_clients(clients, groups.len(), &format!("column `{}`", self.column))?;
        Ok(groups.into_iter().map(|group| group.rows).collect())
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::dataset;

    use super::*;

    fn natural_id() -> NaturalId {
        let column = "user".into();
        NaturalId { column }
    }

    #[test]
    fn every_user_is_a_client() {
        let data = dataset(&[("user", &["mia", "ada", "mia", "zoe", "ada"])], 7);
        let shards = [vec![1, 4], vec![0, 2], vec![3]];
        assert_eq!(natural_id().partition(&data, 0).unwrap(), shards);
        assert_eq!(natural_id().partition(&data, 3).unwrap(), shards);
        let numbers = dataset(&[("user", &["10", "9", "100"])], 7);
        assert_eq!(
            natural_id().partition(&numbers, 0).unwrap(),
            [[1], [0], [2]]
        );
    }

    #[test]
    fn another_number_of_clients_is_refused() {
        let data = dataset(&[("user", &["mia", "ada"])], 7);
        assert_eq!(
            natural_id().partition(&data, 3).unwrap_err(),
            "column `user` gives 2 clients, but 3 are asked for; leave the number of clients out"
        );
        let other = dataset(&[("name", &["mia", "ada"])], 7);
        assert!(natural_id().partition(&other, 0).is_err());
    }
}
