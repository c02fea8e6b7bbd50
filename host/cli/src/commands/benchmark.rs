//! `folkmoot benchmark`.

use anyhow::{Result, bail};
use folkmoot_data::Catalogue;
use folkmoot_data::benchmark::Benchmarks;
use folkmoot_engine::{Event, Seed};
use serde_json::{Value, json};

use super::eval::{find, title};
use super::{Done, Failure};
use crate::arguments::BenchmarkCommand;
use crate::places::{benchmarks, cache, catalogue};
use crate::screen::{Screen, columns, count};

pub(crate) fn benchmark(command: &BenchmarkCommand) -> Done {
    let screen = Screen::new();
    match command {
        BenchmarkCommand::List => list().map_err(Failure::Usage),
        BenchmarkCommand::Info { name } => info(name, &screen).map_err(Failure::Usage),
    }
}

fn list() -> Result<()> {
    let known = Benchmarks::new(benchmarks().as_deref())?;
    let mut rows = vec![
        ["benchmark", "metrics", "variants", "summary"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for name in known.names() {
        let own = known.find(name, None)?;
        let metrics: Vec<&str> = own
            .metrics
            .iter()
            .map(|metric| metric.plugin.as_str())
            .collect();
        rows.push(vec![
            name.to_owned(),
            metrics.join(", "),
            own.variants.join(", "),
            own.summary,
        ]);
    }
    println!("{}\n", columns(&rows));
    let mut rows = vec![
        ["suite", "benchmarks", "summary"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for name in known.suites() {
        let own = known.suite(name)?;
        rows.push(vec![
            name.to_owned(),
            own.benchmarks.len().to_string(),
            own.summary,
        ]);
    }
    println!("{}", columns(&rows));
    Ok(())
}

fn info(name: &str, screen: &Screen) -> Result<()> {
    let known = Benchmarks::new(benchmarks().as_deref())?;
    let own = find(&known, name)?;
    println!("{}\n{}\n", title(&own), own.summary);
    println!("licence {}", own.licence);
    for citation in &own.citation {
        println!("cite {citation}");
    }
    if !own.variants.is_empty() {
        println!("variants {}", own.variants.join(", "));
    }
    for metric in &own.metrics {
        println!("metric {} {}", metric.plugin, json!(metric.settings));
    }
    let mut told = |progress| screen.event(&Event::Fetch(progress));
    let catalogue = Catalogue::new(catalogue().as_deref())?;
    let rows = own.rows(
        &catalogue,
        &cache()?.join("files"),
        &mut told,
        None,
        Seed(0),
    )?;
    let Some(first) = rows.first() else {
        bail!("benchmark `{name}` has no row");
    };
    println!("{} rows; the first:\n", count(rows.len()));
    match first.get("prompt").and_then(Value::as_str) {
        Some(prompt) => println!("{prompt}"),
        None => println!("{}", serde_json::to_string_pretty(first)?),
    }
    Ok(())
}
