//! Classification by generated text: accuracy, precision, recall, F1 and Matthews' correlation, as
//! scikit-learn 1.9 defines them.

mod extract;
mod scores;

use folkmoot_sdk::statistics::share_error;
use folkmoot_sdk::{
    Answers, ErrorOf, Example, Generation, Metric, Observations, Questions, Result, ScoreInfo,
    Scores, export_metric,
};
use schemars::JsonSchema;
use serde::Deserialize;

use extract::{contained, first_word};
use scores::{Confusion, NAMES};

/// Share of right answers, and precision, recall, F1 and Matthews' correlation of the classes, as
/// scikit-learn computes them with zero_division=0. The class is a label found in the generated text or,
/// where no labels are given, the text itself.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// The label set. Without one, every text that is expected or said is a class of its own, and a prediction
    /// is right where it equals the reference exactly. What is none of the labels is wrong: its class misses
    /// it, no other class gains it. Precision, recall and F1 are of these labels only (scikit-learn's
    /// `labels=`); balanced accuracy and Matthews' correlation, which know no such set, are of every class
    /// met, all that is none of the labels being one more.
    #[serde(default)]
    #[schemars(length(min = 2), inner(length(min = 1)))]
    labels: Option<Vec<String>>,
    /// How a label is found in the text: `first-word`, `exact` or `contains-in-order`. With labels the
    /// default is `first-word`, without them `exact`.
    #[serde(default, rename = "match")]
    rule: Option<Match>,
    /// The label meant by a text that contains none, for `contains-in-order`.
    #[serde(default)]
    default: Option<String>,
    /// Column that holds the right label, or a list of them of which any is right. If not given, it is
    /// `reference`, or `response` where there is no `reference`.
    #[serde(default)]
    column: Option<String>,
    /// Tokens to generate.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1, max = 512))]
    max_tokens: u32,
    /// Texts that end what is generated and are cut off.
    #[serde(default)]
    stop: Vec<String>,
    /// The scores to give; all of them if none is named.
    #[serde(default)]
    scores: Vec<String>,
}
export_metric!(Accuracy);

/// How a label is found in a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum Match {
    /// The label that occurs earliest as a whole word, whatever its case.
    FirstWord,
    /// The label that the text is, to the character.
    Exact,
    /// The first of the labels, in the order given, that the text contains, as given or with a capital
    /// first letter; else `default`. So FinGPT and OpenFedLLM do it.
    ContainsInOrder,
}

fn max_tokens() -> u32 {
    8
}

const fn score(name: &'static str, meaning: &'static str) -> ScoreInfo {
    ScoreInfo {
        name,
        meaning,
        higher_is_better: true,
        error: ErrorOf::Bootstrap,
    }
}

impl Metric for Accuracy {
    const REFERENCES: &'static [&'static str] = &[
        "https://scikit-learn.org/stable/modules/model_evaluation.html#classification-metrics",
        "Gorodkin 2004, Comparing two K-category assignments by a K-category correlation coefficient",
        "https://github.com/AI4Finance-Foundation/FinGPT",
    ];

    const SCORES: &'static [ScoreInfo] = &[
        ScoreInfo {
            name: NAMES[0],
            meaning: "share of examples whose label is right",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
        score(NAMES[1], "mean of the classes' F1, 0 to 1"),
        score(NAMES[2], "F1 over the sums of all classes, 0 to 1"),
        score(
            NAMES[3],
            "mean of the classes' F1, weighted by how often each is expected",
        ),
        score(NAMES[4], "mean recall of the classes expected, 0 to 1"),
        score(NAMES[5], "mean of the classes' precision, 0 to 1"),
        score(NAMES[6], "precision over the sums of all classes, 0 to 1"),
        score(
            NAMES[7],
            "mean of the classes' precision, weighted by how often each is expected",
        ),
        score(NAMES[8], "mean of the classes' recall, 0 to 1"),
        score(NAMES[9], "recall over the sums of all classes, 0 to 1"),
        score(
            NAMES[10],
            "mean of the classes' recall, weighted by how often each is expected",
        ),
        score(
            NAMES[11],
            "Matthews' correlation of expected and said, -1 to 1",
        ),
    ];

    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
        if let Some(unknown) = self.scores.iter().find(|own| !NAMES.contains(&&own[..])) {
            return Err(format!("`scores`: `{unknown}` is none of {NAMES:?}"));
        }
        self.rule()?;
        Generation::greedy(self.max_tokens, &self.stop).ask_once(example, so_far, questions)
    }

    fn observe(
        &self,
        example: &Example,
        answers: &Answers,
        observations: &Observations,
    ) -> Result<()> {
        let expected = self.expected(example)?;
        if let Some(labels) = &self.labels {
            let known = |label: &str| labels.iter().any(|own| own == label);
            if let Some(label) = expected.iter().find(|label| !known(label)) {
                return Err(format!("label `{label}` is none of {labels:?}"));
            }
        }
        let texts = answers.texts(0);
        let text = texts.first().map_or("", String::as_str);
        let said = self.find(text)?.unwrap_or_default();
        let first = expected[0];
        let expected = expected.into_iter().find(|label| *label == said);
        observations.label("label", expected.unwrap_or(first), said);
        observations.note("extracted", said);
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        let pairs = observations.labels("label");
        let confusion = Confusion::new(&pairs, self.labels.as_deref());
        let errors = confusion.errors();
        for (index, (name, value)) in NAMES.iter().zip(confusion.scores(None)).enumerate() {
            if !self.scores.is_empty() && !self.scores.iter().any(|own| own == name) {
                continue;
            }
            let error = match index {
                0 => share_error(value, pairs.len() as f64),
                _ => errors[index],
            };
            scores.add(name, value, true, error);
        }
        Ok(())
    }
}

impl Accuracy {
    /// The rule in force; refuses what does not go together.
    fn rule(&self) -> Result<Match> {
        let rule = match (self.rule, &self.labels) {
            (None, Some(_)) => Match::FirstWord,
            (None | Some(Match::Exact), None) => Match::Exact,
            (Some(rule), Some(_)) => rule,
            (Some(_), None) => return Err("`match` looks for `labels`, and none are given".into()),
        };
        match (&self.default, rule, &self.labels) {
            (None, ..) => Ok(rule),
            (Some(default), Match::ContainsInOrder, Some(labels)) => {
                match labels.contains(default) {
                    true => Ok(rule),
                    false => Err(format!("`default` is `{default}`, none of {labels:?}")),
                }
            }
            _ => Err("`default` is of use with `match` = \"contains-in-order\" only".into()),
        }
    }

    /// The right labels.
    fn expected<'a>(&self, example: &'a Example) -> Result<Vec<&'a str>> {
        let column = match &self.column {
            Some(column) => column,
            None if example.get("reference").is_none() && example.get("response").is_some() => {
                "response"
            }
            None => "reference",
        };
        let expected = example.texts(column)?;
        match expected.is_empty() {
            true => Err(format!("column `{column}` is an empty list")),
            false => Ok(expected),
        }
    }

    /// The class that `text` names.
    fn find<'a>(&'a self, text: &'a str) -> Result<Option<&'a str>> {
        let rule = self.rule()?;
        let Some(labels) = &self.labels else {
            return Ok(Some(text));
        };
        Ok(match rule {
            Match::FirstWord => first_word(labels, text),
            Match::Exact => labels.iter().map(String::as_str).find(|own| *own == text),
            Match::ContainsInOrder => contained(labels, text).or(self.default.as_deref()),
        })
    }
}

#[cfg(test)]
mod tests;
