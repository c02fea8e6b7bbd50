//! Krum: w ← w + Δᵢ, i the update with the least sum of squared distances to its n - f - 2 nearest others.

use folkmoot_sdk::{
    Algorithm, Params, Result, Round, State, Updates, export_algorithm, pairwise_distances,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The one update that lies closest to its neighbours.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Krum {
    /// Updates f that may be arbitrary; 1 by default. A round needs at least 2f + 3 updates.
    #[serde(default = "byzantine")]
    byzantine: u32,
}
export_algorithm!(Krum);

fn byzantine() -> u32 {
    1
}

/// Of each update, the sum of its n - f - 2 smallest squared distances to the others.
fn scores(deltas: &[Params], f: u32) -> Result<Vec<f64>> {
    let (n, f) = (deltas.len(), f as usize);
    let needed = f.saturating_mul(2).saturating_add(3);
    if n < needed {
        return Err(format!(
            "byzantine is `{f}`, which needs at least `{needed}` updates, not `{n}`"
        ));
    }
    let pairs = pairwise_distances(&deltas.iter().collect::<Vec<_>>());
    let distance = |i: usize, j: usize| pairs[i * n - i * (i + 1) / 2 + j - i - 1];
    let score = |i: usize| {
        let others = (0..n).filter(|j| *j != i);
        let mut near: Vec<f64> = others.map(|j| distance(i.min(j), i.max(j))).collect();
        near.sort_by(f64::total_cmp);
        near[..n - f - 2].iter().sum()
    };
    Ok((0..n).map(score).collect())
}

impl Algorithm for Krum {
    const REFERENCES: &'static [&'static str] = &[
        "Blanchard et al. 2017, Byzantine-Tolerant Machine Learning, https://arxiv.org/abs/1703.02757",
    ];

    fn aggregate(
        &self,
        _: &Round,
        global: &Params,
        updates: &Updates,
        _: &State,
    ) -> Result<Params> {
        let deltas = updates.deltas();
        let scores = scores(&deltas, self.byzantine)?;
        // Of equal scores the first, which is the lowest client's.
        let best = deltas.iter().zip(scores).min_by(|a, b| a.1.total_cmp(&b.1));
        let (best, _) = best.ok_or("the round has no update")?;
        Ok(global + best)
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
    fn takes_the_update_with_the_nearest_neighbours() {
        let next = |deltas: &[f32]| {
            Krum { byzantine: 1 }.aggregate(&round(1, 1), &w(1.0), &cohort(deltas), &state())
        };
        // Scores with two neighbours: 10, 5, 13, 130, 61.
        assert_eq!(next(&[0.0, 1.0, 3.0, 10.0, -5.0]).unwrap(), w(2.0));
        // 2 and 3 tie with 1 + 1: the lower client wins.
        assert_eq!(next(&[4.0, 3.0, 2.0, 1.0, 90.0]).unwrap(), w(4.0));
        assert_eq!(
            next(&[0.0; 4]).unwrap_err(),
            "byzantine is `1`, which needs at least `5` updates, not `4`"
        );
    }
}
