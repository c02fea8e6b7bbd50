//! Accuracy, its standard error √(p(1-p)/n), and macro F1 of the label found in generated text.

use folkmoot_sdk::{
    Answers, ErrorOf, Example, Metric, Observations, Questions, Result, ScoreInfo, Scores,
    export_metric,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Share of examples whose label is the first label word in the generated text; macro F1 beside it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// The label set. Found without regard to case, as whole words; the earliest in the text counts.
    #[schemars(length(min = 2))]
    labels: Vec<String>,
    /// Column that holds the right label.
    #[serde(default = "column")]
    column: String,
    /// Tokens to generate.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1, max = 512))]
    max_tokens: u32,
}
export_metric!(Accuracy);

fn column() -> String {
    "response".into()
}

fn max_tokens() -> u32 {
    8
}

impl Metric for Accuracy {
    const SCORES: &'static [ScoreInfo] = &[
        ScoreInfo {
            name: "accuracy",
            meaning: "share of examples whose label is right",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
        ScoreInfo {
            name: "f1_macro",
            meaning: "mean of the classes' F1",
            higher_is_better: true,
            error: ErrorOf::None,
        },
    ];

    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
        if so_far.count() == 0 {
            let options = json!({ "max-tokens": self.max_tokens }).to_string();
            questions.generate(example.prompt()?, &options);
        }
        Ok(())
    }

    fn observe(
        &self,
        example: &Example,
        answers: &Answers,
        observations: &Observations,
    ) -> Result<()> {
        let expected = example.text(&self.column)?;
        if !self.labels.iter().any(|label| label == expected) {
            return Err(format!("label `{expected}` is none of {:?}", self.labels));
        }
        let texts = answers.texts(0);
        let said = texts.first().and_then(|text| self.find(text));
        observations.label("label", expected, said.unwrap_or_default());
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        let pairs = observations.labels("label");
        let n = pairs.len() as f64;
        let right = pairs.iter().filter(|(expected, said)| expected == said);
        let p = right.count() as f64 / n;
        scores.add("accuracy", p, true, Some((p * (1.0 - p) / n).sqrt()));
        let f1 = self.labels.iter().map(|label| f1(&pairs, label));
        scores.add(
            "f1_macro",
            f1.sum::<f64>() / self.labels.len() as f64,
            true,
            None,
        );
        Ok(())
    }
}

impl Accuracy {
    /// The label whose whole-word occurrence comes earliest in `text`.
    fn find(&self, text: &str) -> Option<&str> {
        let text = text.to_lowercase();
        let first = |label: &str| {
            let label = label.to_lowercase();
            let mut hits = text.match_indices(&label);
            let word = |at: usize| {
                let before = text[..at].chars().next_back();
                let after = text[at + label.len()..].chars().next();
                ![before, after]
                    .into_iter()
                    .flatten()
                    .any(|c| c.is_alphanumeric() || c == '_')
            };
            hits.find(|(at, _)| word(*at)).map(|(at, _)| at)
        };
        let found = self
            .labels
            .iter()
            .filter_map(|label| Some((first(label)?, label)));
        // Of labels that start at the same place the longest is meant.
        let earliest = found.min_by_key(|(at, label)| (*at, usize::MAX - label.len()));
        earliest.map(|(_, label)| label.as_str())
    }
}

/// F1 of one class: 2·tp / (2·tp + fp + fn), 0 where the class was neither there nor said.
fn f1(pairs: &[(String, String)], label: &str) -> f64 {
    let count = |test: fn(bool, bool) -> bool| {
        let hits = pairs
            .iter()
            .filter(|(expected, said)| test(expected == label, said == label));
        hits.count() as f64
    };
    let hit = count(|expected, said| expected && said);
    let wrong = count(|expected, said| expected != said);
    match hit + wrong > 0.0 {
        true => 2.0 * hit / (2.0 * hit + wrong),
        false => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_earliest_whole_word() {
        let labels = ["negative", "neutral", "positive"]
            .map(str::to_owned)
            .to_vec();
        let metric = Accuracy {
            labels,
            column: column(),
            max_tokens: 8,
        };
        let check = |text, expected| assert_eq!(metric.find(text), expected, "{text}");
        check(" Positive.", Some("positive"));
        check("rather neutral than negative", Some("neutral"));
        check("notpositive, negative", Some("negative"));
        check("nothing", None);
    }
}
