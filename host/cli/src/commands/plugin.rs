//! `folkmoot plugin …`.

pub(crate) mod build;
pub(crate) mod new;
pub(crate) mod trial;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use folkmoot_engine::find_metric;
use folkmoot_plugin::{Kind, Plugin, PluginError};

use super::{Done, Failure};
use crate::places::{library, sandbox};
use crate::screen::columns;

pub(crate) fn list() -> Done {
    let library = library(&[]).map_err(Failure::Usage)?;
    let sandbox = sandbox(Arc::new(|_| {})).map_err(Failure::Run)?;
    let mut plugins = Vec::new();
    for name in library.names() {
        match library.load(&sandbox, &name, Kind::Algorithm) {
            Ok(plugin) => plugins.push((plugin.kind, plugin, library.place(&name))),
            // One broken file must not hide the others.
            Err(error) => eprintln!("warning: {error}"),
        }
    }
    plugins.sort_by(|a, b| (a.0, &a.1.name).cmp(&(b.0, &b.1.name)));
    let mut rows = vec![
        ["plugin", "kind", "place", "summary"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(plugins.into_iter().map(|(kind, plugin, place)| {
        vec![
            plugin.name,
            kind.to_string(),
            place,
            first_line(&plugin.description.summary),
        ]
    }));
    println!("{}", columns(&rows));
    Ok(())
}

pub(crate) fn info(reference: &str, native: &[PathBuf]) -> Done {
    let sandbox = sandbox(Arc::new(|_| {})).map_err(Failure::Run)?;
    let library = library(native).map_err(Failure::Usage)?;
    let plugin = match library.load(&sandbox, reference, Kind::Algorithm) {
        // Whatever its kind: metrics also by the names of their scores.
        Err(PluginError::NotFound { .. }) => {
            find_metric(&library, &sandbox, reference).map_err(|_| {
                let hint = match library.nearest(reference) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => "`folkmoot plugin list` shows all".into(),
                };
                Failure::Usage(anyhow!("no plugin named `{reference}`\n\nhint: {hint}"))
            })?
        }
        found => found.map_err(|error| Failure::Usage(error.into()))?,
    };
    println!("{}", describe(&plugin));
    Ok(())
}

fn describe(plugin: &Plugin) -> String {
    let description = &plugin.description;
    let mut text = format!(
        "{} ({})\n{}\n",
        plugin.name, plugin.kind, description.summary
    );
    text.push_str(&format!("\nsha256 {}\n", plugin.digest));
    if let Some(caution) = plugin.caution() {
        text.push_str(&format!("caution: {caution}\n"));
    }
    for reference in &description.references {
        text.push_str(&format!("reference {reference}\n"));
    }
    let scores = plugin.scores();
    if !scores.is_empty() {
        let mut rows = vec![
            ["score", "better", "standard error", "meaning"]
                .map(str::to_owned)
                .to_vec(),
        ];
        rows.extend(scores.into_iter().map(|score| {
            let better = if score.higher_is_better {
                "higher"
            } else {
                "lower"
            };
            let error = score.error.replace('_', " ");
            vec![score.name, better.into(), error, score.meaning]
        }));
        text.push_str(&format!("\n{}\n", columns(&rows)));
    }
    let settings = plugin.settings();
    if settings.is_empty() {
        text.push_str("\nno settings");
        return text;
    }
    let mut rows = vec![
        ["setting", "type", "default", "range", "meaning"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(settings.into_iter().map(|setting| {
        let default = match (setting.default, setting.required) {
            (Some(value), _) => value.to_string(),
            (None, true) => "required".into(),
            (None, false) => "none".into(),
        };
        let range = setting.range.unwrap_or_default();
        vec![
            setting.name,
            setting.kind,
            default,
            range,
            setting.help.replace('\n', " "),
        ]
    }));
    text.push_str(&format!("\n{}", columns(&rows)));
    text
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
