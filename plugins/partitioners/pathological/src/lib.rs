//! Pathological label skew: every client is assigned `classes_per_client` classes, and the examples of
//! a class are cut into equal parts for the clients that have it. As `PathologicalPartitioner` of Flower
//! Datasets does.

use folkmoot_sdk::{ChaCha8Rng, Dataset, Partitioner, Result, export_partitioner, log, split};
use rand::seq::index::sample;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Label skew: every client holds examples of a fixed number of classes. A class that no client is
/// assigned is not used.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pathological {
    /// Column that holds the class.
    column: String,
    /// Number of classes of each client.
    #[schemars(range(min = 1))]
    classes_per_client: u32,
    /// How classes are assigned to clients; classes in order, as numbers where all are.
    #[serde(default)]
    assignment: Assignment,
    /// Shuffle the examples of a class before they are cut; without it they are taken in the data's order.
    #[serde(default = "shuffle")]
    shuffle: bool,
}
export_partitioner!(Pathological);

/// How classes are assigned to clients.
#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum Assignment {
    /// Every client draws its classes.
    #[default]
    Random,
    /// Client i has classes i, i + 1, …, modulo their number.
    Deterministic,
    /// Client i has class i, modulo their number, and draws the others.
    FirstDeterministic,
}

fn shuffle() -> bool {
    true
}

impl Partitioner for Pathological {
    const REFERENCES: &'static [&'static str] = &[
        "Li et al. 2022, Federated Learning on Non-IID Data Silos: An Experimental Study, https://arxiv.org/abs/2102.02079",
        "Flower Datasets, PathologicalPartitioner, https://flower.ai/docs/datasets",
    ];

    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        let mut classes = data.groups(&self.column)?;
        let (count, each) = (classes.len(), self.classes_per_client as usize);
        if each > count {
            return Err(format!(
                "`classes_per_client` is {each}, but column `{}` has {count} classes; lower it",
                self.column
            ));
        }
        let mut rng = data.rng();
        let mut holders = vec![Vec::new(); count];
        for client in 0..clients as usize {
            for class in self.assign(client, count, &mut rng) {
                holders[class].push(client);
            }
        }
        if self.shuffle {
            split::shuffle(&mut classes, &mut rng);
        }
        let mut shards = vec![Vec::new(); clients as usize];
        for (class, holders) in classes.iter().zip(&holders) {
            if holders.is_empty() {
                let message = format!("class `{}` is assigned to no client", class.name);
                log("warn", &message);
                continue;
            }
            if holders.len() > class.rows.len() {
                return Err(format!(
                    "class `{}` is assigned to {} clients, but has {} examples; lower `classes_per_client` or the number of clients, or set assignment = `deterministic`, which spreads classes more evenly",
                    class.name,
                    holders.len(),
                    class.rows.len()
                ));
            }
            let sizes = split::even(class.rows.len(), holders.len());
            for (&client, rows) in holders.iter().zip(split::cut(&class.rows, &sizes)) {
                shards[client].extend(rows);
            }
        }
        split::full(shards, "fewer clients, or more `classes_per_client`")
    }
}

impl Pathological {
    /// The classes of `client`, all different.
    fn assign(&self, client: usize, count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let each = self.classes_per_client as usize;
        match self.assignment {
            Assignment::Random => sample(rng, count, each).into_vec(),
            Assignment::Deterministic => (0..each).map(|at| (client + at) % count).collect(),
            Assignment::FirstDeterministic => {
                let first = client % count;
                let others = sample(rng, count - 1, each.saturating_sub(1));
                let others = others.into_iter().map(|at| (first + 1 + at) % count);
                std::iter::once(first).chain(others).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use folkmoot_sdk::native::dataset;

    use super::*;

    fn pathological(classes_per_client: u32, assignment: Assignment) -> Pathological {
        Pathological {
            column: "label".into(),
            classes_per_client,
            assignment,
            shuffle: false,
        }
    }

    /// The classes in each shard.
    fn classes(each: u32, assignment: Assignment, clients: u32) -> Vec<BTreeSet<u32>> {
        let labels: Vec<String> = (0..120).map(|row| (row % 12).to_string()).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let data = dataset(&[("label", &labels)], 7);
        let shards = pathological(each, assignment).partition(&data, clients);
        let classes = |rows: &Vec<u32>| rows.iter().map(|row| row % 12).collect();
        shards.unwrap().iter().map(classes).collect()
    }

    #[test]
    fn every_client_has_so_many_classes() {
        use Assignment::{Deterministic, FirstDeterministic, Random};
        for assignment in [Random, Deterministic, FirstDeterministic] {
            let classes = classes(3, assignment, 8);
            assert!(classes.iter().all(|own| own.len() == 3));
        }
        let fixed = classes(3, Deterministic, 12);
        assert_eq!(fixed[11], BTreeSet::from([11, 0, 1]));
        let first = classes(2, FirstDeterministic, 12);
        assert!((0..12).all(|client| first[client as usize].contains(&client)));
        assert!(
            classes(12, FirstDeterministic, 2)
                .iter()
                .all(|own| own.len() == 12)
        );
    }

    #[test]
    fn a_class_is_cut_evenly() {
        // Of flwr-datasets 0.6.1.
        let labels = ["a", "b", "a", "c", "b", "a", "a", "c", "a", "c", "b"];
        let data = dataset(&[("label", &labels)], 7);
        let shards = pathological(2, Assignment::Deterministic).partition(&data, 4);
        assert_eq!(
            shards.unwrap(),
            [vec![0, 1, 2], vec![3, 4, 7], vec![5, 6, 9], vec![8, 10]]
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let data = dataset(&[("label", &["a", "b", "a", "b"])], 7);
        let refused = |each, clients| {
            let skew = pathological(each, Assignment::Deterministic);
            skew.partition(&data, clients).unwrap_err()
        };
        assert!(refused(3, 2).contains("has 2 classes"));
        assert!(refused(2, 3).contains("class `a` is assigned to 3 clients, but has 2 examples"));
    }
}
