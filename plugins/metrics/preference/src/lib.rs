//! Held-out preferences: DPO's implicit reward r = β(ln π(answer) - ln π₀(answer)), π₀ being the base
//! without an adapter (Rafailov et al. 2023).

use folkmoot_sdk::statistics::{mean, share_error};
use folkmoot_sdk::{
    Answers, ErrorOf, Example, Metric, Observations, Questions, Result, ScoreInfo, Scores,
    export_metric,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Share of pairs whose preferred answer has the higher reward, with its standard error; the mean margin
/// between the rewards; and the share whose preferred answer is the likelier one, whatever the base says.
/// Where no row has the base's log-likelihoods, as where it is evaluated on texts `chosen` and `rejected`
/// alone, the last is the only score.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preference {
    /// β of the reward.
    #[serde(default = "beta")]
    #[schemars(range(min = 1e-6, max = 1e6))]
    beta: f64,
    /// What a tie counts: `half` a hit, so that the base itself is at 0.5; or as `wrong`, as in TRL.
    #[serde(default)]
    ties: Ties,
}
export_metric!(Preference);

/// What a tie counts.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Ties {
    /// Half a hit.
    #[default]
    Half,
    /// No hit.
    Wrong,
}

fn beta() -> f64 {
    0.1
}

impl Metric for Preference {
    const REFERENCES: &'static [&'static str] = &[
        "https://arxiv.org/abs/2305.18290",
        "https://arxiv.org/abs/2112.00861",
    ];

    const SCORES: &'static [ScoreInfo] = &[
        ScoreInfo {
            name: "reward_accuracy",
            meaning: "share of pairs whose preferred answer has the higher reward",
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
            // Pairs of whole dialogues have no prompt.
            let prompt = match example.get("prompt") {
                Some(_) => example.prompt()?,
                None => "",
            };
            for answer in ["chosen", "rejected"] {
                let rendered = format!("{answer}_continuation");
                let column = match example.get(&rendered) {
                    Some(_) => rendered.as_str(),
                    None => answer,
                };
                questions.likelihood(prompt, example.text(column)?);
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
        if example.get("chosen_reference").is_some() {
            // In this order the base's own rewards are exactly 0.
            let won = chosen - example.number("chosen_reference")?;
            let lost = rejected - example.number("rejected_reference")?;
            let margin = self.beta * (won - lost);
            observations.add("right", self.hit(margin), 1.0);
            observations.add("margin", margin, 1.0);
            observations.note("margin", &margin.to_string());
        }
        observations.add("likelier", self.hit(chosen - rejected), 1.0);
        observations.note("log-likelihoods", &format!("{chosen} {rejected}"));
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        let share = |name: &str, score: &str| {
            let (sum, n) = observations.total(name);
            scores.add(score, sum / n, true, share_error(sum / n, n));
        };
        let margins = observations.values("margin");
        if !margins.is_empty() {
            share("right", "reward_accuracy");
            let margins: Vec<f64> = margins.into_iter().map(|(margin, _)| margin).collect();
            let (mean, error) = mean(&margins);
            scores.add("reward_margin", mean, true, error);
        }
        share("likelier", "likelier");
        Ok(())
    }
}

impl Preference {
    /// 1 above 0, what a tie counts at 0.
    fn hit(&self, difference: f64) -> f64 {
        match (difference, self.ties) {
            (d, _) if d > 0.0 => 1.0,
            (0.0, Ties::Half) => 0.5,
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests;
