//! IID: the examples are shuffled and dealt out in equal shares.

use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner};
use rand::seq::SliceRandom;
use schemars::JsonSchema;
use serde::Deserialize;

/// Every client holds a uniform share of the examples; sizes differ by at most one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Iid {}
export_partitioner!(Iid);

impl Partitioner for Iid {
    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        let mut rows: Vec<u32> = (0..data.examples()).collect();
        rows.shuffle(&mut data.rng());
        let mut shards = vec![Vec::new(); clients as usize];
        for (index, row) in rows.into_iter().enumerate() {
            shards[index % clients as usize].push(row);
        }
        Ok(shards)
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::dataset;

    use super::*;

    #[test]
    fn deals_out_every_row_once() {
        let data = dataset(&[("text", &["row"; 10])], 7);
        let shards = Iid {}.partition(&data, 3).unwrap();
        let mut sizes: Vec<usize> = shards.iter().map(Vec::len).collect();
        sizes.sort();
        assert_eq!(sizes, [3, 3, 4]);
        let mut rows = shards.concat();
        assert_ne!(rows, (0..10).collect::<Vec<_>>());
        rows.sort();
        assert_eq!(rows, (0..10).collect::<Vec<_>>());
    }
}
