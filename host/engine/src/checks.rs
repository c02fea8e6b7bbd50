//! Rules of an experiment that need no file: each error is shown at the line it is about.

use anyhow::Result;
use folkmoot_data::Shape;
use folkmoot_plugin::{Metric, Partitioner};
use folkmoot_train::Quantize;

use crate::experiment::Document;

/// Whether the number of clients is given exactly where it has to be.
pub(crate) fn check_clients(document: &Document, partitioner: &Partitioner) -> Result<()> {
    let clients = document.experiment.partition.clients;
    if clients.is_none() && !partitioner.clients_from_data() {
        let message = format!(
            "partitioner `{}` needs a number of clients\n\nhint: give `clients`",
            partitioner.plugin().name
        );
        return Err(document.error("partition", &message));
    }
    match clients {
        Some(clients) => check_cohort(document, clients),
        None => Ok(()),
    }
}

/// Rules between the number of clients and what is asked of some of them.
pub(crate) fn check_cohort(document: &Document, clients: u32) -> Result<()> {
    let experiment = &document.experiment;
    let cohort = experiment.training.cohort;
    if cohort > clients {
        let message = format!("cohort of {cohort} is larger than the {clients} clients");
        return Err(document.error("training.cohort", &message));
    }
    let alone = experiment.compare.alone;
    if alone > clients {
        let message = format!("{alone} clients alone are more than the {clients} clients");
        return Err(document.error("compare.alone", &message));
    }
    if let Some(attack) = &experiment.attack
        && let Some(client) = attack.clients().iter().find(|client| **client >= clients)
    {
        let message = format!("client {client} of the {clients} clients cannot attack");
        return Err(document.error("attack.clients", &message));
    }
    Ok(())
}

/// Rules between numbers, each error shown at the line it is about.
pub(crate) fn check_numbers(document: &Document) -> Result<()> {
    let experiment = &document.experiment;
    let training = &experiment.training;
    let no = |key: &str, message: String| Err(document.error(key, &message));
    if experiment.rounds == 0 {
        return no("rounds", "rounds is 0".into());
    }
    if experiment.partition.clients == Some(0) {
        return no("partition.clients", "clients is 0".into());
    }
    if training.cohort == 0 {
        return no("training.cohort", "cohort is 0".into());
    }
    if experiment.adapter.is_full()
        && experiment
            .model
            .quantize
            .is_some_and(|own| own != Quantize::None)
    {
        return no(
            "model.quantize",
            "all weights learn (`adapter.kind = \"full\"`), so none can be quantised".into(),
        );
    }
    let faults = [
        ("training.optimizer", training.optimizer.fault()),
        (
            "preference",
            experiment.preference.and_then(|own| own.fault()),
        ),
    ];
    for (key, fault) in faults {
        if let Some(fault) = fault {
            return no(key, fault);
        }
    }
    if experiment.data.pairs.is_some() && experiment.preference.is_none() {
        return no(
            "data.pairs",
            "pairs are of use with `[preference]` only".into(),
        );
    }
    if experiment
        .data
        .max_prompt_length
        .is_some_and(|own| own == 0 || own >= experiment.data.max_length)
    {
        return no(
            "data.max_prompt_length",
            "max_prompt_length must be above 0 and below max_length".into(),
        );
    }
    let warm = [
        (
            "training.warmup_rounds",
            training.warmup_rounds as usize,
            experiment.rounds as usize,
        ),
        (
            "training.warmup_steps",
            training.warmup_steps,
            training.steps,
        ),
    ];
    for (key, warm, all) in warm {
        if warm >= all.max(1) {
            return no(key, format!("a warm-up of {warm} leaves nothing of {all}"));
        }
    }
    let whole = [
        ("training.steps", training.steps),
        ("training.batch", training.batch),
        ("evaluation.batch", experiment.evaluation.batch),
        ("data.held_out", experiment.data.held_out.rows),
        ("adapter.rank", experiment.adapter.rank),
    ];
    for (key, value) in whole {
        if value == 0 {
            return no(
                key,
                format!("{} is 0", key.rsplit('.').next().unwrap_or(key)),
            );
        }
    }
    if experiment.data.max_length < 2 {
        return no("data.max_length", "max_length is less than 2".into());
    }
    let positive = [
        ("training.lr", training.lr),
        ("training.max_grad_norm", training.max_grad_norm),
        ("adapter.alpha", experiment.adapter.alpha),
    ];
    for (key, value) in positive {
        if !(value.is_finite() && value > 0.0) {
            return no(
                key,
                format!(
                    "{} is {value}, it must be above 0",
                    key.rsplit('.').next().unwrap_or(key)
                ),
            );
        }
    }
    for (key, value) in [
        ("training.lr_floor", training.lr_floor),
        ("training.weight_decay", training.weight_decay),
    ] {
        if !(value.is_finite() && value >= 0.0) {
            return no(
                key,
                format!(
                    "{} is {value}, it must not be below 0",
                    key.rsplit('.').next().unwrap_or(key)
                ),
            );
        }
    }
    if training.lr_floor > training.lr {
        return no(
            "training.lr_floor",
            format!("lr_floor {} is above lr {}", training.lr_floor, training.lr),
        );
    }
    if experiment.checkpoint.every == 0 {
        return no("checkpoint.every", "every is 0".into());
    }
    if let Some(clients) = &experiment.evaluation.clients {
        if clients.rows == 0 {
            return no("evaluation.clients.rows", "rows is 0".into());
        }
        if clients.models.is_empty() {
            return no("evaluation.clients.models", "no model".into());
        }
    }
    if let Some(stop) = &experiment.evaluation.stop {
        if stop.patience == 0 {
            return no("evaluation.stop.patience", "patience is 0".into());
        }
        if !(stop.min_change.is_finite() && stop.min_change >= 0.0) {
            let message = format!("min_change is {}, it must not be below 0", stop.min_change);
            return no("evaluation.stop.min_change", message);
        }
    }
    if experiment.evaluation.metrics.is_empty() {
        return no("evaluation.metrics", "no metric".into());
    }
    Ok(())
}

/// Whether the scores that a run watches are scores of its metrics, and are looked at.
pub(crate) fn check_watched(document: &Document, metrics: &[Metric]) -> Result<()> {
    let evaluation = &document.experiment.evaluation;
    let stop = evaluation.stop.as_ref().map(|stop| &stop.score);
    let watched = [
        ("evaluation.best", evaluation.best.as_ref()),
        ("evaluation.stop.score", stop),
    ];
    for (key, score) in watched {
        let Some(score) = score else { continue };
        if evaluation.every == 0 {
            let message = "without evaluations between rounds there is nothing to choose from\n\nhint: give `every`";
            return Err(document.error(key, message));
        }
        // A metric that does not say its scores may have any; a second one of a name has the metric's before it.
        let plain = score.rsplit('/').next().unwrap_or(score);
        let gives = |metric: &Metric| {
            let plugin = metric.plugin();
            plugin.scores().is_empty() || plugin.gives(plain)
        };
        if !metrics.iter().any(gives) {
            let known = metrics.iter().flat_map(|metric| metric.plugin().scores());
            let known: Vec<String> = known.map(|info| info.name).collect();
            let message = format!(
                "no metric has a score `{score}`; there are: {}",
                known.join(", ")
            );
            return Err(document.error(key, &message));
        }
    }
    Ok(())
}

/// Whether pairs are learnt from where there are pairs.
pub(crate) fn check_shape(document: &Document, shape: Shape) -> Result<()> {
    let message = match (shape == Shape::Preference, document.experiment.preference) {
        (true, None) => "rows are pairs of answers, which are learnt with `[preference]` only",
        (false, Some(_)) => {
            "`[preference]` learns from pairs of answers, and rows have another shape"
        }
        _ => return Ok(()),
    };
    Err(document.error("data.shape", message))
}
