//! Everything that an experiment names, found and checked before round 1: after this no question of
//! configuration is open.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use folkmoot_data::duplicates::Settings;
use folkmoot_data::{
    Catalogue, Dataset, Kind as EntryKind, Mapping, Meaning, Origin, Plan, Progress, Report, Shape,
    Table, Template, Tokenizer, digest_of, hub_model,
};
use folkmoot_params::Params;
use folkmoot_plugin::{
    Algorithm, Interpreter, Kind, Library, Metric, Partitioner, Plugin, PluginError, Sandbox,
};
use folkmoot_train::{Architecture, Base, Form, Place};

use crate::checks::{check_clients, check_cohort, check_numbers, check_shape, check_watched};
use crate::current::Current;
use crate::evaluate::clients::{Across, keep_rows};
use crate::evaluate::panel::check_helpers;
use crate::evaluate::remote::Remote;
use crate::experiment::{Document, Experiment};
use crate::hygiene::{Hygiene, duplicates};
use crate::interpreter::open_interpreter;
use crate::rows::Rows;
use crate::run::Event;
use crate::source::{Choice, Source, memory};
use crate::view::View;
use crate::workers::Workers;

/// Where things lie on this machine.
pub struct Places {
    /// Fetched models and data.
    pub cache: PathBuf,
    /// Compiled code.
    pub compiled: PathBuf,
    /// What endpoints answered.
    pub answers: PathBuf,
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
    pub template: Template,
    /// The token that ends a response under the template.
    pub end_of_response: u32,
    /// Training rows, tokenised, in the order of the data.
    pub rows: Rows,
    /// Rows that were cut at `max_length`.
    pub cut: usize,
    /// Rows that could not be used.
    pub report: Report,
    pub held_out: Dataset,
    pub training_rows: Dataset,
    /// The rows of each client.
    pub shards: Vec<Vec<u32>>,
    /// The rows that each client keeps for evaluation; of no client where none is asked for.
    pub kept_rows: Vec<Vec<u32>>,
    /// The adapter that round 1 starts from.
    pub initial: Params,
    pub partitioner: Partitioner,
    pub algorithm: Current,
    pub metrics: Vec<Metric>,
    /// What looks across clients, where clients are evaluated.
    pub across: Option<Across>,
    /// Who judges answers, if anyone does.
    pub judge: Option<Remote>,
    /// Where generated programs run, if they may.
    pub programs: Option<Interpreter>,
    pub workers: Workers,
    /// How the base is held, and where.
    pub form: Form,
    /// SHA-256 of the model's and the data's files.
    pub digests: Vec<(String, String)>,
}

impl Setup {
    /// Every plugin that runs.
    pub fn plugins<T>(&self, of: impl Fn(&Plugin) -> T) -> Vec<T> {
        let mut all = vec![
            of(self.partitioner.plugin()),
            of(self.algorithm.get().plugin()),
        ];
        let metrics = self.metrics.iter().map(Metric::plugin);
        let across = self.across.iter().map(|across| across.higher.plugin());
        all.extend(metrics.chain(across).map(of));
        all
    }
}

/// Resolves `document`: plugins, model, data, clients. `on` is told what takes time.
pub fn resolve(document: &Document, places: &Places, on: &mut dyn FnMut(Event)) -> Result<Setup> {
    let experiment = &document.experiment;
    check_numbers(document)?;
    let (partitioner, algorithm, metrics) = load_plugins(document, places)?;
    let plugins = [partitioner.plugin(), algorithm.plugin()].into_iter();
    for plugin in plugins.chain(metrics.iter().map(Metric::plugin)) {
        if let Some(caution) = plugin.caution() {
            on(Event::Note(caution));
        }
    }
    check_watched(document, &metrics)?;
    let (judge, execute) = (&experiment.evaluation.judge, experiment.evaluation.execute);
    for metric in &metrics {
        check_helpers(metric, judge.is_some(), execute)
            .map_err(|error| document.error("evaluation.metrics", &format!("{error:#}")))?;
    }
    let across = match &experiment.evaluation.clients {
        None => None,
        Some(_) => Some(across(places)?),
    };
    check_clients(document, &partitioner)?;
    let catalogue = Catalogue::new(places.catalogue.as_deref())?;
    let judge = match &experiment.evaluation.judge {
        None => None,
        Some(endpoint) => Some(
            Remote::open(endpoint, &places.answers)
                .map_err(|error| document.error("evaluation.judge", &format!("{error:#}")))?,
        ),
    };
    let mut told = |progress| on(Event::Fetch(progress));
    let programs = match experiment.evaluation.execute {
        false => None,
        true => Some(open_interpreter(
            &catalogue,
            &places.cache,
            &places.compiled,
            &mut told,
        )?),
    };
    let base_path = find_base(document, &catalogue, &places.cache, &mut told)?;
    let architecture = Base::peek(&base_path)?;
    let tokenizer = read_tokenizer(&base_path)?;
    let source = find_data(document, &catalogue, &places.cache, &mut told)?;
    let template = find_template(document, &source, &tokenizer)?;
    let end_of_response = template.end_of_response(&tokenizer)?;
    if !template.ends_with_token(&tokenizer)? {
        on(Event::Note(format!(
            "template `{}` ends answers with a text that is no token of this model: it learns to spell it, and \
             answers are generated up to their limit",
            template.name()
        )));
    }
    on(Event::Note("hashing the model and the data".into()));
    let base_digest = digest_of(&base_path, &memory(&places.cache))?;
    let data_digest = source.digest(&places.cache)?;
    source.check_unchanged()?;
    let (table, meaning) = meaning(document, &source)?;
    let data = &experiment.data;
    // What is done to the files before the plan: tokens depend on it too.
    let reading = serde_json::to_string(&(&source.reading, &data.columns, &data.pairs))?;
    let prepared = plan(document, meaning).prepare(
        table,
        &Origin {
            digests: &[data_digest.clone(), reading],
            check_unchanged: &|| source.check_unchanged(),
            cache: &places.cache.join("tokens"),
        },
        &tokenizer,
        &template,
        &mut |note| on(Event::Note(note.to_owned())),
    );
    let prepared = prepared.with_context(|| format!("data `{}`", data.source))?;
    if prepared.report.count() > 0 {
        on(Event::Note(format!("left out: {}", prepared.report)));
    }
    check_shape(document, prepared.training.shape())?;
    let rows = Rows::new(prepared.tokens, experiment.preference)?;
    let view = Arc::new(View::new(prepared.training.clone(), Some(rows.lengths())));
    let clients = experiment.partition.clients;
    let mut shards = partitioner
        .partition(view, clients.unwrap_or(0), experiment.seed)
        .with_context(|| match clients {
            Some(clients) => format!("partitioning {} rows over {clients} clients", rows.count()),
            None => format!("partitioning {} rows", rows.count()),
        })?;
    check_cohort(document, shards.len() as u32)?;
    if let Some(hygiene) = &data.duplicates {
        clean(
            hygiene,
            &prepared.training,
            &prepared.held_out,
            &mut shards,
            on,
        )?;
    }
    let kept_rows = match &experiment.evaluation.clients {
        None => Vec::new(),
        Some(on_clients) => keep_rows(&mut shards, on_clients.rows, experiment.seed)
            .map_err(|error| document.error("evaluation.clients.rows", &error))?,
    };
    let initial = experiment.adapter.init(
        &base_path,
        &architecture,
        experiment.seed.derive("adapter", 0),
    );
    let initial = initial.map_err(|error| document.error("adapter", &format!("{error:#}")))?;
    let digests = vec![
        (experiment.model.base.clone(), base_digest),
        (data.source.clone(), data_digest),
    ];
    Ok(Setup {
        experiment: experiment.clone(),
        base_path,
        architecture,
        tokenizer,
        template,
        end_of_response,
        rows,
        cut: prepared.cut,
        report: prepared.report,
        held_out: prepared.held_out,
        training_rows: prepared.training,
        shards,
        kept_rows,
        initial,
        partitioner,
        algorithm: Current::new(algorithm),
        metrics,
        across,
        judge,
        programs,
        workers: places.workers,
        form: Form {
            place: places.place,
            ..experiment.model.form()
        },
        digests,
    })
}

/// Looks for duplicates, and removes those that the experiment wants removed.
fn clean(
    hygiene: &Hygiene,
    training: &Dataset,
    held_out: &Dataset,
    shards: &mut [Vec<u32>],
    on: &mut dyn FnMut(Event),
) -> Result<()> {
    on(Event::Note("looking for duplicates".into()));
    let settings = Settings {
        shingle: hygiene.shingle,
        threshold: hygiene.threshold,
    };
    let held_out = Some(held_out);
    let found = duplicates(training, held_out, shards, settings)?;
    on(Event::Note(found.told(training, held_out)));
    let removed = found.remove(hygiene, shards);
    if removed > 0 {
        on(Event::Note(format!("{removed} duplicates removed")));
    }
    match shards.iter().position(Vec::is_empty) {
        None => Ok(()),
        Some(client) => bail!(
            "client {client} holds only duplicates\n\nhint: fewer clients, or `report` instead of `remove` in \
             `[data.duplicates]`"
        ),
    }
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
        let found = match Library::is_path(reference)
            && !Path::new(reference).is_file()
            && beside.is_file()
        {
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

/// The metric that looks across clients.
fn across(places: &Places) -> Result<Across> {
    let metric = |higher: bool| -> Result<Metric> {
        let plugin = places
            .library
            .load(&places.sandbox, "across-clients", Kind::Metric)?;
        let settings = serde_json::json!({ "higher_is_better": higher });
        Ok(Metric::new(plugin, &settings)?)
    };
    Ok(Across {
        higher: metric(true)?,
        lower: metric(false)?,
    })
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

pub(crate) fn find_data(
    document: &Document,
    catalogue: &Catalogue,
    cache: &Path,
    told: &mut dyn FnMut(Progress),
) -> Result<Source> {
    let data = &document.experiment.data;
    let choice = Choice {
        files: data.files.clone(),
        split: data.split.clone(),
        variant: data.variant.clone(),
    };
    let path = document.relative(&data.source);
    match Source::find(&data.source, &path, &choice, catalogue, cache, told)? {
        Ok(source) => Ok(source),
        Err(unknown) => Err(document.error("data.source", &unknown)),
    }
}

pub(crate) fn find_template(
    document: &Document,
    source: &Source,
    tokenizer: &Tokenizer,
) -> Result<Template> {
    let name = document.experiment.data.template.as_ref();
    let Some(name) = name.or(source.template.as_ref()) else {
        let known: Vec<String> = Template::names().map(|name| format!("`{name}`")).collect();
        let message = format!(
            "no template\n\nhint: give `template`: {}, or a minijinja file",
            known.join(", ")
        );
        return Err(document.error("data", &message));
    };
    let found = Template::find(name, &document.relative(name), tokenizer);
    found.map_err(|error| {
        document.error(
            "data.template",
            &format!("{error:#}").replace("\nhint", "\n\nhint"),
        )
    })
}

/// What the rows mean: what the experiment says over what the catalogue's entry says.
pub(crate) fn meaning(document: &Document, source: &Source) -> Result<(Table, Meaning)> {
    let (data, preference) = (&document.experiment.data, document.experiment.preference);
    let (table, meaning) = (source.table.clone(), source.meaning.clone());
    let columns = meaning.columns.then(&data.columns);
    let named = || format!("data `{}`", data.source);
    let (table, columns) = match &data.pairs {
        Some(pairing) => {
            let pairs = pairing.of(table, &columns, document.experiment.seed);
            (pairs.with_context(named)?, Mapping::default())
        }
        None => (table, columns),
    };
    // Pairs have other columns than the texts they are made from.
    let of_entry = data.pairs.is_none();
    let shape = data.shape.or(meaning.shape.filter(|_| of_entry));
    let shape = match (shape, preference) {
        (None, Some(_)) => Some(Shape::Preference),
        (shape, _) => shape,
    };
    let distinct = match data.distinct.is_empty() && of_entry {
        true => meaning.distinct,
        false => data.distinct.clone(),
    };
    let labels = data.labels.clone().or(meaning.labels.filter(|_| of_entry));
    let meaning = Meaning {
        columns,
        shape,
        labels,
        distinct,
    };
    if let Some(shape) = meaning.shape {
        check_shape(document, shape)?;
    }
    Ok((table, meaning))
}

fn plan(document: &Document, meaning: Meaning) -> Plan {
    let (data, seed) = (&document.experiment.data, document.experiment.seed);
    Plan {
        meaning,
        broken: data.broken,
        held_out: data.held_out.clone(),
        sample: data.sample.clone(),
        max_length: data.max_length,
        max_prompt: data
            .max_prompt_length
            .unwrap_or((data.max_length / 4).max(1)),
        too_long: data.too_long,
        seed,
    }
}
