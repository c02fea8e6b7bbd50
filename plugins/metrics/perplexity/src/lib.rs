//! Perplexity: exp(-Σ ln p / Σ tokens) of the responses, each given its prompt.

use folkmoot_sdk::{
    Answers, ErrorOf, Example, Metric, Observations, Questions, Result, ScoreInfo, Scores,
    export_metric,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Perplexity of the response given the prompt, over all tokens of all examples.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Perplexity {}
export_metric!(Perplexity);

impl Metric for Perplexity {
    const SCORES: &'static [ScoreInfo] = &[ScoreInfo {
        name: "perplexity",
        meaning: "exp of the mean negative log-likelihood of a token",
        higher_is_better: false,
        error: ErrorOf::None,
    }];

    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
        if so_far.count() == 0 {
            questions.likelihood(example.prompt()?, example.text("continuation")?);
        }
        Ok(())
    }

    fn observe(&self, _: &Example, answers: &Answers, observations: &Observations) -> Result<()> {
        let tokens = f64::from(answers.tokens(0));
        observations.add("log-likelihood", answers.log_likelihood(0), tokens);
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        let (sum, tokens) = observations.total("log-likelihood");
        scores.add("perplexity", (-sum / tokens).exp(), false, None);
        Ok(())
    }
}
