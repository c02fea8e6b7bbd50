//! What the command line changes in an experiment.

use anyhow::{Context, Result, bail, ensure};

/// What the command line changes in an experiment.
#[derive(Clone, Default, Debug)]
pub struct Overrides {
    /// `key.path=value`, the value as TOML or else as text.
    pub set: Vec<String>,
    pub algorithm: Option<String>,
    pub algorithm_args: Vec<String>,
    pub partitioner: Option<String>,
    pub partitioner_args: Vec<String>,
    pub metrics: Vec<String>,
    pub metric_args: Vec<String>,
}

impl Overrides {
    /// The last argument that changes `key` or something in it.
    pub(crate) fn of(&self, key: &str) -> Option<String> {
        let plugged = [
            (
                "algorithm",
                "--algorithm",
                &self.algorithm,
                &self.algorithm_args,
            ),
            (
                "partition",
                "--partitioner",
                &self.partitioner,
                &self.partitioner_args,
            ),
        ];
        for (part, flag, plugin, arguments) in plugged {
            match (key.strip_prefix(part), arguments.last(), plugin) {
                (Some(".settings"), Some(argument), _) => {
                    return Some(format!("{flag}-arg {argument}"));
                }
                (Some(".settings" | ".plugin"), _, Some(plugin)) => {
                    return Some(format!("{flag} {plugin}"));
                }
                _ => {}
            }
        }
        if key == "evaluation.metrics" {
            let argument = self
                .metric_args
                .last()
                .map(|argument| format!("--metric-arg {argument}"));
            let plugin = self
                .metrics
                .last()
                .map(|metric| format!("--metric {metric}"));
            if let Some(argument) = argument.or(plugin) {
                return Some(argument);
            }
        }
        let set = self.set.iter().rev().find(|change| {
            let changed = change.split('=').next().unwrap_or_default().trim();
            changed == key
                || changed
                    .strip_prefix(key)
                    .is_some_and(|rest| rest.starts_with('.'))
        });
        set.map(|change| format!("--set {change}"))
    }

    pub(crate) fn apply(&self, experiment: &mut toml::Table) -> Result<()> {
        for change in &self.set {
            let (key, value) = pair(change, "--set")?;
            set(experiment, &key, value).with_context(|| format!("--set {change}"))?;
        }
        plug(
            experiment,
            "algorithm",
            &self.algorithm,
            &self.algorithm_args,
        )?;
        plug(
            experiment,
            "partition",
            &self.partitioner,
            &self.partitioner_args,
        )?;
        if !self.metrics.is_empty() {
            let metrics = self.metrics.iter().map(|plugin| {
                toml::Value::Table(toml::Table::from_iter([(
                    "plugin".into(),
                    toml::Value::from(plugin.as_str()),
                )]))
            });
            set(
                experiment,
                "evaluation.metrics",
                toml::Value::Array(metrics.collect()),
            )?;
        }
        for change in &self.metric_args {
            let (key, value) = pair(change, "--metric-arg")?;
            let metrics = experiment
                .get_mut("evaluation")
                .and_then(|e| e.get_mut("metrics"));
            let metrics = metrics
                .and_then(toml::Value::as_array_mut)
                .context("no metric to set")?;
            let (name, key) = match key.split_once('.') {
                Some((name, key)) => (Some(name.to_owned()), key.to_owned()),
                None => (None, key),
            };
            let mut chosen = metrics
                .iter_mut()
                .filter_map(toml::Value::as_table_mut)
                .filter(|metric| {
                    name.as_deref().is_none_or(|name| {
                        metric.get("plugin").and_then(toml::Value::as_str) == Some(name)
                    })
                });
            let metric = chosen
                .next()
                .with_context(|| format!("--metric-arg {change}: no such metric"))?;
            ensure!(
                name.is_some() || chosen.next().is_none(),
                "--metric-arg {change}: there are several metrics, write METRIC.{change}"
            );
            set(metric, &format!("settings.{key}"), value)?;
        }
        Ok(())
    }
}

/// Settings from arguments of the form KEY=VALUE.
pub fn settings(arguments: &[String]) -> Result<serde_json::Value> {
    let mut table = toml::Table::new();
    for change in arguments {
        let (key, value) = pair(change, "a plugin's argument")?;
        set(&mut table, &key, value)?;
    }
    serde_json::to_value(table).context("settings")
}

/// Another plugin starts without settings; the same one keeps the file's.
fn plug(
    experiment: &mut toml::Table,
    part: &str,
    plugin: &Option<String>,
    args: &[String],
) -> Result<()> {
    if let Some(plugin) = plugin {
        let table = experiment.get_mut(part).and_then(toml::Value::as_table_mut);
        let table = table.with_context(|| format!("the experiment has no [{part}]"))?;
        let before = table.insert("plugin".into(), toml::Value::from(plugin.as_str()));
        if before.as_ref().and_then(toml::Value::as_str) != Some(plugin) {
            table.remove("settings");
        }
    }
    for change in args {
        let (key, value) = pair(change, "a plugin's argument")?;
        set(experiment, &format!("{part}.settings.{key}"), value)?;
    }
    Ok(())
}

/// `key=value`; the value is TOML where it parses as that, else text.
fn pair(change: &str, flag: &str) -> Result<(String, toml::Value)> {
    let (key, value) = change
        .split_once('=')
        .with_context(|| format!("{flag}: `{change}` is not KEY=VALUE"))?;
    let parsed = toml::from_str::<toml::Table>(&format!("value = {value}"));
    let parsed = parsed.ok().and_then(|mut table| table.remove("value"));
    Ok((
        key.trim().to_owned(),
        parsed.unwrap_or_else(|| toml::Value::from(value)),
    ))
}

fn set(table: &mut toml::Table, key: &str, value: toml::Value) -> Result<()> {
    let (path, last) = key
        .rsplit_once('.')
        .map_or(("", key), |(path, last)| (path, last));
    let mut place = table;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let inner = place
            .entry(part)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let Some(inner) = inner.as_table_mut() else {
            bail!("`{part}` of `{key}` is no table");
        };
        place = inner;
    }
    place.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_toml_or_else_text() {
        let value = |change| pair(change, "--set").unwrap().1;
        assert_eq!(value("a=0.5"), toml::Value::Float(0.5));
        assert_eq!(value("a=[1, 2]").as_array().map(Vec::len), Some(2));
        assert_eq!(value("a=text"), toml::Value::from("text"));
    }
}
