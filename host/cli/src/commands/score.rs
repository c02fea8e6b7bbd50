//! `folkmoot score`.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use folkmoot_engine::{Outputs, Scores, Workers, find_metric, scores_json, settings};
use folkmoot_plugin::{Metric, Note, Said};
use serde_json::Value;

use super::helpers::Helpers;
use super::{Done, Failure};
use crate::arguments::ScoreArguments;
use crate::places::{library, sandbox, threads};
use crate::screen::{Screen, columns, count};

pub(crate) fn score(arguments: &ScoreArguments) -> Done {
    let screen = Screen::new();
    let asked = || -> Result<_> {
        let workers = Workers::new(threads(arguments.threads)?);
        let metrics = metrics(&arguments.metrics, &arguments.metric_args)?;
        let outputs = Outputs::read(&arguments.predictions)?;
        Ok((
            workers,
            metrics,
            outputs,
            Helpers::open(&arguments.helpers, &screen)?,
        ))
    };
    let (workers, metrics, outputs, helpers) = asked().map_err(Failure::Usage)?;
    let scored = outputs.score(&metrics, helpers.judge(), helpers.programs(), workers);
    let scored = scored.map_err(Failure::Run)?;
    helpers.told(&screen);
    let written = || -> Result<()> {
        if let Some(out) = &arguments.out {
            let text = serde_json::to_string_pretty(&scores_json(&scored.scores))?;
            write(out, &format!("{text}\n"))?;
        }
        if let Some(out) = &arguments.records {
            write(out, &lines(&scored.records)?)?;
        }
        Ok(())
    };
    written().map_err(Failure::Run)?;
    eprintln!(
        "{} rows of {}",
        count(outputs.count()),
        arguments.predictions.display()
    );
    println!("{}", table(&scored.scores));
    Ok(())
}

/// The metrics of these names, with their settings.
pub(crate) fn metrics(names: &[String], arguments: &[String]) -> Result<Vec<Metric>> {
    let listener = Arc::new(|note: Note| match note.said {
        Said::Log { level, message } => eprintln!("{level}: {}: {message}", note.plugin),
        Said::Report { name, value } => eprintln!("{}: {name} = {value}", note.plugin),
    });
    let (library, sandbox) = (library(), sandbox(listener)?);
    let mut used = vec![false; arguments.len()];
    let metrics = names.iter().map(|name| {
        let plugin = find_metric(&library, &sandbox, name)?;
        let mut own = Vec::new();
        for (argument, used) in arguments.iter().zip(&mut used) {
            let key = argument.split('=').next().unwrap_or_default();
            let prefix = [name.as_str(), plugin.name.as_str()]
                .into_iter()
                .find(|name| {
                    key.strip_prefix(name)
                        .is_some_and(|key| key.starts_with('.'))
                });
            match prefix {
                Some(prefix) => own.push(argument[prefix.len() + 1..].to_owned()),
                None if names.len() == 1 => own.push(argument.clone()),
                None => continue,
            }
            *used = true;
        }
        Ok(Metric::new(plugin, &settings(&own)?)?)
    });
    let metrics = metrics.collect::<Result<Vec<_>>>()?;
    let unused = arguments.iter().zip(&used).find(|(_, used)| !**used);
    ensure!(
        unused.is_none(),
        "--metric-arg {}: there are several metrics, write METRIC.KEY=VALUE with the name of one of them",
        unused.map_or("", |(argument, _)| argument)
    );
    Ok(metrics)
}

/// One line per score.
pub(crate) fn table(scores: &Scores) -> String {
    let mut rows = vec![
        ["score", "value", "standard error", "better"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(scores.iter().map(|score| {
        let error = score.standard_error;
        vec![
            score.name.clone(),
            format!("{:.4}", score.value),
            error.map_or_else(|| "-".into(), |error| format!("{error:.4}")),
            match score.higher_is_better {
                true => "higher".into(),
                false => "lower".into(),
            },
        ]
    }));
    columns(&rows)
}

/// One JSON object per line.
pub(crate) fn lines(records: &[Value]) -> Result<String> {
    let mut text = String::new();
    for record in records {
        writeln!(text, "{record}")?;
    }
    Ok(text)
}

pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("creating `{}`", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("writing `{}`", path.display()))
}
