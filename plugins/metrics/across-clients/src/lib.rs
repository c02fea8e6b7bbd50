//! How a score is spread over clients: performance and fairness in one table.

mod spread;

use folkmoot_sdk::statistics::{bootstrap, mean, share_error};
use folkmoot_sdk::{
    Answers, ErrorOf, Example, Metric, Observations, Questions, Result, ScoreInfo, Scores,
    export_metric,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use spread::{decile, entropy, jain, variance};

/// How a score is spread over clients. A row is a client: its score `value`, and where they are known its
/// `weight` (examples; 1 if not given), `local` (the score of the client's own model, trained alone) and name
/// `client`. The model is asked nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcrossClients {
    /// Whether the score is better the higher it is; else the highest is the worst.
    #[serde(default = "higher")]
    higher_is_better: bool,
}
export_metric!(AcrossClients);

fn higher() -> bool {
    true
}

const fn score(
    name: &'static str,
    meaning: &'static str,
    higher_is_better: bool,
    error: ErrorOf,
) -> ScoreInfo {
    ScoreInfo {
        name,
        meaning,
        higher_is_better,
        error,
    }
}

impl Metric for AcrossClients {
    const REFERENCES: &'static [&'static str] = &[
        "https://arxiv.org/abs/1905.10497",
        "Jain, Chiu and Hawe 1984, A quantitative measure of fairness and discrimination",
    ];

    const SCORES: &'static [ScoreInfo] = &[
        score("mean", "mean over clients", true, ErrorOf::ClosedForm),
        score(
            "weighted_mean",
            "mean over clients, each by its examples",
            true,
            ErrorOf::Bootstrap,
        ),
        score("worst", "of the worst client", true, ErrorOf::None),
        score("best", "of the best client", true, ErrorOf::None),
        score(
            "worst_decile",
            "mean of the worst tenth of the clients, rounded up",
            true,
            ErrorOf::Bootstrap,
        ),
        score(
            "best_decile",
            "mean of the best tenth of the clients, rounded up",
            true,
            ErrorOf::Bootstrap,
        ),
        score(
            "variance",
            "Σ (x - mean)² / n, which q-FFL takes for unfairness",
            false,
            ErrorOf::Bootstrap,
        ),
        score(
            "standard_deviation",
            "square root of the variance",
            false,
            ErrorOf::Bootstrap,
        ),
        score(
            "jain_index",
            "Jain's fairness (Σ x)² / (n Σ x²), 1/n to 1; 1 where all are alike",
            true,
            ErrorOf::Bootstrap,
        ),
        score(
            "entropy",
            "-Σ p ln p of the shares p = x / Σ x, at most ln n, in nats; left out where shares make no sense",
            true,
            ErrorOf::Bootstrap,
        ),
        score(
            "gain_over_local",
            "mean by which clients are better off than with their own model; of those with `local`",
            true,
            ErrorOf::ClosedForm,
        ),
        score(
            "share_better_than_local",
            "share of clients that are better off than with their own model; of those with `local`",
            true,
            ErrorOf::ClosedForm,
        ),
    ];

    fn ask(&self, _: &Example, _: &Answers, _: &Questions) -> Result<()> {
        Ok(())
    }

    fn observe(&self, example: &Example, _: &Answers, observations: &Observations) -> Result<()> {
        let value = example.number("value")?;
        let given = |column: &str| match example.get(column) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => example.number(column).map(Some),
        };
        let weight = given("weight")?.unwrap_or(1.0);
        if !(weight.is_finite() && weight >= 0.0) {
            return Err(format!("column `weight` holds {weight}, not 0 or more"));
        }
        observations.add("value", value, 1.0);
        observations.add("weighted", weight * value, weight);
        if let Some(local) = given("local")? {
            let gain = match self.higher_is_better {
                true => value - local,
                false => local - value,
            };
            observations.add("gain", gain, 1.0);
        }
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        let list = |name: &str| -> Vec<f64> {
            let values = observations.values(name).into_iter();
            values.map(|(value, _)| value).collect()
        };
        let up = self.higher_is_better;
        // From the worst to the best.
        let mut values = list("value");
        values.sort_by(|a, b| if up { a.total_cmp(b) } else { b.total_cmp(a) });
        let n = values.len();
        let once = vec![1; n];
        let add = |name: &str, better: bool, of: &dyn Fn(&[u32]) -> f64| {
            let value = of(&once);
            if value.is_finite() {
                scores.add(name, value, better, bootstrap(n, of));
            }
        };
        let (all, error) = mean(&values);
        scores.add("mean", all, up, error);
        let weighted = observations.values("weighted");
        if weighted.iter().all(|(_, weight)| *weight == 0.0) {
            return Err("column `weight` is 0 for every client".into());
        }
        add("weighted_mean", up, &|drawn| {
            let pairs = weighted.iter().zip(drawn);
            let total = pairs.fold((0.0, 0.0), |sum, (own, times)| {
                let times = f64::from(*times);
                (sum.0 + times * own.0, sum.1 + times * own.1)
            });
            total.0 / total.1
        });
        if let (Some(worst), Some(best)) = (values.first(), values.last()) {
            scores.add("worst", *worst, up, None);
            scores.add("best", *best, up, None);
        }
        let ranked = || 0..n;
        add("worst_decile", up, &|drawn| {
            decile(&values, drawn, ranked())
        });
        add("best_decile", up, &|drawn| {
            decile(&values, drawn, ranked().rev())
        });
        add("variance", false, &|drawn| variance(&values, drawn));
        add("standard_deviation", false, &|drawn| {
            variance(&values, drawn).sqrt()
        });
        add("jain_index", true, &|drawn| jain(&values, drawn));
        add("entropy", true, &|drawn| entropy(&values, drawn));
        let gains = list("gain");
        if !gains.is_empty() {
            let (gain, error) = mean(&gains);
            scores.add("gain_over_local", gain, true, error);
            let better = gains.iter().filter(|gain| **gain > 0.0).count();
            let (share, n) = (better as f64 / gains.len() as f64, gains.len() as f64);
            scores.add(
                "share_better_than_local",
                share,
                true,
                share_error(share, n),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
