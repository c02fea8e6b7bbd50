//! `folkmoot partition`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use folkmoot_data::Catalogue;
use folkmoot_data::duplicates::Settings;
use folkmoot_data::heterogeneity::Sizes;
use folkmoot_engine::{Event, Found, Notes, Seed, Source, Split, duplicates, settings};
use folkmoot_plugin::{Kind, Partitioner, Plugin};
use serde_json::{Value, json};

use super::{Done, Failure};
use crate::arguments::PartitionArguments;
use crate::places::{cache, catalogue, library, sandbox, threads};
use crate::profile;
use crate::screen::{Screen, coloured, columns, count, width};

/// Rows among which duplicates are looked for unasked.
const FEW: usize = 200_000;
/// Clients that have a line in the table.
const LINES: usize = 20;

pub(crate) fn partition(arguments: &PartitionArguments) -> Done {
    let screen = Screen::new();
    let split = split(arguments, &screen).map_err(Failure::Usage)?;
    report(arguments, &split).map_err(Failure::Run)
}

/// Lists may be given without brackets: `sizes=10,20` is `sizes=[10, 20]`.
fn with_lists(plugin: &Plugin, mut given: Value) -> Value {
    for setting in plugin.settings() {
        let text = given[setting.name.as_str()].as_str();
        let Some(text) = text.filter(|_| setting.kind.starts_with("list")) else {
            continue;
        };
        if let Ok(list) = serde_json::from_str(&format!("[{text}]")) {
            given[setting.name.as_str()] = list;
        }
    }
    given
}

/// Refuses outputs that are one another, or the data, or have no folder.
fn check_outputs(arguments: &PartitionArguments) -> Result<()> {
    let svg = svg(arguments);
    let outputs = [
        ("--out", Some(&arguments.out)),
        ("--svg", Some(&svg)),
        ("--statistics", arguments.statistics.as_ref()),
    ];
    let same = |path: &Path| {
        let known = path.canonicalize().ok();
        known.unwrap_or_else(|| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    };
    let mut seen = vec![("--data", same(Path::new(&arguments.data)))];
    for (flag, path) in outputs {
        let Some(path) = path else { continue };
        let own = same(path);
        if let Some((other, _)) = seen.iter().find(|(_, known)| *known == own) {
            bail!("{flag} `{}` is what {other} names", path.display());
        }
        ensure!(!path.is_dir(), "{flag} `{}` is a folder", path.display());
        let folder = own.parent().filter(|folder| !folder.is_dir());
        if let Some(folder) = folder {
            bail!(
                "{flag} `{}`: there is no folder `{}`",
                path.display(),
                folder.display()
            );
        }
        seen.push((flag, own));
    }
    Ok(())
}

fn svg(arguments: &PartitionArguments) -> PathBuf {
    let given = arguments.svg.clone();
    given.unwrap_or_else(|| arguments.out.with_extension("svg"))
}

fn split(arguments: &PartitionArguments, screen: &Screen) -> Result<Split> {
    check_outputs(arguments)?;
    threads(arguments.threads)?;
    let notes = Notes::default();
    let sandbox = sandbox(notes.listener())?;
    let library = library(&arguments.native.allow_native)?;
    let plugin = library.load(&sandbox, &arguments.partitioner, Kind::Partitioner)?;
    if let Some(caution) = plugin.caution() {
        screen.line(&caution);
    }
    let given = with_lists(&plugin, settings(&arguments.partitioner_args)?);
    let partitioner = Partitioner::new(plugin, &given)?;
    ensure!(
        arguments.clients.is_some() || partitioner.clients_from_data(),
        "partitioner `{}` needs a number of clients\n\nhint: give --clients",
        partitioner.plugin().name
    );
    ensure!(
        arguments.clients != Some(0),
        "--clients 0: nobody to deal to"
    );
    let choice = arguments.reading.choice();
    let known = Catalogue::new(catalogue().as_deref())?;
    let mut told = |progress| screen.event(&Event::Fetch(progress));
    let (data, path) = (&arguments.data, Path::new(&arguments.data));
    let source = Source::find(
        data,
        path,
        &choice,
        &known,
        &cache()?.join("files"),
        &mut told,
    )?;
    let source = source.map_err(anyhow::Error::msg)?;
    let split = Split::new(
        source.table,
        &arguments.reading.over(source.meaning)?,
        &partitioner,
        arguments.clients,
        Seed(arguments.seed),
        arguments.label.as_deref(),
    );
    if arguments.profile {
        screen.line(&profile::table(&sandbox.profile()));
    }
    split.with_context(|| format!("data `{data}`"))
}

fn report(arguments: &PartitionArguments, split: &Split) -> Result<()> {
    let write = |path: &Path, text: &str| {
        fs::write(path, text).with_context(|| format!("writing `{}`", path.display()))
    };
    write(
        &arguments.out,
        &json!({ "clients": split.shards }).to_string(),
    )?;
    let title = format!("{} by {}", arguments.data, arguments.partitioner);
    let svg = svg(arguments);
    write(&svg, &split.picture(&title, |picture| picture.svg()))?;
    let few = split.dataset.len() <= FEW;
    let found = match few || arguments.duplicates {
        true => Some(duplicates(
            &split.dataset,
            None,
            &split.shards,
            Settings::default(),
        )?),
        false => None,
    };
    println!("{}\n", table(split));
    print!(
        "{}",
        split.picture(&title, |picture| picture.terminal(width(), coloured()))
    );
    println!("\n{}", summary(split, found.as_ref()));
    if let Some(path) = &arguments.statistics {
        let heterogeneity = match split.heterogeneity() {
            Ok(own) => serde_json::to_value(own)?,
            Err(sizes) => json!({ "sizes": sizes }),
        };
        let own = found
            .as_ref()
            .map(|found| json!({ "share": found.share, "report": found.report }));
        let labels = split.labels.as_ref().map(|labels| {
            json!({ "column": labels.column, "names": labels.names, "counts": labels.counts })
        });
        let all = json!({ "labels": labels, "heterogeneity": heterogeneity, "duplicates": own });
        write(path, &serde_json::to_string_pretty(&all)?)?;
    }
    println!("{}\n{}", arguments.out.display(), svg.display());
    Ok(())
}

/// A line for each of the first clients.
fn table(split: &Split) -> String {
    let mut head = vec!["client".to_owned(), "rows".to_owned()];
    let heterogeneity = split.heterogeneity().ok();
    if heterogeneity.is_some() {
        let own = [
            "labels",
            "entropy",
            "effective",
            "distance",
            "largest label",
        ];
        head.extend(own.map(str::to_owned));
    }
    let mut rows = vec![head];
    for (client, shard) in split.shards.iter().take(LINES).enumerate() {
        let mut row = vec![client.to_string(), count(shard.len())];
        if let (Some(heterogeneity), Some(labels)) = (&heterogeneity, &split.labels) {
            let own = &heterogeneity.clients[client];
            let largest = own.largest.map_or("", |label| labels.names[label].as_str());
            row.extend([
                own.distinct.to_string(),
                format!("{:.3}", own.entropy),
                format!("{:.2}", own.effective),
                own.distance
                    .map_or_else(String::new, |distance| format!("{distance:.3}")),
                format!("{} ({:.0} %)", short(largest), 100.0 * own.share),
            ]);
        }
        rows.push(row);
    }
    let mut text = columns(&rows);
    if split.shards.len() > LINES {
        text.push_str(&format!(
            "\n... and {} more clients",
            split.shards.len() - LINES
        ));
    }
    text
}

fn short(name: &str) -> String {
    const MOST: usize = 24;
    match name.chars().count() > MOST {
        true => name.chars().take(MOST - 1).chain(['…']).collect(),
        false => name.to_owned(),
    }
}

fn summary(split: &Split, found: Option<&Found>) -> String {
    let heterogeneity = split.heterogeneity();
    let sizes: &Sizes = match &heterogeneity {
        Ok(own) => &own.sizes,
        Err(sizes) => sizes,
    };
    let mut lines = vec![format!(
        "{} of {} rows over {} clients: {} to {}, median {}, variation {:.2}, Gini {:.2}",
        count(sizes.rows as usize),
        count(split.dataset.len()),
        count(sizes.clients),
        count(sizes.smallest as usize),
        count(sizes.largest as usize),
        sizes.median,
        sizes.variation,
        sizes.gini
    )];
    if let (Ok(own), Some(labels)) = (&heterogeneity, &split.labels) {
        lines.push(format!(
            "`{}` (Jensen-Shannon distance of clients to the whole, base 2): mean {:.3}, weighted by size {:.3}, largest {:.3}",
            labels.column, own.mean_distance, own.weighted_distance, own.largest_distance
        ));
    }
    lines.push(match found {
        Some(found) => format!(
            "duplicates: {:.1} % of the rows have one; {} within a client, {} of another client's",
            100.0 * found.share,
            count(found.report.within.exact + found.report.within.near),
            count(found.report.across.exact + found.report.across.near)
        ),
        None => format!(
            "duplicates: not looked for among more than {} rows; --duplicates does",
            count(FEW)
        ),
    });
    lines.join("\n")
}
