//! {{Name}}: the share of answers that contain the reference, whatever their case.

use folkmoot_sdk::{
    Answers, ErrorOf, Example, Generation, Metric, Observations, Questions, Result, ScoreInfo,
    Scores, export_metric,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Whether the reference occurs in the answer.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct {{Name}} {
    /// Tokens that an answer may have.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1, max = 4096))]
    max_tokens: u32,
}
export_metric!({{Name}});

fn max_tokens() -> u32 {
    64
}

impl Metric for {{Name}} {
    const SCORES: &'static [ScoreInfo] = &[ScoreInfo {
        name: "contains",
        meaning: "share of answers that contain the reference, 0 to 1",
        higher_is_better: true,
        error: ErrorOf::ClosedForm,
    }];

    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
        Generation::greedy(self.max_tokens, &[]).ask_once(example, so_far, questions)
    }

    fn observe(
        &self,
        example: &Example,
        answers: &Answers,
        observations: &Observations,
    ) -> Result<()> {
        let answer = answers.texts(0).concat().to_lowercase();
        let references = example.references()?;
        let found = references.iter().any(|own| answer.contains(&own.to_lowercase()));
        observations.add("contains", f64::from(u8::from(found)), 1.0);
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        let (share, error) = observations.mean_of("contains");
        scores.add("contains", share, true, error);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::{Reply, answers, observations, scores};

    use super::*;

    #[test]
    fn counts_answers_with_the_reference_in_them() {
        let (plugin, observed, scored) = ({{Name}} { max_tokens: 8 }, observations(), scores());
        let example = Example::from_json(r#"{ "prompt": "?", "reference": "Paris" }"#).unwrap();
        for answer in ["It is PARIS.", "Rome"] {
            let answers = answers(vec![Reply::texts(&[answer])]);
            plugin.observe(&example, &answers, &observed).unwrap();
        }
        plugin.summarize(&observed, &scored).unwrap();
        assert_eq!(scored.added.borrow()[0].value, 0.5);
    }
}
