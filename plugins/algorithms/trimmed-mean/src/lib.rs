//! Trimmed mean: w ← w + mean of Δ₁, …, Δₙ without the b smallest and b largest, coordinate by coordinate.

use folkmoot_sdk::{
    Algorithm, Params, Result, Round, State, Updates, export_algorithm, trimmed_mean,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The coordinate-wise mean of the clients' updates without the smallest and largest values.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrimmedMean {
    /// Values b dropped from each end; 1 by default. Not together with `fraction`.
    drop: Option<u32>,
    /// Share of the updates dropped from each end, rounded down. Not together with `drop`.
    #[schemars(range(min = 0.0, max = 0.5))]
    fraction: Option<f64>,
}
export_algorithm!(TrimmedMean);

impl TrimmedMean {
    /// How many of `count` values are dropped from each end.
    fn dropped(&self, count: u32) -> Result<u32> {
        match (self.drop, self.fraction) {
            (Some(drop), Some(fraction)) => Err(format!(
                "drop is `{drop}` and fraction is `{fraction}`: give one of them"
            )),
            (Some(drop), None) => Ok(drop),
            (None, Some(fraction)) => Ok((fraction * f64::from(count)).floor() as u32),
            (None, None) => Ok(1),
        }
    }
}

impl Algorithm for TrimmedMean {
    const REFERENCES: &'static [&'static str] = &[
        "Yin et al. 2018, Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates, https://arxiv.org/abs/1803.01498",
    ];

    fn start(&self, _: &Params, _: &State) -> Result<()> {
        self.dropped(0).map(drop)
    }

    fn aggregate(
        &self,
        _: &Round,
        global: &Params,
        updates: &Updates,
        _: &State,
    ) -> Result<Params> {
        let drop = self.dropped(updates.count())?;
        if u64::from(updates.count()) <= 2 * u64::from(drop) {
            return Err(format!(
                "`{drop}` values dropped from each end leave none of `{}`",
                updates.count()
            ));
        }
        let deltas = updates.deltas();
        Ok(global + trimmed_mean(&deltas.iter().collect::<Vec<_>>(), drop))
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::{params, round, state, update, updates};

    use super::*;

    fn w(value: f32) -> Params {
        params(&[("w", &[1], &[value])])
    }

    fn next(drop: Option<u32>, fraction: Option<f64>) -> Result<Params> {
        let deltas = [1.0, -90.0, 2.0, 6.0, 100.0];
        let deltas = (0..).zip(deltas).map(|(id, delta)| update(id, 1, w(delta)));
        let plugin = TrimmedMean { drop, fraction };
        plugin.start(&w(1.0), &state())?;
        plugin.aggregate(&round(1, 1), &w(1.0), &updates(deltas.collect()), &state())
    }

    #[test]
    fn drops_both_ends() {
        assert_eq!(next(None, None).unwrap(), w(4.0));
        assert_eq!(next(Some(2), None).unwrap(), w(3.0));
        assert_eq!(next(None, Some(0.39)).unwrap(), w(4.0));
        assert_eq!(next(None, Some(0.4)).unwrap(), w(3.0));
    }

    #[test]
    fn refusals_name_their_cause() {
        let refused = next(Some(1), Some(0.1)).unwrap_err();
        assert_eq!(
            refused,
            "drop is `1` and fraction is `0.1`: give one of them"
        );
        let refused = next(Some(3), None).unwrap_err();
        assert_eq!(
            refused,
            "`3` values dropped from each end leave none of `5`"
        );
    }
}
