//! `folkmoot check`: what would run.

use folkmoot_engine::{Estimate, Notes, Setup};

use super::{Done, resolved};
use crate::arguments::ExperimentArguments;
use crate::screen::{Screen, columns, count, size};

pub(crate) fn check(arguments: &ExperimentArguments) -> Done {
    let setup = resolved(arguments, &Notes::default(), &Screen::new())?;
    println!("{}", report(&setup));
    Ok(())
}

fn report(setup: &Setup) -> String {
    let (experiment, a) = (&setup.experiment, &setup.architecture);
    let estimate = Estimate::new(setup);
    let plugin = |plugin: &folkmoot_plugin::Plugin| {
        let native = match plugin.is_sandboxed() {
            true => "",
            false => ", native, without a sandbox",
        };
        format!("{} ({}{native})", plugin.name, &plugin.digest[..12])
    };
    let metrics: Vec<String> = setup
        .metrics
        .iter()
        .map(|metric| plugin(metric.plugin()))
        .collect();
    let adapter = &experiment.adapter;
    let adapter = match adapter.is_full() {
        true => "all weights".to_owned(),
        false => format!(
            "LoRA rank {}, alpha {}, on {}",
            adapter.rank,
            adapter.alpha,
            adapter.projections.join(", ")
        ),
    };
    let lines = [
        (
            "experiment",
            format!("{}, seed {}", experiment.name, experiment.seed),
        ),
        (
            "model",
            format!(
                "{}: {} layers, hidden {}, {} weights",
                experiment.model.base,
                a.layers,
                a.hidden,
                count(a.weights())
            ),
        ),
        (
            "adapter",
            format!("{adapter}: {} trainable", count(estimate.trainable)),
        ),
        (
            "data",
            format!(
                "{}: {} rows to train on ({} cut at {} tokens), {} held out, {} unusable; template {}",
                experiment.data.source,
                count(setup.shards.iter().map(Vec::len).sum()),
                setup.cut,
                experiment.data.max_length,
                count(setup.held_out.len()),
                count(setup.report.count()),
                setup.template.name()
            ),
        ),
        ("partitioner", plugin(setup.partitioner.plugin())),
        ("algorithm", plugin(setup.algorithm.get().plugin())),
        ("metrics", metrics.join(", ")),
        (
            "rounds",
            format!(
                "{} rounds of {} clients, {} steps of {} rows: {} steps, about {} tokens",
                experiment.rounds,
                experiment.training.cohort,
                experiment.training.steps,
                experiment.training.batch,
                count(estimate.steps),
                count(estimate.tokens)
            ),
        ),
        (
            "memory",
            format!(
                "about {}: base {}, activations {}",
                size(estimate.bytes()),
                size(estimate.base_bytes),
                size(estimate.activation_bytes)
            ),
        ),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        text.push_str(&format!("{name:<12} {value}\n"));
    }
    text.push_str(&format!("\n{}", clients(setup)));
    text
}

/// Rows of each client, by label where there is one.
fn clients(setup: &Setup) -> String {
    let experiment = &setup.experiment;
    let column = experiment
        .data
        .labels
        .as_ref()
        .map(|labels| labels.column.clone());
    let column = column.or_else(|| {
        experiment
            .partition
            .settings
            .get("column")?
            .as_str()
            .map(str::to_owned)
    });
    let labels = column.and_then(|column| setup.training_rows.categories(&column).ok());
    // More categories than fit on a line say nothing.
    let labels = labels.filter(|(_, names)| names.len() <= 8);
    let mut head = vec!["client".to_owned(), "rows".to_owned()];
    head.extend(labels.iter().flat_map(|(_, names)| names.clone()));
    let mut rows = vec![head];
    for (client, shard) in setup.shards.iter().enumerate() {
        let mut row = vec![client.to_string(), shard.len().to_string()];
        if let Some((of, names)) = &labels {
            row.extend((0..names.len() as u32).map(|name| {
                shard
                    .iter()
                    .filter(|&&index| of[index as usize] == name)
                    .count()
                    .to_string()
            }));
        }
        rows.push(row);
    }
    columns(&rows)
}
