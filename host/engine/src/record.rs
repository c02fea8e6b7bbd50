//! The run folder: what a run was made of, and what came of it. A file appears whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use folkmoot_federation::write_whole;
use folkmoot_params::Params;
use folkmoot_plugin::{Note, Plugin, Said, Score, State};
use serde::Serialize;
use serde_json::{Value, json};

use crate::evaluate::Scores;
use crate::parcel::pack_state;
use crate::resolve::Setup;

/// A run's folder, open for writing.
pub struct Record {
    folder: PathBuf,
    rounds: String,
    clients: String,
    log: File,
}

/// One line of the final table.
#[derive(Clone, Debug)]
pub struct Row {
    /// `base`, `client 3 alone`, `fedavg`, …
    pub name: String,
    pub scores: Scores,
}

/// What `rounds.jsonl` says of a round.
#[derive(Serialize)]
pub(crate) struct RoundLine {
    pub(crate) round: u32,
    pub(crate) cohort: Vec<u32>,
    pub(crate) lr: f64,
    /// Mean of the clients' losses, weighted by their examples.
    pub(crate) loss: f64,
    /// L2 norm of the change of the global parameters.
    pub(crate) step_norm: f64,
    pub(crate) seconds: Seconds,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) scores: BTreeMap<String, f64>,
    /// What plugins reported.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) reports: BTreeMap<String, f64>,
}

/// Where a round's wall time went.
#[derive(Clone, Copy, Default, Serialize)]
pub(crate) struct Seconds {
    pub(crate) total: f64,
    /// From the first client's first step to the last client's last.
    pub(crate) train: f64,
    pub(crate) evaluate: f64,
}

/// What `clients.jsonl` says of one client in a round.
#[derive(Serialize)]
pub(crate) struct ClientLine<'a> {
    pub(crate) round: u32,
    pub(crate) client: u32,
    pub(crate) examples: u64,
    pub(crate) figures: &'a BTreeMap<String, f64>,
}

impl Record {
    /// Makes `folder`, which must not hold anything, and writes down what the run is made of.
    pub fn create(folder: &Path, setup: &Setup) -> Result<Self> {
        let at = || format!("run folder `{}`", folder.display());
        if folder.exists() {
            let mut entries = fs::read_dir(folder).with_context(at)?;
            ensure!(
                entries.next().is_none(),
                "{} is not empty\n\nhint: choose another with --out",
                at()
            );
        }
        fs::create_dir_all(folder).with_context(at)?;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("log.txt"));
        let record = Self {
            folder: folder.to_owned(),
            rounds: String::new(),
            clients: String::new(),
            log: log.with_context(at)?,
        };
        let experiment = toml::to_string_pretty(&setup.experiment).with_context(at)?;
        record.write("experiment.toml", experiment.as_bytes())?;
        let plugin = |plugin: &Plugin| json!({ "kind": plugin.kind.to_string(), "name": plugin.name, "sha256": plugin.digest });
        let mut plugins = vec![
            plugin(setup.partitioner.plugin()),
            plugin(setup.algorithm.plugin()),
        ];
        plugins.extend(setup.metrics.iter().map(|metric| plugin(metric.plugin())));
        let files = setup
            .digests
            .iter()
            .map(|(name, digest)| json!({ "name": name, "sha256": digest }));
        record.write_json(
            "digests.json",
            &json!({
                "folkmoot": env!("CARGO_PKG_VERSION"),
                "plugins": plugins,
                "files": files.collect::<Vec<_>>(),
            }),
        )?;
        record.write_json("shards.json", &json!({ "clients": setup.shards }))?;
        Ok(record)
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn round(&mut self, line: &RoundLine, clients: &[ClientLine]) -> Result<()> {
        for client in clients {
            self.clients.push_str(&serde_json::to_string(client)?);
            self.clients.push('\n');
        }
        self.rounds.push_str(&serde_json::to_string(line)?);
        self.rounds.push('\n');
        self.write("clients.jsonl", self.clients.as_bytes())?;
        self.write("rounds.jsonl", self.rounds.as_bytes())
    }

    pub(crate) fn adapter(&self, setup: &Setup, name: &str, params: &Params) -> Result<()> {
        let folder = self.folder.join("adapters").join(name);
        setup
            .experiment
            .adapter
            .save(params, &setup.experiment.model.base, &folder)
    }

    /// What the algorithm keeps, server and clients, as of the end of `round`.
    pub(crate) fn state(
        &self,
        round: u32,
        server: &State,
        clients: &BTreeMap<u32, State>,
    ) -> Result<()> {
        let folder = self.folder.join("state").join(format!("round-{round:04}"));
        fs::create_dir_all(&folder).with_context(|| format!("creating `{}`", folder.display()))?;
        write_whole(&folder.join("server.parcel"), &pack_state(server)?)?;
        for (client, state) in clients {
            let used = !(state.params.is_empty() && state.bytes.is_empty());
            if used {
                write_whole(
                    &folder.join(format!("client-{client}.parcel")),
                    &pack_state(state)?,
                )?;
            }
        }
        Ok(())
    }

    pub(crate) fn log(&mut self, line: &str) -> Result<()> {
        // One write per line: a crash may lose a line, never half of one.
        let whole = format!("{line}\n");
        self.log
            .write_all(whole.as_bytes())
            .context("writing log.txt")
    }

    pub(crate) fn notes(&mut self, notes: Vec<Note>) -> Result<BTreeMap<String, f64>> {
        let mut reports = BTreeMap::new();
        for note in notes {
            match note.said {
                Said::Log { level, message } => {
                    self.log(&format!("{level} {}.{}: {message}", note.plugin, note.call))?;
                }
                Said::Report { name, value } => {
                    self.log(&format!(
                        "report {}.{}: {name} = {value}",
                        note.plugin, note.call
                    ))?;
                    reports.insert(name, value);
                }
            }
        }
        Ok(reports)
    }

    /// The final table.
    pub(crate) fn scores(&self, rows: &[Row]) -> Result<()> {
        let score = |score: &Score| {
            json!({
                "name": score.name,
                "value": score.value,
                "higher-is-better": score.higher_is_better,
                "standard-error": score.standard_error,
            })
        };
        let rows = rows.iter().map(|row| {
            json!({ "model": row.name, "scores": row.scores.iter().map(score).collect::<Vec<_>>() })
        });
        self.write_json("scores.json", &Value::from(rows.collect::<Vec<_>>()))
    }

    fn write_json(&self, name: &str, value: &Value) -> Result<()> {
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        self.write(name, text.as_bytes())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write_whole(&self.folder.join(name), bytes)
    }
}
