//! The trait of a metric.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::{Answers, Observations, Questions, Result, Scores};

/// An evaluation: what to ask the model about an example, and how to score its answers. The struct
/// is its settings.
///
/// ```
/// use folkmoot_sdk::native::{Reply, answers, observations, scores};
/// use folkmoot_sdk::{
///     Answers, ErrorOf, Example, Generation, Metric, Observations, Questions, Result, ScoreInfo,
///     Scores, export_metric,
/// };
/// use schemars::JsonSchema;
/// use serde::Deserialize;
///
/// /// How long answers are.
/// #[derive(Deserialize, JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Length {}
/// export_metric!(Length);
///
/// impl Metric for Length {
///     const SCORES: &'static [ScoreInfo] = &[ScoreInfo {
///         name: "words",
///         meaning: "words of an answer in the mean",
///         higher_is_better: false,
///         error: ErrorOf::ClosedForm,
///     }];
///
///     fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
///         Generation::greedy(128, &[]).ask_once(example, so_far, questions)
///     }
///
///     fn observe(&self, _: &Example, answers: &Answers, observations: &Observations) -> Result<()> {
///         let words = answers.texts(0).concat().split_whitespace().count();
///         observations.add("words", words as f64, 1.0);
///         Ok(())
///     }
///
///     fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
///         let (mean, error) = observations.mean_of("words");
///         scores.add("words", mean, false, error);
///         Ok(())
///     }
/// }
///
/// let (plugin, observed, scored) = (Length {}, observations(), scores());
/// let example = Example::from_json("{}")?;
/// plugin.observe(&example, &answers(vec![Reply::texts(&["three short words"])]), &observed)?;
/// plugin.summarize(&observed, &scored)?;
/// assert_eq!(scored.added.borrow()[0].value, 3.0);
/// # Ok::<(), String>(())
/// ```
pub trait Metric: DeserializeOwned + JsonSchema {
    /// Papers and other sources.
    const REFERENCES: &'static [&'static str] = &[];

    /// The scores it gives, for `folkmoot plugin info` and the docs. A name may end in `*`.
    const SCORES: &'static [ScoreInfo];

    /// Whom it asks beside the model, so that a host without them says so before anything is asked.
    const ASKS: &'static [Helper] = &[];

    /// Asks the model about one example; called again with the answers so far until it asks no more.
    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()>;

    /// Turns the answers about one example into quantities that add over examples.
    fn observe(
        &self,
        example: &Example,
        answers: &Answers,
        observations: &Observations,
    ) -> Result<()>;

    /// Turns the sums into scores, once.
    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()>;
}

/// What a metric says of one of its scores.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ScoreInfo {
    /// Its name, in snake case as scikit-learn and its like spell it.
    pub name: &'static str,
    /// What it is, its range or unit.
    pub meaning: &'static str,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// How its standard error is found.
    pub error: ErrorOf,
}

/// How a standard error is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorOf {
    /// In closed form: s/√n of a mean, √(p(1-p)/n) of a share.
    ClosedForm,
    /// By the bootstrap over examples, [`crate::statistics::bootstrap`].
    Bootstrap,
    /// None is given.
    None,
}

/// Someone beside the model whom a metric asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Helper {
    /// A judge, by `questions.judge`.
    Judge,
    /// The sandbox for programs, by `questions.execute`.
    Execute,
}

/// Options of a generating question.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Generation {
    /// Tokens at most.
    pub max_tokens: u32,
    /// Texts that end it and are cut off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// 0: the likeliest token each time.
    pub temperature: f64,
    /// Draw from the fewest tokens that make up this probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Draw from so many of the likeliest tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// Texts to draw.
    pub samples: u32,
}

impl Generation {
    /// The likeliest tokens, at most `max_tokens`, until one of `stop`.
    pub fn greedy(max_tokens: u32, stop: &[String]) -> Self {
        Self {
            max_tokens,
            stop: stop.to_vec(),
            temperature: 0.0,
            top_p: None,
            top_k: None,
            samples: 1,
        }
    }

    /// Asks for what follows the example's prompt, unless it was asked already: the whole `ask` of a metric that
    /// reads one text.
    pub fn ask_once(
        &self,
        example: &Example,
        so_far: &Answers,
        questions: &Questions,
    ) -> Result<()> {
        if so_far.count() == 0 {
            questions.generate(example.prompt()?, &self.to_json());
        }
        Ok(())
    }

    /// As the contract takes them.
    pub fn to_json(&self) -> String {
        json!(self).to_string()
    }
}

/// One row of the evaluation set: its columns, `prompt` and `reference`.
pub struct Example(Map<String, Value>);

impl Example {
    /// From the JSON object that the host hands over.
    pub fn from_json(text: &str) -> Result<Self> {
        let fields = serde_json::from_str(text);
        Ok(Self(fields.map_err(|error| {
            format!("example is no JSON object: {error}")
        })?))
    }

    /// A column as text; refused with its name where it is missing or no text.
    pub fn text(&self, column: &str) -> Result<&str> {
        match self.0.get(column) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(format!("column `{column}` holds {other}, not text")),
            None => Err(self.missing(column)),
        }
    }

    /// A column as a list of texts; a single text is a list of one.
    pub fn texts(&self, column: &str) -> Result<Vec<&str>> {
        let refuse = |value: &Value| format!("column `{column}` holds {value}, not text");
        match self.0.get(column) {
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(texts)) => texts
                .iter()
                .map(|text| text.as_str().ok_or_else(|| refuse(text)))
                .collect(),
            Some(other) => Err(refuse(other)),
            None => Err(self.missing(column)),
        }
    }

    /// A column as a list of numbers.
    pub fn numbers(&self, column: &str) -> Result<Vec<f64>> {
        let refuse =
            |value: &Value| format!("column `{column}` holds {value}, not a list of numbers");
        match self.0.get(column) {
            Some(Value::Array(numbers)) => numbers
                .iter()
                .map(|number| number.as_f64().ok_or_else(|| refuse(number)))
                .collect(),
            Some(other) => Err(refuse(other)),
            None => Err(self.missing(column)),
        }
    }

    /// A column as it is, if it is there.
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.0.get(column)
    }

    fn missing(&self, column: &str) -> String {
        let there: Vec<&str> = self.0.keys().map(String::as_str).collect();
        format!(
            "column `{column}` is missing; there are: {}",
            there.join(", ")
        )
    }

    /// A column as a number; refused with its name where it is missing or no number.
    pub fn number(&self, column: &str) -> Result<f64> {
        match self.0.get(column) {
            Some(value) => {
                let number = value.as_f64();
                number.ok_or_else(|| format!("column `{column}` holds {value}, not a number"))
            }
            None => Err(self.missing(column)),
        }
    }

    /// The text up to the place of the response, as the experiment's template renders it.
    pub fn prompt(&self) -> Result<&str> {
        self.text("prompt")
    }

    /// What the example says the response is.
    pub fn response(&self) -> Result<&str> {
        self.text("response")
    }

    /// The right answers: column `reference`, a text or a list of texts, of which there is at least one.
    pub fn references(&self) -> Result<Vec<&str>> {
        let references = self.texts("reference")?;
        match references.is_empty() {
            true => Err("column `reference` is an empty list".into()),
            false => Ok(references),
        }
    }
}

impl Observations {
    /// (Σ sum, Σ weight) of a quantity over all examples.
    pub fn total(&self, name: &str) -> (f64, f64) {
        let values = self.values(name);
        let add = |total: (f64, f64), value: (f64, f64)| (total.0 + value.0, total.1 + value.1);
        values.into_iter().fold((0.0, 0.0), add)
    }

    /// The mean over examples of a quantity, each example's being sum / weight, and its standard error
    /// ([`crate::statistics::mean`]).
    pub fn mean_of(&self, name: &str) -> (f64, Option<f64>) {
        let values = self.values(name).into_iter();
        let values: Vec<f64> = values.map(|(sum, weight)| sum / weight).collect();
        crate::statistics::mean(&values)
    }
}

/// Makes `$plugin` the metric of this component.
#[macro_export]
macro_rules! export_metric {
    ($plugin:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::wasm::MetricExport<$plugin>;
    $crate::wasm::metric::export_metric_world!(Exported with_types_in $crate::wasm::metric);
        };
        $crate::export_native!(MetricExport, $plugin);
    };
}
