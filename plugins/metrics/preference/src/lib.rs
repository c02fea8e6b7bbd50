//! Held-out preferences: DPO's implicit reward r = β(ln π(answer) - ln π₀(answer)), π₀ being the base
//! without an adapter (Rafailov et al. 2023).

use folkmoot_sdk::{
    Answers, ErrorOf, Example, Metric, Observations, Questions, Result, ScoreInfo, Scores,
    export_metric,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Share of pairs whose preferred answer has the higher reward, with its standard error; the mean margin
/// between the rewards; and the share whose preferred answer is the likelier one, whatever the base says.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preference {
    /// β of the reward.
    #[serde(default = "beta")]
    #[schemars(range(min = 1e-6, max = 1e6))]
    beta: f64,
}
export_metric!(Preference);

fn beta() -> f64 {
    0.1
}

impl Metric for Preference {
    const SCORES: &'static [ScoreInfo] = &[
        ScoreInfo {
            name: "reward_accuracy",
            meaning: "share of pairs whose preferred answer has the higher reward; a tie is half",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
        ScoreInfo {
            name: "reward_margin",
            meaning: "mean difference between the rewards",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
        ScoreInfo {
            name: "likelier",
            meaning: "share of pairs whose preferred answer is the likelier one",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
    ];

    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
        if so_far.count() == 0 {
            for answer in ["chosen_continuation", "rejected_continuation"] {
                questions.likelihood(example.prompt()?, example.text(answer)?);
            }
        }
        Ok(())
    }

    fn observe(
        &self,
        example: &Example,
        answers: &Answers,
        observations: &Observations,
    ) -> Result<()> {
        let [chosen, rejected] = [0, 1].map(|index| answers.log_likelihood(index));
        // In this order the base's own rewards are exactly 0.
        let won = chosen - example.number("chosen_reference")?;
        let lost = rejected - example.number("rejected_reference")?;
        let margin = self.beta * (won - lost);
        // The base itself rewards both alike: a tie is half a hit.
        observations.add("right", hit(margin), 1.0);
        observations.add("margin", margin, 1.0);
        observations.add("likelier", hit(chosen - rejected), 1.0);
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        let mean = |name: &str| {
            let (sum, n) = observations.total(name);
            (sum / n, n)
        };
        let error = |p: f64, n: f64| Some((p * (1.0 - p) / n).sqrt());
        let (right, n) = mean("right");
        scores.add("reward_accuracy", right, true, error(right, n));
        let (margin, n) = mean("margin");
        let values = observations.values("margin");
        let squares = values.iter().map(|(value, _)| (value - margin).powi(2));
        let deviation = (squares.sum::<f64>() / (n - 1.0).max(1.0)).sqrt();
        scores.add("reward_margin", margin, true, Some(deviation / n.sqrt()));
        let (likelier, n) = mean("likelier");
        scores.add("likelier", likelier, true, error(likelier, n));
        Ok(())
    }
}

/// 1 above 0, ½ at 0.
fn hit(difference: f64) -> f64 {
    match difference {
        d if d > 0.0 => 1.0,
        d if d < 0.0 => 0.0,
        _ => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::hit;

    #[test]
    fn ties_are_half_hits() {
        assert_eq!([hit(0.1), hit(-0.1), hit(0.0)], [1.0, 0.0, 0.5]);
    }
}
