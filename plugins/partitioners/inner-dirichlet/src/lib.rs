//! Inner Dirichlet: every client draws the shares of its classes from Dir(α). Then, example by example, a
//! client that is not full yet is drawn, and a class by its shares; a class without examples left gets
//! share 0 with every client. As `InnerDirichletPartitioner` of Flower Datasets does.

use folkmoot_sdk::split::{self, Alpha};
use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner};
use rand::RngExt;
use schemars::JsonSchema;
use serde::Deserialize;

/// Label skew at given sizes: each client's classes are a Dirichlet draw.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InnerDirichlet {
    /// Column that holds the class.
    column: String,
    /// Concentration: the smaller, the fewer classes a client has. A number, or a list with one per
    /// class, classes in order, as numbers where all are.
    #[serde(default)]
    alpha: Alpha,
    /// Number of examples of each client; what they leave out is not used.
    #[schemars(length(min = 1), inner(range(min = 1)))]
    sizes: Vec<u32>,
    /// Shuffle the examples of a class before they are dealt out; without it they are taken from the
    /// data's end.
    #[serde(default = "shuffle")]
    shuffle: bool,
}
export_partitioner!(InnerDirichlet);

fn shuffle() -> bool {
    true
}

impl Partitioner for InnerDirichlet {
    const REFERENCES: &'static [&'static str] = &[
        "Acar et al. 2021, Federated Learning Based on Dynamic Regularization, https://arxiv.org/abs/2111.04263",
        "Flower Datasets, InnerDirichletPartitioner, https://flower.ai/docs/datasets",
    ];
    const CLIENTS_FROM_DATA: bool = true;

    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        split::check_clients(clients, self.sizes.len(), "`sizes`")?;
        let mut left = split::sizes(&self.sizes, data.examples())?;
        let mut classes = data.groups(&self.column)?;
        let alphas = self.alpha.each(classes.len(), "classes")?;
        let mut rng = data.rng();
        if self.shuffle {
            split::shuffle(&mut classes, &mut rng);
        }
        // Shares are kept as logarithms, so that those that remain can be made to sum to 1 however
        // small they are.
        let mut logs = Vec::new();
        for _ in &left {
            logs.push(split::log_gammas(&alphas, &mut rng)?);
        }
        let mut shares: Vec<Vec<f64>> = logs.iter().map(|logs| split::softmax(logs)).collect();
        let mut shards = vec![Vec::new(); left.len()];
        let mut free: Vec<usize> = (0..left.len()).collect();
        while !free.is_empty() {
            let at = rng.random_range(0..free.len());
            let client = free[at];
            let class = split::pick(&shares[client], &mut rng);
            let rows = &mut classes[class].rows;
            shards[client].extend(rows.pop());
            if rows.is_empty() {
                for (logs, shares) in logs.iter_mut().zip(&mut shares) {
                    logs[class] = f64::NEG_INFINITY;
                    *shares = split::softmax(logs);
                }
            }
            left[client] -= 1;
            if left[client] == 0 {
                free.remove(at);
            }
        }
        split::full(shards, "larger sizes")
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::dataset;

    use super::*;

    fn partition(alpha: Alpha, sizes: &[u32], clients: u32) -> Result<Vec<Vec<u32>>> {
        let labels: Vec<&str> = (0..300).map(|row| ["a", "b", "c"][row % 3]).collect();
        let data = dataset(&[("label", &labels)], 7);
        let (column, sizes, shuffle) = ("label".into(), sizes.to_vec(), true);
        let skew = InnerDirichlet {
            column,
            alpha,
            sizes,
            shuffle,
        };
        skew.partition(&data, clients)
    }

    fn share(rows: &[u32], class: u32) -> f64 {
        let own = rows.iter().filter(|&row| row % 3 == class).count();
        own as f64 / rows.len() as f64
    }

    #[test]
    fn sizes_are_kept_and_every_example_dealt_out() {
        for alpha in [1e-6, 0.001, 0.5, 1000.0] {
            let shards = partition(Alpha::All(alpha), &[150, 100, 1, 49], 0).unwrap();
            let sizes: Vec<usize> = shards.iter().map(Vec::len).collect();
            assert_eq!(sizes, [150, 100, 1, 49]);
            let mut rows = shards.concat();
            rows.sort_unstable();
            assert!(rows.into_iter().eq(0..300), "{alpha}");
        }
    }

    #[test]
    fn shares_follow_the_concentrations() {
        let shards = partition(Alpha::Each(vec![6000.0, 3000.0, 1000.0]), &[80, 70], 2).unwrap();
        for rows in &shards {
            assert!((share(rows, 0) - 0.6).abs() < 0.12);
            assert!((share(rows, 2) - 0.1).abs() < 0.08);
        }
        let pure = partition(Alpha::All(0.001), &[30, 30, 30], 3).unwrap();
        assert!(
            pure.iter()
                .all(|rows| (0..3).any(|class| share(rows, class) == 1.0))
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |alpha, sizes: &[u32], clients| partition(alpha, sizes, clients).unwrap_err();
        assert!(refused(Alpha::All(1.0), &[200, 101], 0).contains("sum to 301"));
        assert!(refused(Alpha::All(1.0), &[20, 0], 0).starts_with("client 1 would be empty"));
        assert!(refused(Alpha::All(1.0), &[20, 10], 3).contains("gives 2 clients"));
        assert!(refused(Alpha::Each(vec![1.0; 2]), &[20], 0).contains("for 3 classes"));
    }
}
