//! Bulyan: Krum selects θ = n - 2f updates one by one; w ← w + mean of the θ - 2f values nearest to their median, coordinate by coordinate.

use folkmoot_sdk::{
    Algorithm, Params, Result, Round, State, Updates, export_algorithm, mean_near_median,
    pairwise_distances,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// A mean around the median of those updates that Krum, repeated, selects.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bulyan {
    /// Updates f that may be arbitrary; 1 by default. A round needs at least 4f + 3 updates.
    #[serde(default = "byzantine")]
    byzantine: u32,
}
export_algorithm!(Bulyan);

fn byzantine() -> u32 {
    1
}

/// The `theta` of `n` updates that Krum selects, each from what the ones before it left.
fn select(n: usize, f: usize, theta: usize, pairs: &[f64]) -> Vec<usize> {
    let distance = |i: usize, j: usize| pairs[i * n - i * (i + 1) / 2 + j - i - 1];
    let mut rest: Vec<usize> = (0..n).collect();
    let mut selected = Vec::new();
    while selected.len() < theta {
        let neighbours = rest.len().saturating_sub(f + 2).max(1);
        let score = |i: usize| -> f64 {
            let others = rest.iter().filter(|j| **j != i);
            let mut near: Vec<f64> = others.map(|j| distance(i.min(*j), i.max(*j))).collect();
            near.sort_by(f64::total_cmp);
            near.iter().take(neighbours).sum()
        };
        let scores: Vec<f64> = rest.iter().map(|i| score(*i)).collect();
        // Of equal scores the first, which is the lowest client's.
        let best = (0..rest.len()).min_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        selected.extend(best.map(|best| rest.remove(best)));
    }
    selected
}

impl Algorithm for Bulyan {
    const REFERENCES: &'static [&'static str] = &[
        "El Mhamdi et al. 2018, The Hidden Vulnerability of Distributed Learning in Byzantium, https://arxiv.org/abs/1802.07927",
    ];

    fn aggregate(
        &self,
        _: &Round,
        global: &Params,
        updates: &Updates,
        _: &State,
    ) -> Result<Params> {
        let (n, f) = (updates.count(), self.byzantine);
        let needed = f.saturating_mul(4).saturating_add(3);
        if n < needed {
            return Err(format!(
                "byzantine is `{f}`, which needs at least `{needed}` updates, not `{n}`"
            ));
        }
        let deltas = updates.deltas();
        let pairs = pairwise_distances(&deltas.iter().collect::<Vec<_>>());
        let theta = n - 2 * f;
        let mut selected = select(n as usize, f as usize, theta as usize, &pairs);
        selected.sort();
        let selected: Vec<&Params> = selected.into_iter().map(|index| &deltas[index]).collect();
        Ok(global + mean_near_median(&selected, theta - 2 * f))
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::{params, round, state, update, updates};

    use super::*;

    fn w(value: f32) -> Params {
        params(&[("w", &[1], &[value])])
    }

    fn cohort(deltas: &[f32]) -> Updates {
        let deltas = (0..)
            .zip(deltas)
            .map(|(id, delta)| update(id, 1, w(*delta)));
        updates(deltas.collect())
    }

    #[test]
    fn krum_selects_again_from_what_is_left() {
        let values: [f32; 7] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 100.0];
        let pairs: Vec<f64> = (0..7)
            .flat_map(|i| (i + 1..7).map(move |j| f64::from(values[i] - values[j]).powi(2)))
            .collect();
        // 3 (10, as 4), 4 (9), 2 (10, as 5), 5 (1, as 6), 1 (25, as 6).
        assert_eq!(select(7, 1, 5, &pairs), [2, 3, 1, 4, 0]);
        assert_eq!(select(7, 0, 7, &pairs).len(), 7);
    }

    #[test]
    fn outliers_do_not_count() {
        let next = |deltas: &[f32]| {
            Bulyan { byzantine: 1 }.aggregate(&round(1, 1), &w(1.0), &cohort(deltas), &state())
        };
        // Of 1, 2, 3, 4, 5 the three nearest to 3.
        assert_eq!(
            next(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 100.0]).unwrap(),
            w(4.0)
        );
        assert_eq!(
            next(&[0.0; 6]).unwrap_err(),
            "byzantine is `1`, which needs at least `7` updates, not `6`"
        );
    }
}
