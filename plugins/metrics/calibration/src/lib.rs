//! Calibration: whether what is said with probability p is right in a share p of cases.

mod scores;

use folkmoot_sdk::statistics::{bootstrap, mean};
use folkmoot_sdk::{
    Answers, ErrorOf, Example, Metric, Observations, Questions, Result, ScoreInfo, Scores,
    export_metric,
};
use schemars::JsonSchema;
use serde::Deserialize;

use scores::{Said, edges, errors, softmax};

/// Whether probabilities say how often the model is right: expected and largest calibration error, Brier score
/// and negative log-likelihood. The probabilities are a row's `probabilities` (a list) with `answer`, the place
/// of the right one from 0; or the softmax of the log-likelihoods of its `choices` after `prompt`, with
/// `answer`; or its `confidence` in its `prediction`, which is right where it equals `reference`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Bins of equal width that confidences are sorted into.
    #[serde(default = "bins")]
    #[schemars(range(min = 1, max = 10000))]
    bins: u32,
}
export_metric!(Calibration);

fn bins() -> u32 {
    15
}

/// What a row is judged by.
enum Source<'a> {
    Probabilities(Vec<f64>),
    Choices(Vec<&'a str>),
    Confidence(f64),
}

impl<'a> Source<'a> {
    fn of(example: &'a Example) -> Result<Self> {
        let has = |column: &str| example.get(column).is_some();
        if has("probabilities") {
            return Ok(Self::Probabilities(example.numbers("probabilities")?));
        }
        if !has("choices") && has("confidence") {
            return Ok(Self::Confidence(example.number("confidence")?));
        }
        let choices = example.texts("choices")?;
        match choices.is_empty() {
            true => Err("column `choices` is an empty list".into()),
            false => Ok(Self::Choices(choices)),
        }
    }
}

impl Metric for Calibration {
    const REFERENCES: &'static [&'static str] = &[
        "https://arxiv.org/abs/1706.04599",
        "Brier 1950, Verification of forecasts expressed in terms of probability",
    ];

    const SCORES: &'static [ScoreInfo] = &[
        ScoreInfo {
            name: "ece",
            meaning: "mean distance of accuracy and confidence over the bins, weighted by their examples, 0 to 1",
            higher_is_better: false,
            error: ErrorOf::Bootstrap,
        },
        ScoreInfo {
            name: "max_calibration_error",
            meaning: "largest distance of accuracy and confidence in a bin, 0 to 1",
            higher_is_better: false,
            error: ErrorOf::Bootstrap,
        },
        ScoreInfo {
            name: "brier",
            meaning: "mean squared distance of the probabilities from the truth, 0 to 2; of two choices half of it",
            higher_is_better: false,
            error: ErrorOf::ClosedForm,
        },
        ScoreInfo {
            name: "nll",
            meaning: "mean negative natural logarithm of the right one's probability",
            higher_is_better: false,
            error: ErrorOf::ClosedForm,
        },
    ];

    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
        if let (Source::Choices(choices), 0) = (Source::of(example)?, so_far.count()) {
            for choice in choices {
                questions.likelihood(example.prompt()?, choice);
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
        let said = match Source::of(example)? {
            Source::Probabilities(probabilities) => {
                let sum: f64 = probabilities.iter().sum();
                if !probabilities.iter().all(|p| (0.0..=1.0).contains(p))
                    || (sum - 1.0).abs() > 1e-3
                {
                    return Err(format!(
                        "column `probabilities` holds {probabilities:?}, which are not 0 to 1 with sum 1"
                    ));
                }
                Said::among(&probabilities, answer(example, probabilities.len())?)
            }
            Source::Choices(choices) => {
                let likelihoods: Vec<f64> = (0..choices.len() as u32)
                    .map(|index| answers.log_likelihood(index))
                    .collect();
                if !likelihoods.iter().all(|likelihood| likelihood.is_finite()) {
                    return Err(format!("the choices' log-likelihoods are {likelihoods:?}"));
                }
                Said::among(&softmax(&likelihoods), answer(example, choices.len())?)
            }
            Source::Confidence(confidence) => {
                if !(0.0..=1.0).contains(&confidence) {
                    return Err(format!(
                        "column `confidence` holds {confidence}, not 0 to 1"
                    ));
                }
                let prediction = example.text("prediction")?;
                Said::alone(confidence, example.references()?.contains(&prediction))
            }
        };
        observations.add("confidence", said.confidence, 1.0);
        observations.add("right", f64::from(u8::from(said.right)), 1.0);
        observations.add("brier", said.brier, 1.0);
        observations.add("nll", said.nll, 1.0);
        observations.note("confidence", &format!("{:.6}", said.confidence));
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        let values = |name: &str| -> Vec<f64> {
            let values = observations.values(name).into_iter();
            values.map(|(value, _)| value).collect()
        };
        let (confidences, right) = (values("confidence"), values("right"));
        let edges = edges(self.bins);
        let examples: Vec<(usize, f64, f64)> = confidences
            .iter()
            .zip(&right)
            .map(|(&confidence, &right)| {
                (
                    edges.partition_point(|edge| *edge < confidence),
                    confidence,
                    right,
                )
            })
            .collect();
        let of = |drawn: Option<&[u32]>| errors(&examples, self.bins as usize, drawn);
        let (ece, most) = of(None);
        let n = examples.len();
        scores.add("ece", ece, false, bootstrap(n, |drawn| of(Some(drawn)).0));
        let error = bootstrap(n, |drawn| of(Some(drawn)).1);
        scores.add("max_calibration_error", most, false, error);
        for name in ["brier", "nll"] {
            let (mean, error) = mean(&values(name));
            scores.add(name, mean, false, error);
        }
        Ok(())
    }
}

/// Column `answer`: the place of the right one of so many.
fn answer(example: &Example, of: usize) -> Result<usize> {
    let answer = example.number("answer")?;
    match answer.fract() == 0.0 && (0.0..of as f64).contains(&answer) {
        true => Ok(answer as usize),
        false => Err(format!(
            "column `answer` holds {answer}, which is no place among {of} choices, counted from 0"
        )),
    }
}

#[cfg(test)]
mod tests;
