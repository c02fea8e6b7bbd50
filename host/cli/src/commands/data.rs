//! `folkmoot data`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use folkmoot_data::duplicates::Settings;
use folkmoot_data::{Catalogue, Dataset, Entry, Kind, Mapping, Meaning, OnBroken, Progress, Shape};
use folkmoot_engine::{
    Choice, Document, Event, Hygiene, OnDuplicate, Overrides, Preview, Shown, Source, duplicates,
};
use serde_json::{Value, json};

use super::{Done, Failure};
use crate::arguments::{
    DataArguments, DataCommand, DuplicatesArguments, PreviewArguments, ReadingArguments,
};
use crate::places::{cache, catalogue};
use crate::screen::{Screen, coloured, columns, count};

/// Whose tokenizer shows rows where none is named.
const MODEL: &str = "smollm2-135m-instruct";

pub(crate) fn data(command: &DataCommand) -> Done {
    let screen = Screen::new();
    let mut told = |progress| screen.event(&Event::Fetch(progress));
    let done = match command {
        DataCommand::List => list(),
        DataCommand::Info { name } => info(name),
        DataCommand::Preview(arguments) => preview(arguments, &mut told),
        DataCommand::Check(arguments) => check(arguments, &mut told),
        DataCommand::Duplicates(arguments) => repeated(arguments, &mut told),
    };
    done.map_err(Failure::Usage)
}

fn list() -> Result<()> {
    let catalogue = Catalogue::new(catalogue().as_deref())?;
    let mut rows = vec![
        ["name", "shape", "template", "summary"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for name in catalogue.names(Kind::Data) {
        let entry = catalogue.get(name)?;
        let template = entry.template.clone().unwrap_or_default();
        rows.push(vec![
            name.to_owned(),
            shape(entry),
            template,
            entry.summary.clone(),
        ]);
    }
    println!("{}", columns(&rows));
    Ok(())
}

fn shape(entry: &Entry) -> String {
    entry
        .shape
        .map_or_else(String::new, |shape| shape.to_string())
}

fn info(name: &str) -> Result<()> {
    let catalogue = Catalogue::new(catalogue().as_deref())?;
    let entry = catalogue.get(name)?;
    ensure!(
        entry.kind == Kind::Data,
        "catalogue entry `{name}` is no data set"
    );
    let mut lines = vec![
        ("name", name.to_owned()),
        ("summary", entry.summary.clone()),
        ("licence", entry.licence.clone()),
        ("citation", entry.citation.clone()),
        ("shape", shape(entry)),
        ("template", entry.template.clone().unwrap_or_default()),
    ];
    if let Some(hub) = &entry.hub {
        lines.push(("hub", format!("{} at {}", hub.repo, hub.revision)));
        lines.push(("files", hub.files.join(", ")));
    }
    if let Some(manual) = &entry.manual {
        lines.push(("address", manual.address.clone()));
        lines.push(("files", manual.files.join(", ")));
    }
    if !entry.file.is_empty() {
        lines.push((
            "file",
            format!(
                "{}, {} bytes, sha256 {}",
                entry.file, entry.size, entry.sha256
            ),
        ));
        lines.extend(
            entry
                .sources
                .iter()
                .map(|source| ("source", source.to_string())),
        );
    }
    lines.push((
        "columns",
        entry.columns.targets().collect::<Vec<_>>().join(", "),
    ));
    if !entry.distinct.is_empty() {
        lines.push(("distinct", entry.distinct.join(", ")));
    }
    if let Some(natural) = &entry.natural {
        lines.push((
            "natural",
            format!("{natural} (the column that says whose a row is)"),
        ));
    }
    if let Some(labels) = &entry.labels {
        lines.push((
            "labels",
            format!("{}: {}", labels.column, labels.set.join(", ")),
        ));
    }
    let variants: Vec<&str> = entry.variants.keys().map(String::as_str).collect();
    if !variants.is_empty() {
        lines.push(("variants", variants.join(", ")));
    }
    for (what, value) in lines.into_iter().filter(|(_, value)| !value.is_empty()) {
        println!("{what:<9} {value}");
    }
    Ok(())
}

impl ReadingArguments {
    pub(crate) fn choice(&self) -> Choice {
        Choice {
            files: self.files.clone(),
            split: self.split.clone(),
            variant: self.variant.clone(),
        }
    }

    /// What the arguments say of the rows, over what the data's entry says.
    pub(crate) fn over(&self, mut meaning: Meaning) -> Result<Meaning> {
        let mut text = String::new();
        for column in &self.columns {
            let (name, from) = column
                .split_once('=')
                .with_context(|| format!("--column {column}: not NAME=FROM"))?;
            let from = match from.trim_start().starts_with('{') {
                true => from.to_owned(),
                false => Value::from(from.trim()).to_string(),
            };
            text.push_str(&format!("{} = {from}\n", Value::from(name.trim())));
        }
        let mapping: Mapping = toml::from_str(&text).context("--column")?;
        meaning.columns = meaning.columns.then(&mapping);
        if let Some(shape) = &self.shape {
            let parsed = serde_json::from_value::<Shape>(Value::from(shape.as_str()));
            meaning.shape = Some(parsed.with_context(|| format!("--shape {shape}"))?);
        }
        Ok(meaning)
    }

    fn is_empty(&self) -> bool {
        let Self {
            files,
            split,
            variant,
            columns,
            shape,
        } = self;
        files.is_empty()
            && columns.is_empty()
            && [split, variant, shape].iter().all(|own| own.is_none())
    }
}

impl DataArguments {
    fn open(&self, told: &mut dyn FnMut(Progress)) -> Result<(Dataset, Meaning)> {
        let known = Catalogue::new(catalogue().as_deref())?;
        let (files, path) = (cache()?.join("files"), Path::new(&self.data));
        let source = Source::find(
            &self.data,
            path,
            &self.reading.choice(),
            &known,
            &files,
            told,
        )?;
        let Source { table, meaning, .. } = source.map_err(|unknown| anyhow!(unknown))?;
        let meaning = self.reading.over(meaning)?;
        let at = || format!("data `{}`", self.data);
        Ok((Dataset::new(table, &meaning).with_context(at)?, meaning))
    }
}

fn preview(arguments: &PreviewArguments, told: &mut dyn FnMut(Progress)) -> Result<()> {
    let (known, files) = (catalogue(), cache()?.join("files"));
    let data = &arguments.data;
    let preview = match data.data.ends_with(".toml") {
        true => {
            ensure!(
                data.reading.is_empty()
                    && arguments.model.is_none()
                    && arguments.template.is_none(),
                "an experiment says what its data, its model and its template are: only --row goes with it"
            );
            let document = Document::read(Path::new(&data.data), &Overrides::default())?;
            Preview::of_experiment(&document, known.as_deref(), &files, told)?
        }
        false => {
            let template = arguments.template.as_deref();
            let over = |meaning| data.reading.over(meaning);
            let model = arguments.model.as_deref().unwrap_or(MODEL);
            Preview::of_source(
                (&data.data, &data.reading.choice()),
                &over,
                model,
                template,
                (known.as_deref(), &files),
                told,
            )?
        }
    };
    println!(
        "{} rows of shape {}, template {}",
        count(preview.dataset.len()),
        preview.dataset.shape(),
        preview.template.name()
    );
    for &row in &arguments.rows {
        ensure!(
            row < preview.dataset.len(),
            "--row {row}: there are rows 0 to {}",
            preview.dataset.len().saturating_sub(1)
        );
        println!("\n{}", preview.dataset.place(row));
        for shown in preview.row(row)? {
            show(&shown);
        }
    }
    Ok(())
}

/// What is trained is green on a terminal, and in brackets elsewhere.
fn show(shown: &Shown) {
    let (open, close) = match coloured() {
        true => ("\u{1b}[32m", "\u{1b}[0m"),
        false => ("⟦", "⟧"),
    };
    let (mut text, mut at) = (String::new(), 0);
    for range in &shown.trained {
        text.push_str(&shown.text[at..range.start]);
        text.push_str(&format!("{open}{}{close}", &shown.text[range.clone()]));
        at = range.end;
    }
    text.push_str(&shown.text[at..]);
    let trained = shown.tokens.iter().filter(|(.., trained)| *trained).count();
    println!("--- {} ---\n{text}\n", shown.answer);
    println!("{} tokens, {trained} trained:", shown.tokens.len());
    let tokens = shown
        .tokens
        .iter()
        .map(|(id, piece, trained)| match trained {
            true => format!("{open}{id} {piece}{close}"),
            false => format!("{id} {piece}"),
        });
    println!("{}", tokens.collect::<Vec<_>>().join(" | "));
}

fn check(arguments: &DataArguments, told: &mut dyn FnMut(Progress)) -> Result<()> {
    let (dataset, meaning) = arguments.open(told)?;
    let rows = dataset.len();
    println!(
        "{} rows of shape {}, columns {}",
        count(rows),
        dataset.shape(),
        dataset.columns().join(", ")
    );
    let (sound, report) = dataset.checked(&meaning, OnBroken::Skip)?;
    let repeated = rows - report.count() - sound.len();
    if repeated > 0 {
        println!(
            "{} rows with values of {} that were there before",
            count(repeated),
            meaning.distinct.join(", ")
        );
    }
    match report.count() {
        0 => println!("all of them can be used"),
        _ => bail!("{report}"),
    }
    Ok(())
}

fn repeated(arguments: &DuplicatesArguments, told: &mut dyn FnMut(Progress)) -> Result<()> {
    let (dataset, _) = arguments.data.open(told)?;
    let against = arguments.against.as_ref().map(|data| {
        let other = DataArguments {
            data: data.clone(),
            ..arguments.data.clone()
        };
        Ok::<_, anyhow::Error>(other.open(told)?.0)
    });
    let against = against.transpose()?;
    let mut shards = match &arguments.shards {
        Some(path) => shards(path, dataset.len())?,
        None => vec![(0..dataset.len() as u32).collect()],
    };
    let settings = Settings {
        shingle: arguments.shingle,
        threshold: arguments.threshold,
    };
    let found = duplicates(&dataset, against.as_ref(), &shards, settings)?;
    println!("{}", found.told(&dataset, against.as_ref()));
    println!(
        "{:.1} % of {} rows have a duplicate",
        100.0 * found.share,
        count(dataset.len())
    );
    if let Some(out) = &arguments.out {
        let remove = OnDuplicate::Remove;
        let hygiene = Hygiene {
            within: remove,
            across: remove,
            held_out: remove,
            ..Hygiene::default()
        };
        let removed = found.remove(&hygiene, &mut shards);
        let text = json!({ "clients": shards }).to_string();
        fs::write(out, text).with_context(|| format!("writing `{}`", out.display()))?;
        println!("{} rows removed\n{}", count(removed), out.display());
    }
    Ok(())
}

/// What `folkmoot partition` wrote, for data of `rows` rows.
fn shards(path: &Path, rows: usize) -> Result<Vec<Vec<u32>>> {
    let at = || format!("reading the shards `{}`", path.display());
    let value: Value =
        serde_json::from_slice(&fs::read(path).with_context(at)?).with_context(at)?;
    let shards: Vec<Vec<u32>> =
        serde_json::from_value(value["clients"].clone()).with_context(at)?;
    if let Some(row) = shards.iter().flatten().find(|row| **row as usize >= rows) {
        bail!("shards `{}`: row {row} of {rows}", path.display());
    }
    Ok(shards)
}
