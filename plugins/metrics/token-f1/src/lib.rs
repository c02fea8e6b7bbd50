//! Exact match and token F1 of short answers, as the official scripts of SQuAD and DROP compute them.

mod assignment;
mod drop;
mod python;
mod squad;

use folkmoot_sdk::statistics::{mean, share_error};
use folkmoot_sdk::{
    Answers, ErrorOf, Example, Generation, Metric, Observations, Questions, Result, ScoreInfo,
    Scores, export_metric,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Share of answers that are right to the word, and mean overlap of their words with a right answer's, after
/// case, punctuation, articles and extra space are taken away. The best of several right answers counts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenF1 {
    /// Whose rules: `squad` or `drop`.
    #[serde(default)]
    rules: Rules,
    /// Column that holds the right answer: a text, or a list of which each is right. For `drop` each of the list
    /// may itself be a list: the spans that the answer is made of. For `squad` an empty list or text says
    /// that the question has no answer, and only an empty prediction is right.
    #[serde(default = "column")]
    column: String,
    /// Tokens to generate.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1, max = 4096))]
    max_tokens: u32,
    /// Texts that end what is generated and are cut off.
    #[serde(default)]
    stop: Vec<String>,
}
export_metric!(TokenF1);

/// Whose rules.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Rules {
    /// SQuAD v2's, which are v1.1's wherever a right answer is more than articles and punctuation.
    #[default]
    Squad,
    /// DROP's: words are sets, numbers are compared as numbers, spans are aligned one to one, and F1 is
    /// rounded to two decimals. Several predicted texts are the spans of one answer.
    Drop,
}

fn column() -> String {
    "reference".into()
}

fn max_tokens() -> u32 {
    64
}

impl Metric for TokenF1 {
    const REFERENCES: &'static [&'static str] = &[
        "https://arxiv.org/abs/1606.05250",
        "https://arxiv.org/abs/1806.03822",
        "https://arxiv.org/abs/1903.00161",
    ];

    const SCORES: &'static [ScoreInfo] = &[
        ScoreInfo {
            name: "exact_match",
            meaning: "share of answers equal to a right one after normalisation",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
        ScoreInfo {
            name: "token_f1",
            meaning: "mean F1 of the answer's words against a right answer's, 0 to 1",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
    ];

    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
        Generation::greedy(self.max_tokens, &self.stop).ask_once(example, so_far, questions)
    }

    fn observe(
        &self,
        example: &Example,
        answers: &Answers,
        observations: &Observations,
    ) -> Result<()> {
        let texts = answers.texts(0);
        let (exact, f1) = match self.rules {
            Rules::Squad => {
                let text = texts.first().map_or("", String::as_str);
                observations.note("normalized", &squad::normalize(text));
                squad::score(text, &example.texts(&self.column)?)
            }
            Rules::Drop => drop::score(&texts, &self.spans(example)?),
        };
        observations.add("exact_match", exact, 1.0);
        observations.add("token_f1", f1, 1.0);
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        let (right, n) = observations.total("exact_match");
        scores.add("exact_match", right / n, true, share_error(right / n, n));
        let f1 = observations.values("token_f1");
        let f1: Vec<f64> = f1.into_iter().map(|(f1, _)| f1).collect();
        let (mean, error) = mean(&f1);
        scores.add("token_f1", mean, true, error);
        Ok(())
    }
}

impl TokenF1 {
    /// The right answers, each as its spans.
    fn spans<'a>(&self, example: &'a Example) -> Result<Vec<Vec<&'a str>>> {
        let nested = example.get(&self.column).and_then(Value::as_array);
        let Some(answers) = nested.filter(|list| list.iter().any(Value::is_array)) else {
            let answers = example.texts(&self.column)?;
            return Ok(answers.into_iter().map(|answer| vec![answer]).collect());
        };
        let refuse = |value: &Value| format!("column `{}` holds {value}, not text", self.column);
        let text = |value: &'a Value| value.as_str().ok_or_else(|| refuse(value));
        let spans = answers.iter().map(|answer| match answer {
            Value::Array(spans) => spans.iter().map(text).collect(),
            other => Ok(vec![text(other)?]),
        });
        spans.collect()
    }
}

#[cfg(test)]
mod tests;
