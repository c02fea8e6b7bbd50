//! `folkmoot score`.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use folkmoot_engine::{
    Outputs, Scores, Workers, check_helpers, find_metric, scores_json, settings,
};
use folkmoot_plugin::{Library, Metric};
use serde_json::Value;

use super::helpers::Helpers;
use super::{Done, Failure};
use crate::arguments::ScoreArguments;
use crate::places::{library, sandbox, threads};
use crate::profile;
use crate::screen::{Screen, columns, count, said};

pub(crate) fn score(arguments: &ScoreArguments) -> Done {
    let screen = Screen::new();
    let asked = || -> Result<_> {
        let workers = Workers::new(threads(arguments.threads)?);
        let library = library(&arguments.native.allow_native)?;
        let metrics = metrics(&library, &arguments.metrics, &arguments.metric_args)?;
        let helpers = Helpers::open(&arguments.helpers, &screen)?;
        for metric in &metrics {
            let judged = helpers.judge().is_some() || metric.plugin().asks("judge");
            check_helpers(metric, judged, helpers.programs().is_some())?;
        }
        let outputs = Outputs::read(&arguments.predictions)?;
        ensure!(
            arguments.out.is_none() || arguments.out != arguments.records,
            "--out and --records are the same file"
        );
        for file in [&arguments.out, &arguments.records].into_iter().flatten() {
            writable(file)?;
        }
        Ok((workers, metrics, outputs, helpers))
    };
    let (workers, metrics, outputs, helpers) = asked().map_err(Failure::Usage)?;
    let scored = outputs.score(
        &metrics,
        helpers.judge(),
        helpers.programs(),
        workers,
        arguments.records.is_some(),
    );
    if let (true, Some(metric)) = (arguments.profile, metrics.first()) {
        screen.line(&profile::table(&metric.plugin().sandbox().profile()));
    }
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
pub(crate) fn metrics(
    library: &Library,
    names: &[String],
    arguments: &[String],
) -> Result<Vec<Metric>> {
    let sandbox = sandbox(said())?;
    let mut used = vec![false; arguments.len()];
    let metrics = names.iter().map(|name| {
        let plugin = find_metric(library, &sandbox, name)?;
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
    let mut metrics = metrics.collect::<Result<Vec<Metric>>>()?;
    // Two scores of one metric are one metric.
    let mut seen: Vec<(String, String)> = Vec::new();
    metrics.retain(|metric| {
        let own = (metric.plugin().digest.clone(), metric.settings().to_owned());
        let new = !seen.contains(&own);
        seen.push(own);
        new
    });
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

/// Refuses a file that cannot be written, before anything is asked; what it holds stays.
pub(crate) fn writable(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|own| !own.as_os_str().is_empty());
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("creating `{}`", folder.display()))?;
    }
    let there = path.exists();
    let opened = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    opened.with_context(|| format!("writing `{}`", path.display()))?;
    if !there {
        std::fs::remove_file(path).with_context(|| format!("writing `{}`", path.display()))?;
    }
    Ok(())
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
