//! Shards: the examples are sorted by class and cut into blocks of `shard_size`, and every client gets
//! blocks drawn at random. As `ShardPartitioner` of Flower Datasets does.

use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner, split};
use rand::seq::SliceRandom;
use schemars::JsonSchema;
use serde::Deserialize;

/// Label skew: the examples are sorted by class and dealt out in blocks, so that most clients hold few
/// classes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Column that holds the class.
    column: String,
    /// Blocks of each client. Without it all blocks of `shard_size` are dealt out as evenly as can be.
    #[serde(default)]
    #[schemars(range(min = 1))]
    shards_per_client: Option<u32>,
    /// Examples in a block. Without it as many as give each client its `shards_per_client`.
    #[serde(default)]
    #[schemars(range(min = 1))]
    shard_size: Option<u32>,
    /// Deal out the last block too, which may be smaller; no effect where both settings above are given.
    #[serde(default)]
    keep_incomplete_shard: bool,
    /// Shuffle the examples of a class before blocks are cut; without it they are taken in the data's
    /// order.
    #[serde(default = "shuffle")]
    shuffle: bool,
}
export_partitioner!(Shard);

fn shuffle() -> bool {
    true
}

impl Partitioner for Shard {
    const REFERENCES: &'static [&'static str] = &[
        "McMahan et al. 2017, Communication-Efficient Learning of Deep Networks from Decentralized Data, https://arxiv.org/abs/1602.05629",
        "Flower Datasets, ShardPartitioner, https://flower.ai/docs/datasets",
    ];

    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        let (rows, clients) = (data.examples() as usize, clients as usize);
        let (size, blocks, counts) = self.plan(rows, clients)?;
        if blocks < clients {
            return Err(format!(
                "{rows} examples give {blocks} blocks of {size}, too few for {clients} clients; lower `shard_size` or the number of clients"
            ));
        }
        let mut rng = data.rng();
        let mut classes = data.groups(&self.column)?;
        if self.shuffle {
            split::shuffle(&mut classes, &mut rng);
        }
        let sorted: Vec<u32> = classes.into_iter().flat_map(|class| class.rows).collect();
        let mut order: Vec<usize> = (0..blocks).collect();
        order.shuffle(&mut rng);
        let mut order = order.into_iter();
        let block = |block| &sorted[block * size..rows.min((block + 1) * size)];
        let client = |count| {
            let own = order.by_ref().take(count).flat_map(block);
            own.copied().collect()
        };
        let shards = counts.into_iter().map(client).collect();
        split::full(shards, "fewer clients, or a smaller `shard_size`")
    }
}

impl Shard {
    /// Examples in a block, number of blocks, and how many of them each client gets.
    fn plan(&self, rows: usize, clients: usize) -> Result<(usize, usize, Vec<usize>)> {
        let whole = |size: usize, keep| match keep {
            true => rows.div_ceil(size),
            false => rows / size,
        };
        let keep = self.keep_incomplete_shard;
        let count = self.shards_per_client.map(|count| count as usize);
        match (count, self.shard_size.map(|size| size as usize)) {
            (Some(0), _) | (_, Some(0)) => {
                Err("`shards_per_client` and `shard_size` must be at least 1".into())
            }
            (None, None) => {
                Err("neither `shards_per_client` nor `shard_size` is set; set one".into())
            }
            (Some(count), Some(size))
                if size.saturating_mul(count).saturating_mul(clients) > rows =>
            {
                Err(format!(
                    "{clients} clients with {count} blocks of {size} need more than the {rows} examples; lower `shards_per_client`, `shard_size` or the number of clients"
                ))
            }
            (Some(count), Some(size)) => Ok((size, whole(size, false), vec![count; clients])),
            (Some(count), None) => match rows / count.saturating_mul(clients) {
                0 => Err(format!(
                    "{rows} examples are too few for {clients} clients with {count} blocks each; lower `shards_per_client` or the number of clients"
                )),
                size => Ok((size, whole(size, keep), vec![count; clients])),
            },
            (None, Some(size)) => {
                let blocks = whole(size, keep);
                Ok((size, blocks, split::even(blocks, clients)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::dataset;

    use super::*;

    fn shard(count: Option<u32>, size: Option<u32>, keep: bool) -> Shard {
        Shard {
            column: "label".into(),
            shards_per_client: count,
            shard_size: size,
            keep_incomplete_shard: keep,
            shuffle: true,
        }
    }

    fn partition(shard: &Shard, clients: u32) -> Result<Vec<Vec<u32>>> {
        let labels: Vec<&str> = (0..103).map(|row| ["a", "b", "c", "d"][row % 4]).collect();
        shard.partition(&dataset(&[("label", &labels)], 7), clients)
    }

    #[test]
    fn sizes_are_flowers() {
        let sizes = |shard: Shard, clients| {
            let shards = partition(&shard, clients).unwrap();
            let mut rows = shards.concat();
            rows.sort_unstable();
            rows.dedup();
            assert_eq!(rows.len(), shards.concat().len());
            let mut sizes: Vec<usize> = shards.iter().map(Vec::len).collect();
            sizes.sort_unstable();
            sizes
        };
        // Of flwr-datasets 0.6.1.
        assert_eq!(sizes(shard(Some(2), None, false), 5), [20, 20, 20, 20, 20]);
        assert_eq!(
            sizes(shard(Some(2), Some(10), false), 5),
            [20, 20, 20, 20, 20]
        );
        assert_eq!(sizes(shard(None, Some(10), false), 4), [20, 20, 30, 30]);
        assert_eq!(sizes(shard(None, Some(10), true), 4), [20, 23, 30, 30]);
        assert_eq!(sizes(shard(None, Some(103), true), 1), [103]);
        assert_eq!(sizes(shard(Some(3), None, false), 3), [33, 33, 33]);
    }

    #[test]
    fn a_block_is_a_run_of_sorted_rows() {
        // 26, 26, 26 and 25 of a class: 13 divides all but the last.
        let mut one = shard(None, Some(13), false);
        for shuffle in [true, false] {
            one.shuffle = shuffle;
            let shards = partition(&one, 7).unwrap();
            let pure = |rows: &&Vec<u32>| rows.iter().all(|row| row % 4 == rows[0] % 4);
            assert_eq!(shards.iter().filter(pure).count(), 7);
            let run = |rows: &Vec<u32>| rows.windows(2).all(|pair| pair[1] - pair[0] == 4);
            assert_eq!(shards.iter().all(run), !shuffle);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |shard: Shard, clients| partition(&shard, clients).unwrap_err();
        assert!(refused(shard(None, None, true), 2).starts_with("neither"));
        assert!(refused(shard(Some(2), Some(30), true), 2).contains("need more than the 103"));
        assert!(refused(shard(None, Some(30), true), 5).contains("4 blocks of 30"));
        assert!(refused(shard(Some(20), None, true), 6).contains("too few"));
    }
}
