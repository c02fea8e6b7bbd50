//! Multi-Krum: w ← w + Σ pᵢ Δᵢ over the m updates of least score, as Krum scores them.

use folkmoot_sdk::{
    Algorithm, Params, Result, Round, State, Updates, Weighting, export_algorithm,
    pairwise_distances,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The mean of the updates that lie closest to their neighbours.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MultiKrum {
    /// Updates f that may be arbitrary; 1 by default. A round needs at least 2f + 3 updates.
    #[serde(default = "byzantine")]
    byzantine: u32,
    /// Updates m that are averaged; by default all but `byzantine`.
    #[schemars(range(min = 1))]
    keep: Option<u32>,
    /// What an update weighs in the mean: `examples` (default) or `uniform`.
    #[serde(default)]
    weighting: Weighting,
}
export_algorithm!(MultiKrum);

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

impl Algorithm for MultiKrum {
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
        let keep = self.keep.unwrap_or(updates.count() - self.byzantine) as usize;
        if keep > deltas.len() {
            return Err(format!(
                "keep is `{keep}`, but the round has `{}` updates",
                deltas.len()
            ));
        }
        // A stable sort: of equal scores the lower client's comes first.
        let mut order: Vec<usize> = (0..deltas.len()).collect();
        order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        let mut weights = updates.shares(self.weighting);
        for out in &order[keep..] {
            weights[*out] = 0.0;
        }
        Ok(global + updates.weighted_mean(&weights)?)
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
    fn averages_the_best() {
        let next = |keep| {
            let plugin = MultiKrum {
                byzantine: 1,
                keep,
                weighting: Weighting::Uniform,
            };
            plugin.aggregate(
                &round(1, 1),
                &w(1.0),
                &cohort(&[0.0, 1.0, 3.0, 10.0, -5.0]),
                &state(),
            )
        };
        // Scores with two neighbours: 10, 5, 13, 130, 61.
        assert_eq!(next(None).unwrap(), w(0.75));
        assert_eq!(next(Some(2)).unwrap(), w(1.5));
        assert_eq!(
            next(Some(6)).unwrap_err(),
            "keep is `6`, but the round has `5` updates"
        );
    }
}
