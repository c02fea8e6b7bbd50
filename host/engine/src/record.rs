//! The run folder: what a run was made of, and what came of it. A file appears whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use folkmoot_federation::write_whole;
use folkmoot_params::Params;
use folkmoot_plugin::{Note, Plugin, Profile, Said};
use serde::Serialize;
use serde_json::{Value, json};

use crate::checkpoint::Checkpoint;
use crate::evaluate::clients::EvaluationLine;
use crate::evaluate::outcome::scores_json;
use crate::evaluate::panel::Scores;
use crate::experiment::Experiment;
use crate::renewals::Renewals;
use crate::resolve::Setup;
use crate::updates::Dropped;

/// A run's folder, open for writing.
pub struct Record {
    folder: PathBuf,
    rounds: String,
    clients: String,
    evaluations: String,
    log: File,
    checkpoint: Option<Checkpoint>,
    /// What plugins cost before the run was resumed.
    sessions: Vec<Value>,
    renewals: Renewals,
}

const STATE: &str = "state";
const EXCHANGE: &str = "exchange";
const PROFILE: &str = "profile.json";
const RENEWALS: &str = "renewals.jsonl";

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
    /// Clients whose update was left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dropped: Vec<Dropped>,
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
                "{} is not empty\n\nhint: choose another with --out, or go on with --resume",
                at()
            );
        }
        fs::create_dir_all(folder).with_context(at)?;
        let record = Self::open(folder, setup)?;
        record.write("experiment.toml", experiment_text(setup)?.as_bytes())?;
        record.write_json("digests.json", &digests(setup))?;
        record.write_json("shards.json", &json!({ "clients": setup.shards }))?;
        if !setup.kept_rows.is_empty() {
            record.write_json("kept.json", &json!({ "clients": setup.kept_rows }))?;
        }
        Ok(record)
    }

    /// Goes on with the run in `folder`, which must be one of the same experiment, plugins, model and
    /// data. What was recorded after its last checkpoint is done again. `renew` allows another algorithm than before: a
    /// mended plugin, other settings.
    pub fn resume(folder: &Path, setup: &Setup, renew: bool) -> Result<Self> {
        let at = || format!("run folder `{}`", folder.display());
        let read = |name: &str| fs::read_to_string(folder.join(name)).with_context(at);
        let (text, own) = (read("experiment.toml")?, experiment_text(setup)?);
        let experiment: Experiment = toml::from_str(&text).with_context(at)?;
        let with_own_algorithm = Experiment {
            algorithm: setup.experiment.algorithm.clone(),
            ..experiment.clone()
        };
        let but_algorithm = toml::to_string_pretty(&with_own_algorithm)? == own;
        let hint = |helps: bool, before: &str| match helps && !renew {
            true => format!("{before}--renew-algorithm goes on with another algorithm"),
            false => String::new(),
        };
        ensure!(
            text == own || (renew && but_algorithm),
            "{} is of another experiment\n\nhint: its own is in `{}`{}",
            at(),
            folder.join("experiment.toml").display(),
            hint(but_algorithm, "; ")
        );
        let before: Value = serde_json::from_str(&read("digests.json")?).with_context(at)?;
        let now = digests(setup);
        let plugins = |digests: &Value, all: bool| -> Vec<Value> {
            let plugins = digests["plugins"].as_array().cloned().unwrap_or_default();
            let wanted = |own: &Value| all || own["kind"] != "algorithm";
            plugins.into_iter().filter(wanted).collect()
        };
        let same = |all: bool| plugins(&before, all) == plugins(&now, all);
        ensure!(
            same(!renew),
            "{}: its plugins had other digests than those found now{}",
            at(),
            hint(same(false), "\n\nhint: ")
        );
        ensure!(
            before["files"] == now["files"],
            "{}: its files had other digests than those found now",
            at()
        );
        let mut record = Self::open(folder, setup)?;
        let checkpoint = Checkpoint::latest(&folder.join(STATE))?;
        let round = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.round);
        if let Some(checkpoint) = &checkpoint {
            checkpoint.check(&setup.initial, setup.shards.len())?;
        }
        for (name, lines) in [
            ("rounds.jsonl", &mut record.rounds),
            ("clients.jsonl", &mut record.clients),
            ("evaluations.jsonl", &mut record.evaluations),
        ] {
            if folder.join(name).is_file() {
                for line in read(name)?.lines() {
                    let value: Value = serde_json::from_str(line).with_context(at)?;
                    if value["round"]
                        .as_u64()
                        .is_some_and(|own| own <= u64::from(round))
                    {
                        lines.push_str(line);
                        lines.push('\n');
                    }
                }
            }
        }
        if folder.join(PROFILE).is_file() {
            let before: Value = serde_json::from_str(&read(PROFILE)?).with_context(at)?;
            let sessions = before["sessions"].as_array().cloned();
            record.sessions = sessions.with_context(|| format!("{}: {PROFILE}", at()))?;
        }
        let renewals = folder.join(RENEWALS).is_file().then(|| read(RENEWALS));
        let renewals = renewals.transpose()?.unwrap_or_default();
        record.renewals = Renewals::read(&renewals, &experiment, &before).with_context(at)?;
        let exchange = folder.join(EXCHANGE);
        if exchange.exists() {
            // What was on its way when the run stopped is sent again.
            fs::remove_dir_all(&exchange).with_context(at)?;
        }
        record.log(&format!("resumed after round {round}"))?;
        let over = |own: &Checkpoint| own.watch.stopped || own.round >= setup.experiment.rounds;
        if checkpoint.as_ref().is_some_and(over) {
            ensure!(
                text == own && same(true),
                "{} has ended: no round is left for another algorithm",
                at()
            );
        } else {
            record.write("experiment.toml", own.as_bytes())?;
            record.renewed(round + 1, setup)?;
        }
        record.checkpoint = checkpoint;
        Ok(record)
    }

    fn open(folder: &Path, setup: &Setup) -> Result<Self> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("log.txt"));
        Ok(Self {
            folder: folder.to_owned(),
            rounds: String::new(),
            clients: String::new(),
            evaluations: String::new(),
            log: log.with_context(|| format!("run folder `{}`", folder.display()))?,
            checkpoint: None,
            sessions: Vec::new(),
            renewals: Renewals::new(setup)?,
        })
    }

    /// Where the run goes on; once.
    pub(crate) fn take_checkpoint(&mut self) -> Option<Checkpoint> {
        self.checkpoint.take()
    }

    pub(crate) fn save(&self, checkpoint: &Checkpoint) -> Result<()> {
        checkpoint.save(&self.folder.join(STATE))
    }

    /// Where tasks and answers of the present round lie.
    pub(crate) fn exchange(&self) -> PathBuf {
        self.folder.join(EXCHANGE)
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

    /// Scores of clients' models, instead of those that the round may have had before.
    pub(crate) fn evaluations(&mut self, lines: &[EvaluationLine]) -> Result<()> {
        if let Some(first) = lines.first() {
            // A resumed run evaluates its end again.
            let before = format!("{{\"round\":{},\"model\":\"{}\"", first.round, first.model);
            let kept = self.evaluations.lines();
            let kept = kept.filter(|line| !line.starts_with(&before));
            self.evaluations = kept.map(|line| format!("{line}\n")).collect();
        }
        for line in lines {
            self.evaluations.push_str(&serde_json::to_string(line)?);
            self.evaluations.push('\n');
        }
        self.write("evaluations.jsonl", self.evaluations.as_bytes())
    }

    /// What was asked about each held-out row, and answered.
    pub(crate) fn examples(&self, model: &str, lines: &[Value]) -> Result<()> {
        let folder = self.folder.join("examples");
        fs::create_dir_all(&folder).with_context(|| format!("`{}`", folder.display()))?;
        let mut text = String::new();
        for line in lines {
            text.push_str(&line.to_string());
            text.push('\n');
        }
        let name = model.replace(|c: char| !c.is_alphanumeric() && c != '-', "-");
        write_whole(&folder.join(format!("{name}.jsonl")), text.as_bytes())
    }

    /// What plugins cost in this session, which began after round `after` and ran `rounds`. A file of its own: its
    /// times are those of a machine, not of the experiment.
    pub(crate) fn profile(&self, profile: &Profile, after: u32, rounds: u32) -> Result<()> {
        let own = json!({
            "after_round": after,
            "rounds": rounds,
            "seconds": profile.seconds,
            "calls": profile.calls,
        });
        let sessions: Vec<Value> = self.sessions.iter().cloned().chain([own]).collect();
        self.write_json(PROFILE, &json!({ "sessions": sessions }))
    }

    /// Which round's adapter is kept as `best`.
    pub(crate) fn best(&self, round: u32, scores: &Scores) -> Result<()> {
        let own = json!({ "round": round, "scores": scores_json(scores) });
        self.write_json("best.json", &own)
    }

    pub(crate) fn adapter(&self, setup: &Setup, name: &str, params: &Params) -> Result<()> {
        let folder = self.folder.join("adapters").join(name);
        setup
            .experiment
            .adapter
            .save(params, &setup.experiment.model.base, &folder)
    }

    pub(crate) fn log(&mut self, line: &str) -> Result<()> {
        // One write per line: a crash may lose a line, never half of one.
        let whole = format!("{line}\n");
        self.log
            .write_all(whole.as_bytes())
            .context("writing log.txt")
    }

    pub(crate) fn notes(&mut self, mut notes: Vec<Note>) -> Result<BTreeMap<String, f64>> {
        // What calls said side by side lies as threads came by; the rest stays where it is.
        let beside = |a: &Note, b: &Note| a.place.is_some() && b.place.is_some();
        for some in notes.chunk_by_mut(beside) {
            some.sort_by_key(|note| (note.call, note.place));
        }
        let mut reports = BTreeMap::new();
        for note in notes {
            match note.said {
                Said::Log { level, message } => {
                    // A line that follows must not pass for one of the host's.
                    let message = message.replace('\n', "\n  ");
                    self.log(&format!("{level} {}.{}: {message}", note.plugin, note.call))?;
                }
                Said::Report { name, value } => {
                    let name = name.replace('\n', " ");
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
        let row = |row: &Row| json!({ "model": row.name, "scores": scores_json(&row.scores) });
        let rows = rows.iter().map(row);
        self.write_json("scores.json", &Value::from(rows.collect::<Vec<_>>()))
    }

    fn write_json(&self, name: &str, value: &Value) -> Result<()> {
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        self.write(name, text.as_bytes())
    }

    /// Writes down that the algorithm of `setup` is at work from round `number` on. A resumed run begins with it.
    pub(crate) fn renewed(&mut self, number: u32, setup: &Setup) -> Result<()> {
        let before = self.renewals.text()?;
        self.renewals.begin(number, setup)?;
        let now = self.renewals.text()?;
        if now != before {
            self.write(RENEWALS, now.as_bytes())?;
            let algorithm = setup.algorithm.get();
            let plugin = algorithm.plugin();
            self.log(&format!(
                "from round {number} on the algorithm is `{}`, {}",
                plugin.name, plugin.digest
            ))?;
        }
        self.write_json("digests.json", &digests(setup))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write_whole(&self.folder.join(name), bytes)
    }
}

fn experiment_text(setup: &Setup) -> Result<String> {
    toml::to_string_pretty(&setup.experiment).context("writing down the experiment")
}

/// SHA-256 of everything that a run is made of.
fn digests(setup: &Setup) -> Value {
    let plugins = setup.plugins(Plugin::identity);
    let files = setup
        .digests
        .iter()
        .map(|(name, digest)| json!({ "name": name, "sha256": digest }));
    json!({
        "folkmoot": env!("CARGO_PKG_VERSION"),
        "plugins": plugins,
        "files": files.collect::<Vec<_>>(),
    })
}
