//! `folkmoot plugin check`, `test` and `bench`: a plugin on trial.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use folkmoot_build::unit_tests;
use folkmoot_engine::{Candidate, Finding, Host, Load, Timed, Verdict, find_metric, settings};
use folkmoot_plugin::{Kind, Library, Plugin, PluginError, Sandbox};
use serde_json::Value;

use super::build::{component, language};
use crate::arguments::{BenchArguments, TrialArguments};
use crate::commands::{Done, Failure};
use crate::places::{cache, library, sandbox, threads};
use crate::screen::columns;

pub(crate) fn check(arguments: &TrialArguments) -> Done {
    let prepared = prepare(arguments)?;
    let findings = prepared.with(|candidate| candidate.check(&mut tell))?;
    concluded(&findings)
}

pub(crate) fn test(arguments: &TrialArguments) -> Done {
    let folder = Path::new(&arguments.plugin);
    if folder.is_dir() {
        let language = language(folder).map_err(Failure::Usage)?;
        eprintln!("its own tests");
        let tested = || unit_tests(folder, language, &cache()?.join("build/tests"));
        tested().map_err(Failure::Run)?;
    }
    let prepared = prepare(arguments)?;
    eprintln!("what the host asks of every {}", prepared.kind);
    let findings = prepared.with(|candidate| {
        let mut findings = candidate.check(&mut tell)?;
        findings.extend(candidate.conform(&mut tell)?);
        Ok(findings)
    })?;
    concluded(&findings)
}

pub(crate) fn bench(arguments: &BenchArguments) -> Done {
    // First of all: compiling a component would start a pool of its own.
    threads(arguments.threads).map_err(Failure::Usage)?;
    let prepared = prepare(&arguments.trial)?;
    let load = Load {
        scalars: arguments.scalars,
        clients: arguments.clients,
        rows: arguments.rows,
        examples: arguments.examples_count,
    };
    let counts = [
        ("--rounds", arguments.rounds as usize),
        ("--scalars", load.scalars),
        ("--clients", load.clients as usize),
        ("--rows", load.rows as usize),
        ("--count", load.examples as usize),
    ];
    for (flag, count) in counts {
        if count == 0 {
            return Err(Failure::Usage(anyhow!("{flag} is 0")));
        }
    }
    let yardstick = match prepared.kind {
        Kind::Algorithm => "fedavg",
        Kind::Partitioner => "iid",
        Kind::Metric => "exact-match",
    };
    let timed = || -> Result<()> {
        let sandbox = &prepared.sandbox;
        let own = prepared.load(sandbox)?;
        let name = own.name.clone();
        let load_other = |_: Host| prepared.library.load(sandbox, yardstick, prepared.kind);
        let other = load_other(Host::Reused)?;
        let other = Timed::new(
            &Candidate {
                load: &load_other,
                settings: settings(&[])?,
                examples: None,
            },
            other,
            load,
        )?;
        let load_own = |_: Host| prepared.load(sandbox);
        let own = Timed::new(&prepared.candidate(&load_own), own, load)?;
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        // In turns, and the first pass of each does not count: it maps pages and code.
        for pass in 0..=arguments.rounds {
            let (own, other) = (own.pass()?, other.pass()?);
            if pass > 0 {
                mine.push(own);
                theirs.push(other);
            }
        }
        let mut rows = vec![
            ["call", &name, yardstick, "ratio"]
                .map(str::to_owned)
                .to_vec(),
        ];
        for (index, (call, _)) in mine[0].iter().enumerate() {
            let (own, other) = (median(&mine, index), median(&theirs, index));
            rows.push(vec![
                (*call).to_owned(),
                microseconds(own),
                microseconds(other),
                format!("{:.2}", own / other),
            ]);
        }
        println!("{}", columns(&rows));
        eprintln!(
            "medians of {} passes in turns; each call has a fresh instance{}",
            arguments.rounds,
            match prepared.kind {
                Kind::Algorithm => format!(
                    "; {} updates of {} scalars",
                    load.clients,
                    crate::screen::count(load.scalars)
                ),
                Kind::Partitioner => format!("; {} rows", load.rows),
                Kind::Metric => format!("; {} examples", load.examples),
            }
        );
        Ok(())
    };
    timed().map_err(Failure::Run)
}

fn median(passes: &[Vec<(&'static str, f64)>], index: usize) -> f64 {
    let mut values: Vec<f64> = passes.iter().map(|pass| pass[index].1).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn microseconds(seconds: f64) -> String {
    match seconds < 1e-3 {
        true => format!("{:.0} µs", seconds * 1e6),
        false => format!("{:.2} ms", seconds * 1e3),
    }
}

/// A plugin, ready to be loaded as often as wanted.
struct Prepared {
    library: Library,
    /// A component's path, or a name.
    reference: String,
    kind: Kind,
    sandbox: Sandbox,
    settings: Value,
    examples: Option<Vec<Value>>,
}

fn prepare(arguments: &TrialArguments) -> Result<Prepared, Failure> {
    let read = || -> Result<(Value, Option<Vec<Value>>)> {
        let examples = arguments.examples.as_ref();
        Ok((settings(&arguments.args)?, examples.map(rows).transpose()?))
    };
    let (settings, examples) = read().map_err(Failure::Usage)?;
    let folder = Path::new(&arguments.plugin);
    let reference = match folder.is_dir() {
        true => {
            language(folder).map_err(Failure::Usage)?;
            let path = component(folder, None).map_err(Failure::Run)?;
            path.to_string_lossy().into_owned()
        }
        false => arguments.plugin.clone(),
    };
    // What it logs and reports would drown what is found.
    let sandbox = sandbox(Arc::new(|_| {})).map_err(Failure::Run)?;
    let library = library(&arguments.native.allow_native).map_err(Failure::Usage)?;
    let plugin = load(&library, &sandbox, &reference);
    let plugin = plugin.map_err(|error| Failure::Usage(error.into()))?;
    if examples.is_some() && plugin.kind != Kind::Metric {
        let error = anyhow!("--examples: `{}` is {:#}", plugin.name, plugin.kind);
        return Err(Failure::Usage(error));
    }
    let prepared = Prepared {
        library,
        reference,
        kind: plugin.kind,
        sandbox,
        settings,
        examples,
    };
    // Settings that do not fit are wrong usage.
    let fits = match plugin.kind {
        Kind::Algorithm => folkmoot_plugin::Algorithm::new(plugin, &prepared.settings).map(drop),
        Kind::Partitioner => {
            folkmoot_plugin::Partitioner::new(plugin, &prepared.settings).map(drop)
        }
        Kind::Metric => folkmoot_plugin::Metric::new(plugin, &prepared.settings).map(drop),
    };
    fits.map_err(|error| {
        Failure::Usage(anyhow!(
            "{error}\n\nhint: give settings with --arg KEY=VALUE; `folkmoot plugin info {}` shows them",
            prepared.reference
        ))
    })?;
    Ok(prepared)
}

fn load(library: &Library, sandbox: &Sandbox, reference: &str) -> Result<Plugin, PluginError> {
    match library.load(sandbox, reference, Kind::Algorithm) {
        Err(not_found @ PluginError::NotFound { .. }) => {
            find_metric(library, sandbox, reference).map_err(|_| not_found)
        }
        found => found,
    }
}

impl Prepared {
    fn load(&self, sandbox: &Sandbox) -> Result<Plugin, PluginError> {
        load(&self.library, sandbox, &self.reference)
    }

    fn candidate<'a>(
        &self,
        load: &'a dyn Fn(Host) -> Result<Plugin, PluginError>,
    ) -> Candidate<'a> {
        Candidate {
            load,
            settings: self.settings.clone(),
            examples: self.examples.clone(),
        }
    }

    /// Puts the plugin on trial.
    fn with(
        &self,
        on: impl FnOnce(&Candidate) -> Result<Vec<Finding>, PluginError>,
    ) -> Result<Vec<Finding>, Failure> {
        let load = |host| match host {
            Host::Reused => self.load(&self.sandbox),
            Host::Fresh => {
                let fresh = sandbox(Arc::new(|_| {})).map_err(|error| PluginError::Cache {
                    path: PathBuf::new(),
                    cause: format!("{error:#}"),
                })?;
                self.load(&fresh)
            }
        };
        on(&self.candidate(&load)).map_err(|error| Failure::Run(error.into()))
    }
}

/// Rows of a file of JSON lines.
fn rows(path: &PathBuf) -> Result<Vec<Value>> {
    let at = || format!("--examples {}", path.display());
    let text = std::fs::read_to_string(path).with_context(at)?;
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let rows = lines.map(|(number, line)| -> Result<Value> {
        let value: Value = serde_json::from_str(line)
            .with_context(|| format!("{}:{}", path.display(), number + 1))?;
        if !value.is_object() {
            bail!("{}:{}: no JSON object", path.display(), number + 1);
        }
        Ok(value)
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    ensure!(!rows.is_empty(), "{}: no row", at());
    Ok(rows)
}

fn tell(finding: &Finding) {
    let (word, text) = match &finding.verdict {
        Verdict::Held(text) => ("ok", text),
        Verdict::Refused(text) => ("refused", text),
        Verdict::Broken(text) => ("BROKEN", text),
    };
    let text = text.replace("\n\n", "\n").replace('\n', "\n           ");
    println!("{word:<9}  {}: {text}", finding.case);
}

/// Fails where something is broken, or where nothing but refusals was seen.
fn concluded(findings: &[Finding]) -> Done {
    let count = |wanted: fn(&Verdict) -> bool| {
        let fits = findings.iter().filter(|own| wanted(&own.verdict));
        fits.count()
    };
    let broken = count(|own| matches!(own, Verdict::Broken(_)));
    let refused = count(|own| matches!(own, Verdict::Refused(_)));
    eprintln!(
        "{} held, {refused} refused, {broken} broken",
        findings.len() - broken - refused
    );
    if broken > 0 {
        let first = findings
            .iter()
            .find(|own| matches!(own.verdict, Verdict::Broken(_)));
        let case = first.map_or("", |own| own.case.as_str());
        return Err(Failure::Run(anyhow!(
            "{broken} of {} checks are broken, the first: {case}",
            findings.len()
        )));
    }
    // Contract, summary and settings hold without a call.
    if refused > 0 && findings.len() - refused <= 3 {
        return Err(Failure::Run(anyhow!(
            "the plugin refused everything\n\nhint: give settings that it accepts with --arg KEY=VALUE, or to a metric rows with --examples FILE"
        )));
    }
    Ok(())
}
