//! Evaluation on rows of each client, and what it says of all of them together.

use anyhow::{Context, Result};
use folkmoot_data::Dataset;
use folkmoot_params::{Params, Seed};
use folkmoot_plugin::{Metric, Score};
use folkmoot_train::Base;
use rand::seq::index::sample;
use serde::Serialize;
use serde_json::json;

use super::Evaluator;
use super::panel::Scores;
use crate::resolve::Setup;

/// The metric that looks across clients, for scores of which more is better, and for others.
pub struct Across {
    pub(crate) higher: Metric,
    pub(crate) lower: Metric,
}

/// One client's scores on its own rows.
#[derive(Clone, Debug)]
pub(crate) struct OfClient {
    pub(crate) client: u32,
    pub(crate) rows: usize,
    pub(crate) scores: Scores,
}

impl OfClient {
    fn value(&self, name: &str) -> Option<f64> {
        let own = self.scores.iter().find(|own| own.name == name);
        own.map(|own| own.value)
    }
}

/// What one score is like across clients.
#[derive(Clone, Debug)]
pub struct Spread {
    /// The score that clients have.
    pub of: String,
    /// How many have it.
    pub clients: usize,
    /// Mean, worst, variance, …
    pub scores: Scores,
}

/// A line of `evaluations.jsonl`.
#[derive(Serialize)]
pub(crate) struct EvaluationLine {
    pub(crate) round: u32,
    /// `global`, `local` or `alone`.
    pub(crate) model: &'static str,
    /// None: across all clients that were evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<u32>,
    pub(crate) rows: usize,
    pub(crate) scores: serde_json::Map<String, serde_json::Value>,
}

/// Takes `rows` of each shard out of it, drawn with the seed; refused where a client would be left with none.
pub(crate) fn keep_rows(
    shards: &mut [Vec<u32>],
    rows: usize,
    seed: Seed,
) -> Result<Vec<Vec<u32>>, String> {
    let mut kept = Vec::with_capacity(shards.len());
    for (client, shard) in shards.iter_mut().enumerate() {
        if shard.len() <= rows {
            return Err(format!(
                "client {client} has {} rows: if {rows} are kept for evaluation, none is left to train on\n\nhint: a \
                 smaller `rows`, or a larger least size in the partitioner's settings",
                shard.len()
            ));
        }
        let mut rng = seed.derive("client-evaluation", client as u64).rng();
        let mut drawn = sample(&mut rng, shard.len(), rows).into_vec();
        drawn.sort_unstable();
        kept.push(drawn.iter().map(|place| shard[*place]).collect());
        let mut place = 0;
        shard.retain(|_| {
            place += 1;
            drawn.binary_search(&(place - 1)).is_err()
        });
    }
    Ok(kept)
}

/// The rows that each client kept.
pub(crate) fn sets(setup: &Setup) -> Result<Vec<Evaluator<'_>>> {
    let all = setup.training_rows.rows();
    let set = |kept: &Vec<u32>| -> Dataset {
        let mut rows: Vec<u32> = kept.iter().map(|row| all[*row as usize]).collect();
        rows.sort_unstable();
        setup.training_rows.of(rows)
    };
    let kept = setup.kept_rows.iter();
    kept.map(|kept| Evaluator::of(setup, &set(kept))).collect()
}

/// The scores of each client's model on its own rows.
pub(crate) fn score(
    setup: &Setup,
    sets: &[Evaluator],
    base: &Base,
    models: &[(u32, Params)],
) -> Result<Vec<OfClient>> {
    let score = |(client, params): &(u32, Params)| {
        let set = &sets[*client as usize];
        let adapter = Some((&setup.experiment.adapter, params));
        let scores = set.scores(base, adapter);
        let scores = scores.with_context(|| format!("rows of client {client}"))?;
        Ok(OfClient {
            client: *client,
            rows: set.count(),
            scores,
        })
    };
    models.iter().map(score).collect()
}

impl Across {
    /// What each score is like across the `clients` that have it; not every metric gives every score for every
    /// client. `alone`: the same scores of models that clients trained alone.
    pub(crate) fn spreads(&self, clients: &[OfClient], alone: &[OfClient]) -> Result<Vec<Spread>> {
        let mut known: Vec<&Score> = Vec::new();
        for score in clients.iter().flat_map(|own| &own.scores) {
            if !known.iter().any(|own| own.name == score.name) {
                known.push(score);
            }
        }
        let spread = |score: &Score| {
            let metric = match score.higher_is_better {
                true => &self.higher,
                false => &self.lower,
            };
            let have = clients
                .iter()
                .filter_map(|own| Some((own, own.value(&score.name)?)));
            let have: Vec<(&OfClient, f64)> = have.collect();
            let observed = have.iter().map(|(own, value)| {
                let mut example = json!({
                    "prompt": "",
                    "client": own.client,
                    "value": value,
                    "weight": own.rows,
                });
                let alone = alone.iter().find(|alone| alone.client == own.client);
                if let Some(alone) = alone.and_then(|alone| alone.value(&score.name)) {
                    example["local"] = json!(alone);
                }
                metric.observe(&example.to_string(), &[])
            });
            let observed = observed.collect::<Result<_, _>>()?;
            Ok(Spread {
                of: score.name.clone(),
                clients: have.len(),
                scores: metric.summarize(&observed)?,
            })
        };
        known.into_iter().map(spread).collect()
    }
}

/// The lines of the record.
pub(crate) fn lines(
    round: u32,
    model: &'static str,
    clients: &[OfClient],
    spreads: &[Spread],
) -> Vec<EvaluationLine> {
    let values = |scores: &Scores| {
        let pair = |own: &Score| (own.name.clone(), json!(own.value));
        scores.iter().map(pair).collect()
    };
    let mut lines: Vec<EvaluationLine> = clients
        .iter()
        .map(|own| EvaluationLine {
            round,
            model,
            client: Some(own.client),
            rows: own.rows,
            scores: values(&own.scores),
        })
        .collect();
    if !spreads.is_empty() {
        lines.push(EvaluationLine {
            round,
            model,
            client: None,
            rows: clients.iter().map(|own| own.rows).sum(),
            scores: spreads
                .iter()
                .map(|own| {
                    (
                        own.of.clone(),
                        serde_json::Value::Object(values(&own.scores)),
                    )
                })
                .collect(),
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_kept_or_trained_on() {
        let mut shards = vec![vec![4, 7, 9, 11], vec![0, 1, 2]];
        let kept = keep_rows(&mut shards, 2, Seed(3)).unwrap();
        assert_eq!((kept[0].len(), shards[0].len()), (2, 2));
        assert_eq!((kept[1].len(), shards[1].len()), (2, 1));
        let mut all = [kept[0].clone(), shards[0].clone()].concat();
        all.sort_unstable();
        assert_eq!(all, [4, 7, 9, 11]);
        let refused = keep_rows(&mut shards, 2, Seed(3)).unwrap_err();
        assert!(refused.starts_with("client 0 has 2 rows"), "{refused}");
    }
}
