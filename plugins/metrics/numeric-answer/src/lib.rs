//! GSM8K: the number that a text ends with, by the rules of lm-evaluation-harness and as a value.

mod number;

use folkmoot_sdk::extract::{Extract, Ignore, Pattern, Take};
use folkmoot_sdk::{
    Answers, ErrorOf, Example, Generation, Metric, Observations, Questions, Result, ScoreInfo,
    Scores, export_metric,
};
use schemars::JsonSchema;
use serde::Deserialize;

use number::Number;

/// Whether the number in the answer is the reference's: by the form that the task asks for, by the last
/// number in the text, and by value. A reference may be a whole solution that ends in `#### 42`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NumericAnswer {
    /// Finds the answer in the form that was asked for, in Python's syntax; its first match counts. For
    /// chains of thought, `The answer is (\-?[0-9\.\,]+).`
    #[serde(default = "strict")]
    strict: String,
    /// Finds any number; its last match counts.
    #[serde(default = "flexible")]
    flexible: String,
    /// Left out of answer and reference before the two exact matches compare them.
    #[serde(default = "regexes_to_ignore")]
    regexes_to_ignore: Vec<String>,
    /// Texts that end the generation and are cut off.
    #[serde(default = "stop")]
    stop: Vec<String>,
    /// Tokens to generate.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1, max = 8192))]
    max_tokens: u32,
    /// Texts to draw; the most frequent answer counts (self-consistency, Wang et al. 2023).
    #[serde(default = "samples")]
    #[schemars(range(min = 1, max = 1024))]
    samples: u32,
    /// 0: the likeliest token each time.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 10.0))]
    temperature: f64,
}
export_metric!(NumericAnswer);

fn strict() -> String {
    r"#### (\-?[0-9\.\,]+)".into()
}

fn flexible() -> String {
    r"(-?[$0-9.,]{2,})|(-?[0-9]+)".into()
}

fn regexes_to_ignore() -> Vec<String> {
    [",", r"\$", r"(?s).*#### ", r"\.$"]
        .map(str::to_owned)
        .to_vec()
}

fn stop() -> Vec<String> {
    ["Question:", "</s>", "<|im_end|>"]
        .map(str::to_owned)
        .to_vec()
}

fn max_tokens() -> u32 {
    256
}

fn samples() -> u32 {
    1
}

const NAMES: [&str; 3] = [
    "exact_match_strict",
    "exact_match_flexible",
    "numeric_match",
];

impl Metric for NumericAnswer {
    const REFERENCES: &'static [&'static str] = &[
        "Cobbe et al. 2021, arXiv:2110.14168",
        "lm-evaluation-harness 0.4.13, `gsm8k.yaml`",
    ];

    const SCORES: &'static [ScoreInfo] = &[
        ScoreInfo {
            name: NAMES[0],
            meaning: "share of examples that give the right number in the form asked for",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
        ScoreInfo {
            name: NAMES[1],
            meaning: "share of examples whose last number is written as the reference",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
        ScoreInfo {
            name: NAMES[2],
            meaning: "share of examples whose last number has the reference's value",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
    ];

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
        let (texts, references) = (answers.texts(0), example.references()?);
        let ignore = Ignore {
            regexes: self.regexes_to_ignore.clone(),
            case: true,
            ..Ignore::default()
        };
        for (name, pattern, select) in [(NAMES[0], &self.strict, 0), (NAMES[1], &self.flexible, -1)]
        {
            let extract = Extract {
                take: Take::Majority,
                ..Extract::by_pattern(pattern, select)
            };
            let answer = extract.answer(&texts, &[])?;
            observations.note(&name.replace("exact_match", "answer"), &answer);
            let answer = ignore.reduce(&answer)?;
            let mut hit = false;
            for reference in &references {
                hit |= answer == ignore.reduce(reference)?;
            }
            observations.add(name, f64::from(u8::from(hit)), 1.0);
        }
        let number = Pattern::new(number::PATTERN)?;
        let last = |text: &str| -> Result<Option<Number>> {
            let found = number.matches(text)?;
            Ok(found.last().and_then(|found| Number::parse(found.group(0))))
        };
        let said = texts.iter().map(|text| last(text));
        let said = said.collect::<Result<Vec<_>>>()?;
        let mut hit = false;
        if let Some(said) = number::most_frequent(&said) {
            observations.note("number", &said.to_string());
            for reference in references {
                hit |= last(reference)?.is_some_and(|right| said.equals(&right));
            }
        }
        observations.add(NAMES[2], f64::from(u8::from(hit)), 1.0);
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        for name in NAMES {
            let (mean, error) = observations.mean_of(name);
            scores.add(name, mean, true, error);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "../../../../tests/golden/shared.rs"]
mod shared;

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::evaluation::{Reply, answers, observations, scores};
    use serde_json::json;

    use super::*;
    use crate::shared::golden;

    fn observe(said: &[&str], right: &str) -> Vec<f64> {
        let metric: NumericAnswer = serde_json::from_value(json!({})).unwrap();
        let (observed, scores) = (observations(), scores());
        let row = json!({"prompt": "", "reference": right}).to_string();
        let said = answers(vec![Reply::texts(said)]);
        let example = Example::from_json(&row).unwrap();
        metric.observe(&example, &said, &observed).unwrap();
        metric.summarize(&observed, &scores).unwrap();
        let added = scores.added.take();
        added.into_iter().map(|score| score.value).collect()
    }

    #[test]
    fn both_exact_matches_are_lm_evals() {
        let golden = golden("answer_metrics.json");
        let cases = golden["gsm8k"].as_array().unwrap();
        assert!(cases.len() >= 1000);
        for case in cases {
            let seen = observe(&[case[0].as_str().unwrap()], case[1].as_str().unwrap());
            let expected = [&case[2], &case[3]].map(|hit| hit.as_f64().unwrap());
            assert_eq!(seen[..2], expected, "{case}");
        }
    }

    #[test]
    fn values_are_compared_as_numbers() {
        let right = [
            ("1,000", "1000"),
            ("1e3", "1000"),
            ("$1,000.00.", "#### 1,000"),
            ("It is 0.50", "x\n#### .5"),
            ("-0", "0"),
            ("−5", "-5"),
            ("50%", "50"),
            ("50%", "0.5"),
            ("0.5", "50%"),
            ("12.50 dollars.", "12.5"),
            ("007", "7"),
            ("1.5E+2", "150"),
            ("first 3, then 4.", "4"),
            ("+5", "5"),
            ("٤٢ or 42", "42"),
            ("3-2", "2"),
            ("x-2", "2"),
            ("99999999999999999999999999", "99999999999999999999999999.0"),
            ("#### 5\nas said", "5"),
        ];
        for (said, reference) in right {
            assert_eq!(observe(&[said], reference)[2], 1.0, "{said} {reference}");
        }
        let wrong = [
            ("", "5"),
            ("none", "5"),
            ("5", ""),
            ("1,00", "100"),
            ("50%", "5000"),
            ("50%", "5000%"),
            ("99999999999999999999999999", "99999999999999999999999998"),
            ("-5", "5"),
            ("1e999999999999", "1"),
            ("0.1e1", "0.1"),
        ];
        for (said, reference) in wrong {
            assert_eq!(observe(&[said], reference)[2], 0.0, "{said} {reference}");
        }
    }

    #[test]
    fn the_most_frequent_of_several_answers_counts() {
        assert_eq!(
            observe(&["#### 4", "#### 5", "#### 5.0", "so 5"], "5"),
            [0.0, 1.0, 1.0]
        );
    }
}
