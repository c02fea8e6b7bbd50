//! Quantity skew: the clients' shares of all examples are one draw of Dir(α, …, α), and the examples,
//! shuffled, are cut at them.

use folkmoot_sdk::split::{Alpha, LabelSkew};
use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner};
use schemars::JsonSchema;
use serde::Deserialize;

/// Sizes of clients are a Dirichlet draw; the examples of each are uniform.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuantityDirichlet {
    /// Concentration: the smaller, the more the sizes differ. A number, or a list with one per client.
    #[serde(default)]
    alpha: Alpha,
    /// Fewest examples a client may get; the draw is repeated until all have them.
    #[serde(default = "min_size")]
    #[schemars(range(min = 1))]
    min_size: u32,
}
export_partitioner!(QuantityDirichlet);

fn min_size() -> u32 {
    10
}

impl Partitioner for QuantityDirichlet {
    const REFERENCES: &'static [&'static str] = &[
        "Li et al. 2022, Federated Learning on Non-IID Data Silos: An Experimental Study, https://arxiv.org/abs/2102.02079",
    ];

    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        // The label skew of a single class.
        let skew = LabelSkew {
            alphas: self.alpha.each(clients as usize, "clients")?,
            min_size: self.min_size,
            self_balancing: false,
            shuffle: true,
        };
        skew.split(&[data.rows(false)], &mut data.rng())
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::dataset;

    use super::*;

    fn sizes(alpha: Alpha, min_size: u32) -> Result<Vec<usize>> {
        let data = dataset(&[("text", &["row"; 1000])], 7);
        let shards = QuantityDirichlet { alpha, min_size }.partition(&data, 4)?;
        let mut rows = shards.concat();
        rows.sort_unstable();
        assert!(rows.into_iter().eq(0..1000));
        Ok(shards.iter().map(Vec::len).collect())
    }

    #[test]
    fn a_smaller_alpha_skews_more() {
        let even = sizes(Alpha::All(1000.0), 10).unwrap();
        assert!(even.iter().all(|size| (200..300).contains(size)));
        let skewed = sizes(Alpha::All(0.3), 10).unwrap();
        assert!(skewed.iter().all(|&size| size >= 10));
        assert!(skewed.iter().any(|&size| size > 400));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = sizes(Alpha::All(0.001), 1).unwrap_err();
        assert!(refused.contains("raise alpha or lower min_size"));
        assert!(sizes(Alpha::Each(vec![1.0; 3]), 1).is_err());
    }
}
