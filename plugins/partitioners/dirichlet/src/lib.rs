//! Dirichlet label skew: for each class, shares over the clients are drawn from Dir(α, …, α), and the
//! class's examples, shuffled, are cut at those shares.

use folkmoot_sdk::{ChaCha8Rng, Dataset, Partitioner, Result, export_partitioner};
use rand::seq::SliceRandom;
use rand_distr::{Distribution, Gamma};
use schemars::JsonSchema;
use serde::Deserialize;

/// Draws are repeated at most so often until every client has `min_size` examples.
const TRIES: u32 = 100;

/// Label skew: each class is spread over the clients by a Dirichlet draw.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dirichlet {
    /// Column that holds the class.
    column: String,
    /// Concentration: the smaller, the more a client's classes differ from the whole.
    #[serde(default = "alpha")]
    #[schemars(range(min = 0.000001))]
    alpha: f64,
    /// Fewest examples a client may get; the draw is repeated until all have them.
    #[serde(default = "min_size")]
    min_size: u32,
    /// A client that has its fair share of all examples gets none of the classes still to come.
    #[serde(default)]
    self_balancing: bool,
    /// Column whose every value (a domain, say) is split over clients of its own, equally many each.
    #[serde(default)]
    within: Option<String>,
}
export_partitioner!(Dirichlet);

fn alpha() -> f64 {
    0.5
}

fn min_size() -> u32 {
    10
}

impl Partitioner for Dirichlet {
    const REFERENCES: &'static [&'static str] = &[
        "Yurochkin et al. 2019, Bayesian Nonparametric Federated Learning of Neural Networks, https://arxiv.org/abs/1905.12022",
        "Hsu et al. 2019, Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification, https://arxiv.org/abs/1909.06335",
    ];

    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        let (classes, names) = data.categories(&self.column)?;
        let rows = || (0..data.examples()).collect::<Vec<u32>>();
        let groups = match &self.within {
            None => vec![rows()],
            Some(column) => {
                let (values, values_names) = data.categories(column)?;
                let of = |value| {
                    rows()
                        .into_iter()
                        .filter(|&row| values[row as usize] == value)
                        .collect()
                };
                (0..values_names.len() as u32).map(of).collect()
            }
        };
        if !(clients as usize).is_multiple_of(groups.len()) {
            let within = self.within.as_deref().unwrap_or_default();
            return Err(format!(
                "{clients} clients cannot be shared out equally over the {} values of `{within}`",
                groups.len()
            ));
        }
        let each = clients as usize / groups.len();
        let mut rng = data.rng();
        let mut shards = Vec::new();
        for group in groups {
            shards.extend(self.split(&group, &classes, names.len(), each, &mut rng)?);
        }
        Ok(shards)
    }
}

impl Dirichlet {
    /// `rows` over `clients`, drawn again until every client has `min_size`.
    fn split(
        &self,
        rows: &[u32],
        classes: &[u32],
        class_count: usize,
        clients: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Vec<u32>>> {
        for _ in 0..TRIES {
            let shards = self.draw(rows, classes, class_count, clients, rng)?;
            let smallest = shards.iter().map(Vec::len).min().unwrap_or(0);
            if smallest >= self.min_size as usize {
                return Ok(shards);
            }
        }
        Err(format!(
            "no draw of {TRIES} gave each of {clients} clients `min_size` = {} of {} examples; raise alpha or lower min_size",
            self.min_size,
            rows.len()
        ))
    }

    fn draw(
        &self,
        rows: &[u32],
        classes: &[u32],
        class_count: usize,
        clients: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Vec<u32>>> {
        let mut shards = vec![Vec::new(); clients];
        let fair = rows.len() as f64 / clients as f64;
        for class in 0..class_count as u32 {
            let own = rows
                .iter()
                .copied()
                .filter(|&row| classes[row as usize] == class);
            let mut own: Vec<u32> = own.collect();
            own.shuffle(rng);
            let mut shares = self.shares(clients, rng)?;
            if self.self_balancing {
                for (share, shard) in shares.iter_mut().zip(&shards) {
                    if shard.len() as f64 >= fair {
                        *share = 0.0;
                    }
                }
            }
            let total: f64 = shares.iter().sum();
            let (mut cumulated, mut from) = (0.0, 0);
            for (index, (share, shard)) in shares.iter().zip(&mut shards).enumerate() {
                cumulated += share / total;
                // The last cut is the end itself, lest rounding lose an example.
                let to = match index + 1 == clients {
                    true => own.len(),
                    false => ((cumulated * own.len() as f64) as usize).clamp(from, own.len()),
                };
                shard.extend_from_slice(&own[from..to]);
                from = to;
            }
        }
        shards.iter_mut().for_each(|shard| shard.sort_unstable());
        Ok(shards)
    }

    /// One draw of Dir(α, …, α), not normalised: independent Gamma(α, 1). Drawn again where all
    /// underflow to 0, as they may for a very small α.
    fn shares(&self, clients: usize, rng: &mut ChaCha8Rng) -> Result<Vec<f64>> {
        let gamma = Gamma::new(self.alpha, 1.0).map_err(|error| format!("`alpha`: {error}"))?;
        for _ in 0..TRIES {
            let shares: Vec<f64> = (0..clients).map(|_| gamma.sample(rng)).collect();
            if shares.iter().sum::<f64>() > 0.0 {
                return Ok(shares);
            }
        }
        Err(format!("alpha = {} is too small to draw from", self.alpha))
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::dataset;

    use super::*;

    fn dirichlet(alpha: f64, within: Option<&str>) -> Dirichlet {
        Dirichlet {
            column: "label".into(),
            alpha,
            min_size: 1,
            self_balancing: false,
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
}
