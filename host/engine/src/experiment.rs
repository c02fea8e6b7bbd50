//! The experiment file: one TOML document that, with its seed, determines a run. Nothing is resolved here.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use folkmoot_data::{HeldOut, Labels, Mapping, OnBroken, OnTooLong, Pairing, Sample, Shape};
use folkmoot_params::{Params, Seed};
use folkmoot_train::{
    Accumulation, Adapter, Compute, Decay, Form, OptimizerKind, Preference, Quantize,
};
use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

use crate::Overrides;
use crate::evaluate::Evaluation;
use crate::hygiene::Hygiene;

/// An experiment, in the order of the data's flow.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Names the run folder.
    pub name: String,
    /// Where all randomness comes from.
    pub seed: Seed,
    /// Rounds of the federation.
    pub rounds: u32,
    pub model: Model,
    pub adapter: Adapter,
    pub data: Data,
    pub partition: Partition,
    pub training: LocalTraining,
    /// Where it is given, clients learn from pairs of answers, one preferred to the other, instead of from
    /// responses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preference: Option<Preference>,
    pub algorithm: Plugged,
    pub evaluation: Evaluation,
    #[serde(default)]
    pub compare: Compare,
    #[serde(default)]
    pub checkpoint: Checkpoint,
    /// Clients that misbehave, to study what an algorithm makes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attack: Option<Attack>,
}

/// `[attack]`: what some clients send instead of their update.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Attack {
    /// -factor times the update.
    SignFlip {
        clients: Vec<u32>,
        #[serde(default = "one")]
        factor: f32,
    },
    /// Normal noise of this standard deviation.
    Noise { clients: Vec<u32>, deviation: f32 },
    /// NaN everywhere.
    NonFinite { clients: Vec<u32> },
}

fn one() -> f32 {
    1.0
}

impl Attack {
    /// Who attacks.
    pub fn clients(&self) -> &[u32] {
        match self {
            Self::SignFlip { clients, .. }
            | Self::Noise { clients, .. }
            | Self::NonFinite { clients } => clients,
        }
    }

    /// What is sent instead of `delta`.
    pub(crate) fn corrupt(&self, delta: &Params, seed: Seed) -> Params {
        match self {
            Self::SignFlip { factor, .. } => delta.scale(-factor),
            Self::Noise { deviation, .. } => delta.gaussian(seed).scale(*deviation),
            Self::NonFinite { .. } => delta.filled(f32::NAN),
        }
    }
}

/// What becomes of a round when a client's update is bad: not finite, of other tensors, with implausible
/// counts, or not there because its training failed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BadUpdate {
    /// The run stops with an error.
    #[default]
    Stop,
    /// The round goes on without it, and the record says so.
    Drop,
}

/// `[model]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// A name of the catalogue, `hub:OWNER/NAME` or `hub:OWNER/NAME@REVISION`, a `.gguf` file, or a
    /// folder in Hugging Face's layout. Paths are relative to the experiment's file.
    pub base: String,
    /// `q8_0`, `q4_k` or `nf4`: how its matrices are held, made from a file that is not quantised; the tables
    /// of tokens in 8 bits. `none`: as f32. Not given: as the file holds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantize: Option<Quantize>,
    /// `f32` or `bf16`: in which precision products with its matrices are computed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub compute: Compute,
}

impl Model {
    /// How the base is held and computed with.
    pub fn form(&self) -> Form {
        Form {
            quantize: self.quantize,
            compute: self.compute,
            ..Form::default()
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// `[data]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// A name of the catalogue, `hub:OWNER/NAME` or `hub:OWNER/NAME@REVISION`, or a file or folder (JSONL, JSON,
    /// CSV, TSV, Parquet, Arrow, each also with gzip or zstd) relative to the experiment's file.
    pub source: String,
    /// Of a folder or of the hub: globs over paths, of which the files are taken.
    #[serde(default, skip_serializing_if = "is_default")]
    pub files: Vec<String>,
    /// Of a folder or of the hub: the split whose files are taken.
    #[serde(default, skip_serializing_if = "is_default")]
    pub split: Option<String>,
    /// Another way of the catalogue's entry to make its columns.
    #[serde(default, skip_serializing_if = "is_default")]
    pub variant: Option<String>,
    /// `instruction`, `chat`, `preference`, `classification` or `text`; where it is not given, the catalogue's
    /// entry or the columns say it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shape: Option<Shape>,
    /// Columns to make: from another by name, or by an expression. In the end those of the shape must be there.
    #[serde(default)]
    pub columns: Mapping,
    /// A column with a closed set of values, checked in every row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// Columns of which only the first row of equal values stays.
    #[serde(default, skip_serializing_if = "is_default")]
    pub distinct: Vec<String>,
    /// How a row becomes text: the name of a template, or a minijinja file; where it is not given, the catalogue's
    /// entry says it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub template: Option<String>,
    /// `stop` (default) or `skip`: what becomes of rows that cannot be used.
    #[serde(default, skip_serializing_if = "is_default")]
    pub broken: OnBroken,
    /// `cut` (default), `skip` or `stop`: what becomes of rows with more than `max_length` tokens.
    #[serde(default, skip_serializing_if = "is_default")]
    pub too_long: OnTooLong,
    /// Tokens that a row may have.
    pub max_length: usize,
    /// Of pairs: tokens from its end that a prompt keeps where prompt and longer answer exceed `max_length`;
    /// the answers are cut after that. A quarter of `max_length` where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_prompt_length: Option<usize>,
    /// Looks for rows that occur more than once, and removes them where it is wished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<Hygiene>,
    /// Pairs made from texts with scores, with `[preference]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<Pairing>,
    /// Rows to train on, drawn with the seed; all where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
    /// Rows kept from training for evaluation.
    pub held_out: HeldOut,
}

/// `[partition]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    pub plugin: String,
    /// Number of clients; not given where the data or the settings say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<u32>,
    #[serde(default)]
    pub settings: toml::Table,
}

/// `[training]`: what a client does in a round.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalTraining {
    /// Clients that take part in a round.
    pub cohort: u32,
    /// Optimizer steps of a client in a round.
    pub steps: usize,
    /// Rows, or pairs, of a step.
    pub batch: usize,
    /// Rows, or pairs, of a step that go through the model at once; all where it is not given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub micro_batch: usize,
    /// What the loss of a step in parts is: `tokens` (default; the parts make no difference) or `parts`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub accumulation: Accumulation,
    /// Learning rate of the first round after the warm-up.
    pub lr: f64,
    /// Where the decay would end after the last round.
    #[serde(default)]
    pub lr_floor: f64,
    /// How the rate falls over the rounds: `cosine` (default), `linear` or `constant`.
    #[serde(default = "cosine", skip_serializing_if = "is_cosine")]
    pub schedule: Decay,
    /// Rounds in which the rate rises first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub warmup_rounds: u32,
    /// How the rate falls within a round, down to 0: `constant` (default), `linear` or `cosine`.
    #[serde(default = "constant", skip_serializing_if = "is_constant")]
    pub within: Decay,
    /// Steps of each round in which the rate rises first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub warmup_steps: usize,
    /// AdamW where it is not given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub optimizer: OptimizerKind,
    /// Whether layers run again in the backward pass instead of keeping what they computed: less memory, about a
    /// quarter more time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub recompute: bool,
    #[serde(default)]
    pub weight_decay: f64,
    #[serde(default = "default_max_grad_norm")]
    pub max_grad_norm: f64,
    /// `stop` (default) or `drop`.
    #[serde(default)]
    pub bad_update: BadUpdate,
}

fn cosine() -> Decay {
    Decay::Cosine
}

fn is_cosine(decay: &Decay) -> bool {
    *decay == Decay::Cosine
}

fn constant() -> Decay {
    Decay::Constant
}

fn is_constant(decay: &Decay) -> bool {
    *decay == Decay::Constant
}

fn default_max_grad_norm() -> f64 {
    1.0
}

/// A plugin and its settings, which only the plugin understands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugged {
    pub plugin: String,
    #[serde(default)]
    pub settings: toml::Table,
}

/// `[compare]`: what the result is set beside.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// The untuned base.
    #[serde(default)]
    pub base: bool,
    /// So many clients, the largest first, each trained alone for as many steps as a client of every
    /// round has.
    #[serde(default)]
    pub alone: u32,
}

/// `[checkpoint]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Rounds between saved adapters; the last round's is saved always.
    pub every: u32,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self { every: 5 }
    }
}

/// An experiment as read, and the text it came from: errors found later point into it.
#[derive(Debug)]
pub struct Document {
    pub experiment: Experiment,
    /// The file, for messages.
    pub path: PathBuf,
    text: String,
    overrides: Overrides,
}

impl Document {
    /// Reads `path` and applies `overrides`.
    pub fn read(path: &Path, overrides: &Overrides) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading experiment `{}`", path.display()))?;
        let at = || format!("experiment `{}`", path.display());
        // Twice, so that what is wrong in the file is shown in the file, whatever is overridden.
        toml::from_str::<Experiment>(&text)
            .map_err(|error| explain(&error))
            .with_context(at)?;
        let mut table: toml::Table = toml::from_str(&text).with_context(at)?;
        overrides.apply(&mut table)?;
        let experiment: Experiment = table.try_into().context("the command line's changes")?;
        Ok(Self {
            experiment,
            path: path.to_owned(),
            text,
            overrides: overrides.clone(),
        })
    }

    /// `path` as the experiment means it: relative to its file.
    pub fn relative(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new(".")).join(path)
    }

    /// An error about the value of `key` (dotted), shown with its line or with the argument that set it.
    pub fn error(&self, key: &str, message: &str) -> anyhow::Error {
        let (message, hint) = match message.split_once("\n\nhint: ") {
            Some((message, hint)) => (message, format!("\n\nhint: {hint}")),
            None => (message, String::new()),
        };
        if let Some(argument) = self.overrides.of(key) {
            return anyhow::anyhow!("{message}\n --> {argument}{hint}");
        }
        match locate(&self.text, key) {
            Some(line) => {
                let shown = self.text.lines().nth(line - 1).unwrap_or_default();
                let margin = " ".repeat(line.to_string().len());
                anyhow::anyhow!(
                    "{message}\n{margin}--> {}:{line}\n{margin} |\n{line} | {shown}\n{margin} |{hint}",
                    self.path.display()
                )
            }
            None => anyhow::anyhow!("{message} (`{key}` of `{}`){hint}", self.path.display()),
        }
    }
}

/// toml's message, with the nearest known key where one was misspelt.
fn explain(error: &toml::de::Error) -> anyhow::Error {
    let shown = error.to_string();
    let shown = shown.trim_end();
    let message = error.message();
    let nearest = message.strip_prefix("unknown field `").and_then(|rest| {
        let (field, known) = rest.split_once('`')?;
        let known = known.split('`').skip(1).step_by(2);
        let scored = known.map(|known| (strsim::jaro_winkler(field, known), known));
        scored
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(score, _)| *score > 0.75)
    });
    match nearest {
        Some((_, nearest)) => anyhow::anyhow!("{shown}\n\nhint: did you mean `{nearest}`?"),
        None => anyhow::anyhow!("{shown}"),
    }
}

/// The line, from 1, on which the value of a dotted key starts.
fn locate(text: &str, key: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut table = root.get_ref();
    let mut offset = None;
    for part in key.split('.') {
        let (_, value) = table
            .iter()
            .find(|(name, _)| name.get_ref().as_ref() == part)?;
        offset = Some(value.span().start);
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    Some(text[..offset?].matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_on_its_line() {
        let text = "name = \"x\"\n[training]\nsteps = 3\ncohort = 9\n";
        assert_eq!(locate(text, "training.cohort"), Some(4));
        assert_eq!(locate(text, "training.batch"), None);
    }
}
