//! Everything that an experiment names, found and checked before round 1: after this no question of
//! configuration is open.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use folkmoot_data::{
    Catalogue, Dataset, Kind as EntryKind, Progress, Shape, Table, Tokenizer, hub_model,
};
use folkmoot_federation::Digest;
use folkmoot_params::Params;
use folkmoot_plugin::{Algorithm, Kind, Library, Metric, Partitioner, PluginError, Sandbox};
use folkmoot_train::{Architecture, Base, Form, Place, Quantize};
use serde_json::Value;

use crate::experiment::{Document, Experiment};
use crate::rows::{Rows, tokenize};
use crate::run::Event;
use crate::view::View;
use crate::workers::Workers;

/// Where things lie on this machine.
pub struct Places {
    /// Fetched models and data.
    pub cache: PathBuf,
    /// The user's catalogue entries, if there are any.
    pub catalogue: Option<PathBuf>,
    pub library: Library,
    pub sandbox: Sandbox,
    pub workers: Workers,
    /// Where training runs.
    pub place: Place,
}

/// A resolved experiment.
pub struct Setup {
    pub experiment: Experiment,
    pub base_path: PathBuf,
    pub architecture: Architecture,
    pub tokenizer: Tokenizer,
    /// The token that ends a response under the template.
    pub end_of_response: u32,
    /// Training rows, tokenised, in the order of the data.
    pub rows: Rows,
    /// Rows that were cut at `max_length`.
    pub truncated: usize,
    pub held_out: Dataset,
    pub training_rows: Dataset,
    /// The rows of each client.
    pub shards: Vec<Vec<u32>>,
    /// The adapter that round 1 starts from.
    pub initial: Params,
    pub partitioner: Partitioner,
    pub algorithm: Algorithm,
    pub metrics: Vec<Metric>,
    pub workers: Workers,
    /// How the base is held, and where.
    pub form: Form,
    /// SHA-256 of the model's and the data's files.
    pub digests: Vec<(String, String)>,
}

/// Resolves `document`: plugins, model, data, clients. `on` is told what takes time.
pub fn resolve(document: &Document, places: &Places, on: &mut dyn FnMut(Event)) -> Result<Setup> {
    let experiment = &document.experiment;
    check_numbers(document)?;
    let (partitioner, algorithm, metrics) = load_plugins(document, places)?;
    let catalogue = Catalogue::new(places.catalogue.as_deref())?;
    let mut told = |progress| on(Event::Fetch(progress));
    let base_path = find_base(document, &catalogue, &places.cache, &mut told)?;
    let architecture = Base::peek(&base_path)?;
    let tokenizer = read_tokenizer(&base_path)?;
    let (table, data_path, entry_labels) =
        read_table(document, &catalogue, &places.cache, &mut told)?;
    let (training_rows, held_out) = split(document, table, entry_labels)?;
    on(Event::Note("tokenising".into()));
    let data = &experiment.data;
    let end_of_response = data.template.end_of_response(&tokenizer)?;
    let (rows, truncated) = tokenize(&training_rows, experiment, &tokenizer, places.workers)?;
    let view = Arc::new(View {
        dataset: training_rows.clone(),
        lengths: rows.lengths(),
    });
    let clients = experiment.partition.clients;
    let shards = partitioner
        .partition(view, clients, experiment.seed)
        .with_context(|| format!("partitioning {} rows over {clients} clients", rows.len()))?;
    let initial = experiment.adapter.init(
        &base_path,
        &architecture,
        experiment.seed.derive("adapter", 0),
    );
    let initial = initial.map_err(|error| document.error("adapter", &format!("{error:#}")))?;
    on(Event::Note("hashing the model and the data".into()));
    let digests = vec![
        (experiment.model.base.clone(), digest_of(&base_path)?),
        (data.source.clone(), digest_of(&data_path)?),
    ];
    Ok(Setup {
        experiment: experiment.clone(),
        base_path,
        architecture,
        tokenizer,
        end_of_response,
        rows,
        truncated,
        held_out,
        training_rows,
        shards,
        initial,
        partitioner,
        algorithm,
        metrics,
        workers: places.workers,
        form: Form {
            place: places.place,
            ..experiment.model.form()
        },
        digests,
    })
}

/// Rules between numbers, each error shown at the line it is about.
fn check_numbers(document: &Document) -> Result<()> {
    let experiment = &document.experiment;
    let (training, clients) = (&experiment.training, experiment.partition.clients);
    let no = |key: &str, message: String| Err(document.error(key, &message));
    if experiment.rounds == 0 {
        return no("rounds", "rounds is 0".into());
    }
    if clients == 0 {
        return no("partition.clients", "clients is 0".into());
    }
    if training.cohort == 0 {
        return no("training.cohort", "cohort is 0".into());
    }
    if training.cohort > clients {
        let message = format!(
            "cohort of {} is larger than the {clients} clients",
            training.cohort
        );
        return no("training.cohort", message);
    }
    if experiment.compare.alone > clients {
        let message = format!(
            "{} clients alone are more than the {clients} clients",
            experiment.compare.alone
        );
        return no("compare.alone", message);
    }
    if experiment.adapter.is_full()
        && experiment
            .model
            .quantize
            .is_some_and(|own| own != Quantize::None)
    {
        return no(
            "model.quantize",
            "all weights learn (`adapter.kind = \"full\"`), so none can be quantised".into(),
        );
    }
    let faults = [
        ("training.optimizer", training.optimizer.fault()),
        (
            "preference",
            experiment.preference.and_then(|own| own.fault()),
        ),
    ];
    for (key, fault) in faults {
        if let Some(fault) = fault {
            return no(key, fault);
        }
    }
    if experiment.data.pairs.is_some() && experiment.preference.is_none() {
        return no(
            "data.pairs",
            "pairs are of use with `[preference]` only".into(),
        );
    }
    if experiment
        .data
        .max_prompt_length
        .is_some_and(|own| own == 0 || own >= experiment.data.max_length)
    {
        return no(
            "data.max_prompt_length",
            "max_prompt_length must be above 0 and below max_length".into(),
        );
    }
    let warm = [
        (
            "training.warmup_rounds",
            training.warmup_rounds as usize,
            experiment.rounds as usize,
        ),
        (
            "training.warmup_steps",
            training.warmup_steps,
            training.steps,
        ),
    ];
    for (key, warm, all) in warm {
        if warm >= all.max(1) {
            return no(key, format!("a warm-up of {warm} leaves nothing of {all}"));
        }
    }
    let whole = [
        ("training.steps", training.steps),
        ("training.batch", training.batch),
        ("evaluation.batch", experiment.evaluation.batch),
        ("data.held_out", experiment.data.held_out.rows),
        ("adapter.rank", experiment.adapter.rank),
    ];
    for (key, value) in whole {
        if value == 0 {
            return no(
                key,
                format!("{} is 0", key.rsplit('.').next().unwrap_or(key)),
            );
        }
    }
    if experiment.data.max_length < 2 {
        return no("data.max_length", "max_length is less than 2".into());
    }
    let positive = [
        ("training.lr", training.lr),
        ("training.max_grad_norm", training.max_grad_norm),
        ("adapter.alpha", experiment.adapter.alpha),
    ];
    for (key, value) in positive {
        if !(value.is_finite() && value > 0.0) {
            return no(
                key,
                format!(
                    "{} is {value}, it must be above 0",
                    key.rsplit('.').next().unwrap_or(key)
                ),
            );
        }
    }
    for (key, value) in [
        ("training.lr_floor", training.lr_floor),
        ("training.weight_decay", training.weight_decay),
    ] {
        if !(value.is_finite() && value >= 0.0) {
            return no(
                key,
                format!(
                    "{} is {value}, it must not be below 0",
                    key.rsplit('.').next().unwrap_or(key)
                ),
            );
        }
    }
    if training.lr_floor > training.lr {
        return no(
            "training.lr_floor",
            format!("lr_floor {} is above lr {}", training.lr_floor, training.lr),
        );
    }
    if let Some(attack) = &experiment.attack
        && let Some(client) = attack.clients().iter().find(|client| **client >= clients)
    {
        let message = format!("client {client} of the {clients} clients cannot attack");
        return no("attack.clients", message);
    }
    if experiment.checkpoint.every == 0 {
        return no("checkpoint.every", "every is 0".into());
    }
    if experiment.evaluation.metrics.is_empty() {
        return no("evaluation.metrics", "no metric".into());
    }
    Ok(())
}

fn load_plugins(
    document: &Document,
    places: &Places,
) -> Result<(Partitioner, Algorithm, Vec<Metric>)> {
    let experiment = &document.experiment;
    let at = |key: &'static str| move |error: PluginError| document.error(key, &error.to_string());
    let load = |reference: &str, kind: Kind| {
        // A path is relative to where the command runs if it is there, else to the experiment's file.
        let beside = document.relative(reference);
        let is_path = reference.contains('/') || reference.ends_with(".wasm");
        let found = match is_path && !Path::new(reference).is_file() && beside.is_file() {
            true => beside.display().to_string(),
            false => reference.to_owned(),
        };
        places.library.load(&places.sandbox, &found, kind)
    };
    let json = |settings: &toml::Table| serde_json::to_value(settings).context("settings");
    let (partition, algorithm) = (&experiment.partition, &experiment.algorithm);
    let partitioner = load(&partition.plugin, Kind::Partitioner).map_err(at("partition.plugin"))?;
    let partitioner = Partitioner::new(partitioner, &json(&partition.settings)?)
        .map_err(at("partition.settings"))?;
    let plugin = load(&algorithm.plugin, Kind::Algorithm).map_err(at("algorithm.plugin"))?;
    let algorithm =
        Algorithm::new(plugin, &json(&algorithm.settings)?).map_err(at("algorithm.settings"))?;
    let metrics = experiment.evaluation.metrics.iter().map(|metric| {
        let plugin = load(&metric.plugin, Kind::Metric).map_err(at("evaluation.metrics"))?;
        Metric::new(plugin, &json(&metric.settings)?).map_err(at("evaluation.metrics"))
    });
    Ok((partitioner, algorithm, metrics.collect::<Result<_>>()?))
}

fn find_base(
    document: &Document,
    catalogue: &Catalogue,
    cache: &Path,
    told: &mut dyn FnMut(Progress),
) -> Result<PathBuf> {
    let base = &document.experiment.model.base;
    let path = document.relative(base);
    match find_model(base, &path, catalogue, cache, told)? {
        Ok(path) => Ok(path),
        Err(unknown) => Err(document.error("model.base", &unknown)),
    }
}

/// Where the model called `name` lies, after fetching it if need be; or why no model is called that. `path` is
/// the place that the name means if it is one.
pub(crate) fn find_model(
    name: &str,
    path: &Path,
    catalogue: &Catalogue,
    cache: &Path,
    told: &mut dyn FnMut(Progress),
) -> Result<Result<PathBuf, String>> {
    if let Some(name) = name.strip_prefix("hub:") {
        let (repo, revision) = name.split_once('@').unwrap_or((name, "main"));
        return hub_model(repo, revision, cache, told).map(Ok);
    }
    if path.exists() {
        return Ok(Ok(path.to_owned()));
    }
    if name.contains(['/', '\\']) || name.ends_with(".gguf") {
        return Ok(Err(format!("model `{}` is not there", path.display())));
    }
    let entry = match catalogue.get(name) {
        Ok(entry) => entry,
        Err(error) => return Ok(Err(format!("{error:#}"))),
    };
    ensure!(
        entry.kind == EntryKind::Model,
        "catalogue entry `{name}` is no model"
    );
    entry.fetch(cache, told).map(Ok)
}

pub(crate) fn read_tokenizer(base: &Path) -> Result<Tokenizer> {
    match base.is_dir() {
        true => Tokenizer::from_json(&base.join("tokenizer.json")),
        false => Tokenizer::from_gguf(base),
    }
}

type EntryLabels = Option<(String, Vec<String>)>;

fn read_table(
    document: &Document,
    catalogue: &Catalogue,
    cache: &Path,
    told: &mut dyn FnMut(Progress),
) -> Result<(Table, PathBuf, EntryLabels)> {
    let source = &document.experiment.data.source;
    let path = document.relative(source);
    if path.is_file() {
        return Ok((Table::read(&path)?, path, None));
    }
    if source.contains(['/', '\\', '.']) {
        return Err(document.error(
            "data.source",
            &format!("data file `{}` is not there", path.display()),
        ));
    }
    let entry = catalogue
        .get(source)
        .map_err(|error| document.error("data.source", &format!("{error:#}")))?;
    ensure!(
        entry.kind == EntryKind::Data,
        "catalogue entry `{source}` is no data set"
    );
    let path = entry.fetch(cache, told)?;
    let table = entry.table(&path)?;
    let labels = entry
        .labels
        .as_ref()
        .map(|labels| (labels.column.clone(), labels.set.clone()));
    Ok((table, path, labels))
}

/// Columns, labels, held-out rows, sample.
fn split(
    document: &Document,
    table: Table,
    entry_labels: EntryLabels,
) -> Result<(Dataset, Dataset)> {
    let data = &document.experiment.data;
    let named = |error: anyhow::Error| error.context(format!("data `{}`", data.source));
    let table = data.columns.apply(table).map_err(named)?;
    let own = data
        .labels
        .as_ref()
        .map(|labels| (labels.column.clone(), labels.set.clone()));
    // Pairs have other columns than the texts they are made from.
    let labels = own.or(entry_labels.filter(|_| data.pairs.is_none()));
    let labels = labels
        .as_ref()
        .map(|(column, set)| (column.as_str(), set.as_slice()));
    let seed = document.experiment.seed;
    let table = match &data.pairs {
        Some(pairing) => pairing.of(table, seed).map_err(named)?,
        None => table,
    };
    let shape = match document.experiment.preference {
        Some(_) => Shape::Preference,
        None => Shape::Instruction,
    };
    let dataset = Dataset::from_table(table, shape, labels).map_err(named)?;
    let (training, held_out) = dataset.split(&data.held_out, seed).map_err(named)?;
    let training = match &data.sample {
        Some(sample) => training.sample(sample, seed).map_err(named)?,
        None => training,
    };
    if training.rows.is_empty() {
        bail!("data `{}`: no row is left to train on", data.source);
    }
    Ok((training, held_out))
}

/// SHA-256 of a file, or of the names and digests of a folder's files.
fn digest_of(path: &Path) -> Result<String> {
    let read =
        |path: &Path| std::fs::read(path).with_context(|| format!("reading `{}`", path.display()));
    if path.is_file() {
        return Ok(Digest::of(&read(path)?).to_string());
    }
    let entries =
        std::fs::read_dir(path).with_context(|| format!("reading `{}`", path.display()))?;
    let mut files = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    files.sort();
    let mut listing = serde_json::Map::new();
    for file in files.iter().filter(|file| file.is_file()) {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        listing.insert(name, Value::from(digest_of(file)?));
    }
    Ok(Digest::of(Value::Object(listing).to_string().as_bytes()).to_string())
}
