//! Dirichlet label skew: for each class, shares over the clients are drawn from Dir(α, …, α), and the
//! class's examples, shuffled, are cut at those shares.

use folkmoot_sdk::split::{Alpha, LabelSkew};
use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner};
use schemars::JsonSchema;
use serde::Deserialize;

/// Label skew: each class is spread over the clients by a Dirichlet draw.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dirichlet {
    /// Column that holds the class.
    column: String,
    /// Concentration: the smaller, the more a client's classes differ from the whole. A number, or a
    /// list with one per client.
    #[serde(default)]
    alpha: Alpha,
    /// Fewest examples a client may get; the draw is repeated until all have them.
    #[serde(default = "min_size")]
    min_size: u32,
    /// A client that has more than its fair share of all examples gets none of the classes still to come.
    #[serde(default)]
    self_balancing: bool,
    /// Column whose every value (a domain, say) is split over clients of its own, equally many each.
    #[serde(default)]
    within: Option<String>,
    /// Shuffle the examples of a class before they are cut; without it they are taken in the data's order.
    #[serde(default = "shuffle")]
    shuffle: bool,
}
export_partitioner!(Dirichlet);

fn min_size() -> u32 {
    10
}

fn shuffle() -> bool {
    true
}

impl Partitioner for Dirichlet {
    const REFERENCES: &'static [&'static str] = &[
        "Yurochkin et al. 2019, Bayesian Nonparametric Federated Learning of Neural Networks, https://arxiv.org/abs/1905.12022",
        "Hsu et al. 2019, Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification, https://arxiv.org/abs/1909.06335",
        "Flower Datasets, DirichletPartitioner, https://flower.ai/docs/datasets",
    ];

    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        let alphas = self.alpha.each(clients as usize, "clients")?;
        let classes = data.groups(&self.column)?;
        let domains = match &self.within {
            None => vec![data.rows(false)],
            Some(column) => {
                let groups = data.groups(column)?;
                groups.into_iter().map(|group| group.rows).collect()
            }
        };
        if !alphas.len().is_multiple_of(domains.len()) {
            let within = self.within.as_deref().unwrap_or_default();
            return Err(format!(
                "{clients} clients cannot be shared out equally over the {} values of `{within}`",
                domains.len()
            ));
        }
        let each = alphas.len() / domains.len();
        let mut rng = data.rng();
        let mut shards = Vec::new();
        for (domain, alphas) in domains.iter().zip(alphas.chunks(each)) {
            let skew = LabelSkew {
                alphas: alphas.to_vec(),
                min_size: self.min_size,
                self_balancing: self.self_balancing,
                shuffle: self.shuffle,
            };
            let own = |row: &u32| domain.binary_search(row).is_ok();
            let groups = classes
                .iter()
                .map(|class| class.rows.iter().copied().filter(own).collect());
            shards.extend(skew.split(&groups.collect::<Vec<_>>(), &mut rng)?);
        }
        Ok(shards)
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::dataset;

    use super::*;

    fn dirichlet(alpha: f64, within: Option<&str>) -> Dirichlet {
        Dirichlet {
            column: "label".into(),
            alpha: Alpha::All(alpha),
            min_size: 1,
            self_balancing: false,
            shuffle: true,
            within: within.map(str::to_owned),
        }
    }

    /// Largest share of one class in a shard, averaged over shards.
    fn purity(alpha: f64) -> f64 {
        let labels: Vec<&str> = (0..600).map(|row| ["a", "b", "c"][row % 3]).collect();
        let data = dataset(&[("label", &labels)], 3);
        let shards = dirichlet(alpha, None).partition(&data, 6).unwrap();
        assert_eq!(shards.concat().len(), 600);
        let purity = |shard: &Vec<u32>| {
            let of = |class| shard.iter().filter(|&&row| row % 3 == class).count();
            (0..3).map(of).max().unwrap() as f64 / shard.len() as f64
        };
        shards.iter().map(purity).sum::<f64>() / 6.0
    }

    #[test]
    fn a_smaller_alpha_skews_more() {
        assert!(purity(100.0) < 0.42);
        assert!(purity(0.1) > 0.7);
    }

    #[test]
    fn within_keeps_domains_apart() {
        let labels: Vec<&str> = (0..80).map(|row| ["a", "b"][row % 2]).collect();
        let domains: Vec<&str> = (0..80).map(|row| ["x", "y"][row / 40]).collect();
        let data = dataset(&[("label", &labels), ("domain", &domains)], 3);
        let shards = dirichlet(1.0, Some("domain")).partition(&data, 4).unwrap();
        assert!(shards[..2].concat().iter().all(|&row| row < 40));
        assert!(shards[2..].concat().iter().all(|&row| row >= 40));
        assert!(dirichlet(1.0, Some("domain")).partition(&data, 3).is_err());
    }

    #[test]
    fn every_alpha_can_be_drawn_from() {
        let labels: Vec<String> = (0..500).map(|row| (row % 10).to_string()).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let data = dataset(&[("label", &labels)], 3);
        for alpha in [0.001, 0.01, 1.0, 1000.0] {
            for self_balancing in [false, true] {
                let mut skew = dirichlet(alpha, None);
                (skew.min_size, skew.self_balancing) = (0, self_balancing);
                // Two clients, of which a few classes may yet leave one empty.
                match skew.partition(&data, 2) {
                    Ok(shards) => assert_eq!(shards.concat().len(), 500),
                    Err(refused) => assert!(refused.contains("would be empty"), "{refused}"),
                }
            }
        }
    }

    #[test]
    fn an_alpha_per_client_gives_it_its_share() {
        let data = dataset(&[("label", &["a"; 1000])], 3);
        let mut skew = dirichlet(1.0, None);
        skew.alpha = Alpha::Each(vec![100.0, 300.0]);
        let shards = skew.partition(&data, 2).unwrap();
        assert!((200..300).contains(&shards[0].len()));
        assert!(skew.partition(&data, 3).is_err());
    }

    #[test]
    fn a_full_client_gets_no_further_class() {
        let labels: Vec<&str> = (0..300).map(|row| ["a", "b", "c"][row % 3]).collect();
        let data = dataset(&[("label", &labels)], 3);
        let mut skew = dirichlet(1.0, None);
        (skew.alpha, skew.self_balancing) = (Alpha::Each(vec![1e6, 1.0]), true);
        // After classes a and b the first client has more than 150, so all of c is the second's.
        let shards = skew.partition(&data, 2).unwrap();
        assert!(shards[0].iter().all(|row| row % 3 != 2));
        assert!((190..=200).contains(&shards[0].len()));
    }

    #[test]
    fn an_empty_client_is_refused() {
        let data = dataset(&[("label", &["a", "b", "c"])], 3);
        let mut skew = dirichlet(0.001, None);
        skew.min_size = 0;
        let refused = skew.partition(&data, 4).unwrap_err();
        assert!(refused.contains("would be empty"), "{refused}");
        skew.min_size = 1;
        assert!(
            skew.partition(&data, 4)
                .unwrap_err()
                .contains("fewer clients")
        );
        let data = dataset(&[("label", &["a"; 3])], 3);
        skew.alpha = Alpha::All(1e-6);
        let refused = skew.partition(&data, 2).unwrap_err();
        assert!(refused.starts_with("no draw"), "{refused}");
    }
}
