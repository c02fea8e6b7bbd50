//! The trait of a metric.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Answers, Observations, Questions, Result, Scores};

/// An evaluation: what to ask the model about an example, and how to score its answers. The struct
/// is its settings.
pub trait Metric: DeserializeOwned + JsonSchema {
    /// Papers and other sources.
    const REFERENCES: &'static [&'static str] = &[];

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

/// One row of the evaluation set: its columns, and `prompt`.
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
}

impl Observations {
    /// (Σ sum, Σ weight) of a quantity over all examples.
    pub fn total(&self, name: &str) -> (f64, f64) {
        let values = self.values(name);
        let add = |total: (f64, f64), value: (f64, f64)| (total.0 + value.0, total.1 + value.1);
        values.into_iter().fold((0.0, 0.0), add)
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
    };
}
