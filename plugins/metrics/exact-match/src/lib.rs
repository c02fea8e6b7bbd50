//! Exact match of the answer found in generated text with any of the references.

use folkmoot_sdk::extract::{Extract, Ignore};
use folkmoot_sdk::{
    Answers, ErrorOf, Example, Generation, Metric, Observations, Questions, Result, ScoreInfo,
    Scores, export_metric,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Share of examples whose answer is one of the references. Without settings both are compared as they
/// are, character by character (lm-eval's `exact_match`); `extract` finds the answer in a longer text,
/// `ignore` leaves out of both what does not count.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExactMatch {
    /// How the answer is found in the text.
    #[serde(default)]
    extract: Extract,
    /// What does not count in the comparison.
    #[serde(default)]
    ignore: Ignore,
    /// What is a match.
    #[serde(default)]
    mode: Mode,
    /// Tokens to generate.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1, max = 8192))]
    max_tokens: u32,
    /// Texts that end the generation and are cut off.
    #[serde(default)]
    stop: Vec<String>,
    /// Texts to draw; `extract.take` says which counts.
    #[serde(default = "samples")]
    #[schemars(range(min = 1, max = 1024))]
    samples: u32,
    /// 0: the likeliest token each time.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 10.0))]
    temperature: f64,
}
export_metric!(ExactMatch);

/// How answer and reference are compared.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// They are the same text.
    #[default]
    Equal,
    /// The answer starts with the reference (instruct-eval's rule for BBH and DROP, with `extract.strip`).
    StartsWith,
    /// The reference occurs in the answer.
    Contains,
}

fn max_tokens() -> u32 {
    256
}

fn samples() -> u32 {
    1
}

impl Metric for ExactMatch {
    const REFERENCES: &'static [&'static str] = &[
        "lm-evaluation-harness 0.4.13, `exact_match`, filters `regex` and `multi_choice_regex`",
        "instruct-eval, `bbh.py` and `drop.py`",
    ];

    const SCORES: &'static [ScoreInfo] = &[ScoreInfo {
        name: "exact_match",
        meaning: "share of examples whose answer is one of the references",
        higher_is_better: true,
        error: ErrorOf::ClosedForm,
    }];

    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
        let how = Generation {
            samples: self.samples,
            temperature: self.temperature,
            ..Generation::greedy(self.max_tokens, &self.stop)
        };
        how.ask_once(example, so_far, questions)
    }

    fn observe(
        &self,
        example: &Example,
        answers: &Answers,
        observations: &Observations,
    ) -> Result<()> {
        let choices = match self.extract.multiple_choice {
            Some(_) => example.texts("choices")?,
            None => Vec::new(),
        };
        let answer = self.extract.answer(&answers.texts(0), &choices)?;
        observations.note("answer", &answer);
        let mut hit = false;
        let answer = self.ignore.reduce(&answer)?;
        for reference in example.references()? {
            let reference = self.ignore.reduce(reference)?;
            hit |= match self.mode {
                Mode::Equal => answer == reference,
                Mode::StartsWith => answer.starts_with(&reference),
                Mode::Contains => answer.contains(&reference),
            };
        }
        observations.add("exact_match", f64::from(u8::from(hit)), 1.0);
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        let (mean, error) = observations.mean_of("exact_match");
        scores.add("exact_match", mean, true, error);
        Ok(())
    }
}

#[cfg(test)]
#[path = "../../../../tests/golden/shared.rs"]
mod shared;

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::evaluation::{Reply, answers, observations, questions, scores};
    use serde_json::{Value, json};

    use super::*;
    use crate::shared::golden;

    fn metric(settings: Value) -> ExactMatch {
        serde_json::from_value(settings).unwrap()
    }

    /// The score over examples of a text and its references.
    fn score(settings: Value, rows: &[(&str, Value)]) -> f64 {
        let (metric, observed, scores) = (metric(settings), observations(), scores());
        for (said, right) in rows {
            let row = json!({"prompt": "", "reference": right, "choices": ["red", "green"]});
            let example = Example::from_json(&row.to_string()).unwrap();
            let said = answers(vec![Reply::texts(&[said])]);
            metric.observe(&example, &said, &observed).unwrap();
        }
        metric.summarize(&observed, &scores).unwrap();
        scores.added.borrow()[0].value
    }

    #[test]
    fn texts_are_compared_as_they_are() {
        let golden = golden("answer_filters.json");
        for case in golden["exact_match"].as_array().unwrap() {
            let ignored = &golden["ignores"][case[2].as_u64().unwrap() as usize];
            let settings = json!({"ignore": {
                "regexes": ignored, "case": case[3], "punctuation": case[4], "numbers": case[5],
            }});
            let seen = score(settings, &[(case[0].as_str().unwrap(), case[1].clone())]);
            assert_eq!(seen, case[6].as_f64().unwrap(), "{case}");
        }
    }

    #[test]
    fn any_reference_is_right() {
        let rows = [
            ("a", json!(["b", "a"])),
            ("a ", json!("a")),
            ("", json!("")),
        ];
        assert_eq!(score(json!({}), &rows), 2.0 / 3.0);
        let starts = json!({"mode": "starts-with", "extract": {"strip": true}});
        let rows = [
            (" (A) is", json!("(A)")),
            ("is (A)", json!("(A)")),
            ("x", json!("")),
        ];
        assert_eq!(score(starts, &rows), 2.0 / 3.0);
        assert_eq!(score(json!({"mode": "contains"}), &rows), 1.0);
    }

    #[test]
    fn choices_are_a_column() {
        let settings = json!({"extract": {"pattern": r"(\([A-Z]\))", "multiple_choice": {}}});
        let rows = [
            ("it is green", json!("(B)")),
            ("x (A)", json!("(A)")),
            ("no", json!("(A)")),
        ];
        assert_eq!(score(settings, &rows), 2.0 / 3.0);
    }

    #[test]
    fn asks_once() {
        let (metric, asked) = (
            metric(json!({"stop": ["\n"], "max_tokens": 4})),
            questions(),
        );
        let example = Example::from_json(r#"{"prompt":"p"}"#).unwrap();
        metric.ask(&example, &answers(vec![]), &asked).unwrap();
        let so_far = answers(vec![Reply::texts(&["x"])]);
        metric.ask(&example, &so_far, &asked).unwrap();
        assert_eq!(
            asked.asked.take(),
            [r#"generate p {"max-tokens":4,"stop":["\n"],"temperature":0.0,"samples":1}"#]
        );
    }
}
