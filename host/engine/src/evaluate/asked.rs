//! What an experiment says about evaluation.

use folkmoot_endpoint::Endpoint;
use serde::{Deserialize, Serialize};

use crate::experiment::Plugged;

/// `[evaluation]`: on the held-out rows, after some rounds and after the last.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Rounds between evaluations; 0: only after the last.
    #[serde(default)]
    pub every: u32,
    /// Questions that go through the model at once, as far as their tokens allow it.
    #[serde(default = "batch")]
    pub batch: usize,
    pub metrics: Vec<Plugged>,
    /// Whether metrics may run generated programs, in a sandbox without files, network or clock.
    #[serde(default, skip_serializing_if = "is_default")]
    pub execute: bool,
    /// An OpenAI-compatible endpoint that judges answers for metrics that ask a judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<Endpoint>,
    /// A score of the held-out rows: the adapter of the evaluated round that is best by it is kept as `best`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<String>,
    /// Ends the run before its last round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// Evaluates on rows of each client, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<OnClients>,
}

/// `[evaluation.stop]`: no evaluation of `patience` in a row was better than the best before.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// A score of the held-out rows.
    pub score: String,
    /// Evaluations without an improvement after which the run ends.
    pub patience: u32,
    /// What counts as one: a change of more than this.
    #[serde(default)]
    pub min_change: f64,
}

/// `[evaluation.clients]`: rows that each client keeps from its training.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnClients {
    /// Rows of each client, drawn with the seed.
    pub rows: usize,
    /// Rounds between such evaluations; 0: only after the last.
    #[serde(default)]
    pub every: u32,
    /// `global`: the global model, with what the client keeps to itself; `local`: what the client's own training
    /// in the round made of it, for the clients of the cohort.
    #[serde(default = "models")]
    pub models: Vec<Which>,
}

/// Which model of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    Global,
    Local,
}

impl Which {
    /// As the record spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Local => "local",
        }
    }
}

fn batch() -> usize {
    32
}

fn models() -> Vec<Which> {
    vec![Which::Global]
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
