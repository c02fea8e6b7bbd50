//! Distribution: row c of the table `distribution` says how class c is spread over the clients that have
//! it. With L classes and `classes_per_client` k, client i has classes i, i + 1, …, i + k - 1 modulo L,
//! and the j-th number of a row belongs to the j-th client that has the class. As
//! `DistributionPartitioner` of Flower Datasets does.

use folkmoot_sdk::split::Group;
use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner, split};
use rand::RngExt;
use schemars::JsonSchema;
use serde::Deserialize;

/// Label skew: the settings say how each class is spread over the clients that have it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// Column that holds the class.
    column: String,
    /// One list per class, classes in order, as numbers where all are: the shares (or, without `rescale`,
    /// numbers of examples) of the clients that have it, of which there are `classes_per_client` times
    /// clients divided by classes.
    #[schemars(length(min = 1), inner(inner(range(min = 0.0))))]
    distribution: Vec<Vec<f64>>,
    /// Number of classes of each client.
    #[schemars(range(min = 1))]
    classes_per_client: u32,
    /// Examples of each of its classes that a client has before the rest is spread; no effect without
    /// `rescale`.
    #[serde(default)]
    preassigned_per_class: u32,
    /// The lists are shares of all examples of the class; what rounding down leaves over goes to one of
    /// its clients, drawn at random. Without it they are numbers of examples, and others are not used.
    #[serde(default = "yes")]
    rescale: bool,
    /// Shuffle the examples of a class before they are cut; without it they are taken in the data's order.
    #[serde(default = "yes")]
    shuffle: bool,
}
export_partitioner!(Distribution);

fn yes() -> bool {
    true
}

impl Partitioner for Distribution {
    const REFERENCES: &'static [&'static str] = &[
        "Li et al. 2020, Federated Optimization in Heterogeneous Networks, https://arxiv.org/abs/1812.06127",
        "Flower Datasets, DistributionPartitioner, https://flower.ai/docs/datasets",
    ];

    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        let mut classes = data.groups(&self.column)?;
        let holders = self.holders(classes.len(), clients as usize)?;
        let mut rng = data.rng();
        if self.shuffle {
            split::shuffle(&mut classes, &mut rng);
        }
        let mut pieces = Vec::new();
        for (class, row) in classes.iter().zip(&self.distribution) {
            let sizes = self.sizes(class, row)?;
            let mut own = split::cut(&class.rows, &sizes);
            if self.rescale {
                let used: usize = own.iter().map(Vec::len).sum();
                let rest = &class.rows[used..];
                own[rng.random_range(0..holders)].extend_from_slice(rest);
            }
            pieces.push(own.into_iter());
        }
        let classes = pieces.len();
        let client = |client: usize| {
            let own = (0..self.classes_per_client as usize).map(|at| (client + at) % classes);
            own.filter_map(|class| pieces[class].next())
                .flatten()
                .collect()
        };
        let shards = (0..clients as usize).map(client).collect();
        split::full(shards, "larger values in `distribution`")
    }
}

impl Distribution {
    /// How many clients have each class.
    fn holders(&self, classes: usize, clients: usize) -> Result<usize> {
        let (column, each) = (&self.column, self.classes_per_client as usize);
        if each > classes {
            return Err(format!(
                "`classes_per_client` is {each}, but column `{column}` has {classes} classes; lower it"
            ));
        }
        if !clients.is_multiple_of(classes) {
            return Err(format!(
                "{clients} clients are no multiple of the {classes} classes of column `{column}`; change their number"
            ));
        }
        if self.distribution.len() != classes {
            return Err(format!(
                "`distribution` has {} lists, but column `{column}` has {classes} classes; give one list per class",
                self.distribution.len()
            ));
        }
        let holders = each * clients / classes;
        match self.distribution.iter().find(|row| row.len() != holders) {
            Some(row) => Err(format!(
                "a list of `distribution` has {} values, but {holders} clients have each class ({each} classes per client × {clients} clients / {classes} classes); give one value per client",
                row.len()
            )),
            None => Ok(holders),
        }
    }

    /// How many examples of `class` each client that has it gets, by its `row`.
    fn sizes(&self, class: &Group, row: &[f64]) -> Result<Vec<usize>> {
        let (name, rows) = (&class.name, class.rows.len());
        let total: f64 = row.iter().sum();
        if row.iter().any(|&value| value < 0.0) || !total.is_finite() {
            return Err(format!(
                "the list of `distribution` for class `{name}` has values below 0 or none at all; give shares of at least 0"
            ));
        }
        if !self.rescale {
            return match total > rows as f64 {
                true => Err(format!(
                    "the list of `distribution` for class `{name}` sums to {total}, but there are {rows} examples; lower it, or set rescale = true"
                )),
                false => Ok(row.iter().map(|&value| value as usize).collect()),
            };
        }
        if total <= 0.0 {
            return Err(format!(
                "the list of `distribution` for class `{name}` sums to 0; give a share above 0"
            ));
        }
        let preassigned = self.preassigned_per_class as usize;
        let spread = rows.checked_sub(preassigned.saturating_mul(row.len()));
        let spread = spread.filter(|&spread| spread >= row.len()).ok_or_else(|| {
            format!(
                "class `{name}` has {rows} examples, too few for {} clients with `preassigned_per_class` = {preassigned} and one more each; lower it, or take fewer clients",
                row.len()
            )
        })?;
        let size = |value: &f64| (value / total * spread as f64) as usize + preassigned;
        Ok(row.iter().map(size).collect())
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::dataset;

    use super::*;

    fn distribution(rows: &[Vec<f64>], rescale: bool) -> Distribution {
        Distribution {
            column: "label".into(),
            distribution: rows.to_vec(),
            classes_per_client: 2,
            preassigned_per_class: 3,
            rescale,
            shuffle: false,
        }
    }

    fn partition(skew: &Distribution, clients: u32) -> Result<Vec<Vec<u32>>> {
        let labels: Vec<&str> = (0..150).map(|row| ["a", "b", "c"][row % 3]).collect();
        skew.partition(&dataset(&[("label", &labels)], 7), clients)
    }

    /// For each client its numbers of examples of a, b and c.
    fn counts(skew: &Distribution) -> Vec<[usize; 3]> {
        let shards = partition(skew, 6).unwrap();
        let count = |rows: &Vec<u32>| {
            let of = |class| rows.iter().filter(|&row| row % 3 == class).count();
            [of(0), of(1), of(2)]
        };
        shards.iter().map(count).collect()
    }

    #[test]
    fn numbers_are_flowers() {
        let rows = [
            vec![1.0, 2.0, 3.0, 4.0],
            vec![10.0, 20.5, 0.0, 5.0],
            vec![7.0; 4],
        ];
        // Of flwr-datasets 0.6.1.
        let bare = distribution(&rows, false);
        assert_eq!(
            counts(&bare),
            [
                [1, 10, 0],
                [0, 20, 7],
                [2, 0, 7],
                [3, 0, 0],
                [0, 5, 7],
                [4, 0, 7]
            ]
        );
        let bare = partition(&bare, 6).unwrap();
        assert_eq!(bare[0], [0, 1, 4, 7, 10, 13, 16, 19, 22, 25, 28]);
    }

    #[test]
    fn shares_spread_every_example() {
        let skew = distribution(
            &[
                vec![1.0, 2.0, 3.0, 4.0],
                vec![1.0; 4],
                vec![0.0, 0.0, 0.0, 1.0],
            ],
            true,
        );
        let counts = counts(&skew);
        let total = |class: usize| counts.iter().map(|own| own[class]).sum::<usize>();
        assert_eq!([total(0), total(1), total(2)], [50; 3]);
        // Class a has 38 to spread by 1 : 2 : 3 : 4 beside 3 each; two remain, which go to one client.
        let a: Vec<usize> = counts
            .iter()
            .map(|own| own[0])
            .filter(|&own| own > 0)
            .collect();
        let least = [6, 10, 14, 18];
        let more: Vec<usize> = a
            .iter()
            .zip(least)
            .map(|(own, least)| own - least)
            .collect();
        assert_eq!(
            (more.iter().sum::<usize>(), more.iter().max()),
            (2, Some(&2))
        );
        // Class c belongs to clients 1, 2, 4 and 5.
        assert_eq!(
            [counts[1][2], counts[2][2], counts[4][2], counts[5][2]],
            [3, 3, 3, 41]
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused =
            |rows: &[Vec<f64>], clients| partition(&distribution(rows, true), clients).unwrap_err();
        assert!(refused(&vec![vec![1.0; 4]; 3], 7).contains("no multiple"));
        assert!(refused(&vec![vec![1.0; 4]; 2], 6).contains("has 2 lists"));
        assert!(refused(&vec![vec![1.0; 3]; 3], 6).contains("4 clients have each class"));
        assert!(refused(&vec![vec![0.0; 4]; 3], 6).contains("sums to 0"));
        assert!(refused(&vec![vec![1.0; 14]; 3], 21).contains("too few for 14 clients"));
        let over = distribution(&vec![vec![20.0; 4]; 3], false);
        assert!(
            partition(&over, 6)
                .unwrap_err()
                .contains("sums to 80, but there are 50")
        );
    }
}
