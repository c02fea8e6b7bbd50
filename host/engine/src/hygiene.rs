//! Rows that occur more than once: within a client, across clients, in training and in evaluation.

use std::borrow::Cow;

use anyhow::{Result, anyhow};
use folkmoot_data::Dataset;
use folkmoot_data::duplicates::{Clusters, NOBODY, Removal, Report, Settings, Signatures, keep};
use serde::{Deserialize, Serialize};

/// `[data.duplicates]`: what is a duplicate, and what becomes of it. Held-out rows always stay.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hygiene {
    /// Words of a shingle, of which the sets are compared.
    #[serde(default = "shingle")]
    pub shingle: usize,
    /// Least Jaccard index of near duplicates; 1: only texts with the same shingles.
    #[serde(default = "threshold")]
    pub threshold: f64,
    /// Whether rows that are repeated at one client are removed but for the first.
    #[serde(default)]
    pub within: OnDuplicate,
    /// Whether rows that another client has before are removed.
    #[serde(default)]
    pub across: OnDuplicate,
    /// Whether rows to train on that are held out too are removed.
    #[serde(default)]
    pub held_out: OnDuplicate,
}

/// What becomes of a duplicate.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDuplicate {
    /// It is counted and shown.
    #[default]
    Report,
    /// It is removed.
    Remove,
}

fn shingle() -> usize {
    Settings::default().shingle
}

fn threshold() -> f64 {
    Settings::default().threshold
}

/// What was found among clients' rows.
pub struct Found {
    pub report: Report,
    /// Rows to train on that have a duplicate, at the same client or another.
    pub share: f64,
    clusters: Clusters,
    owners: Vec<u32>,
    evaluation: Vec<bool>,
}

/// Looks for duplicates among `training`, whose rows the clients hold, and between it and `held_out`.
pub fn duplicates(
    training: &Dataset,
    held_out: Option<&Dataset>,
    shards: &[Vec<u32>],
    settings: Settings,
) -> Result<Found> {
    let mut texts = training.texts()?;
    let mut owners = vec![NOBODY; texts.len()];
    for (client, shard) in shards.iter().enumerate() {
        shard
            .iter()
            .for_each(|&row| owners[row as usize] = client as u32);
    }
    if let Some(held_out) = held_out {
        texts.extend(held_out.texts()?);
    }
    owners.resize(texts.len(), NOBODY);
    let evaluation: Vec<bool> = (0..texts.len()).map(|row| row >= training.len()).collect();
    let text = |row: usize| Cow::Borrowed(texts[row].as_str());
    let wrong = |cause: String| anyhow!("looking for duplicates: {cause}");
    let signatures = Signatures::of(texts.len(), text, settings).map_err(wrong)?;
    let clusters = signatures.clusters(text);
    let report = Report::of(&clusters, &owners, &evaluation);
    let mut members = vec![0u32; texts.len()];
    let held = || {
        clusters
            .near
            .iter()
            .zip(&owners)
            .filter(|(_, owner)| **owner != NOBODY)
    };
    held().for_each(|(name, _)| members[*name as usize] += 1);
    let repeated = held()
        .filter(|(name, _)| members[**name as usize] > 1)
        .count();
    let share = repeated as f64 / held().count().max(1) as f64;
    Ok(Found {
        report,
        share,
        clusters,
        owners,
        evaluation,
    })
}

impl Found {
    /// Removes from `shards` what `hygiene` says; gives how many rows.
    pub fn remove(&self, hygiene: &Hygiene, shards: &mut [Vec<u32>]) -> usize {
        let removes = |what: OnDuplicate| what == OnDuplicate::Remove;
        let removal = Removal {
            within: removes(hygiene.within),
            across: removes(hygiene.across),
            leaked: removes(hygiene.held_out),
        };
        let stays = keep(&self.clusters.near, &self.owners, &self.evaluation, removal);
        let before: usize = shards.iter().map(Vec::len).sum();
        for shard in shards.iter_mut() {
            shard.retain(|row| stays[*row as usize]);
        }
        before - shards.iter().map(Vec::len).sum::<usize>()
    }

    /// What was found, in words, with the places of a few.
    pub fn told(&self, training: &Dataset, held_out: Option<&Dataset>) -> String {
        let place = |row: u32| match (row as usize).checked_sub(training.len()) {
            None => training.place(row as usize),
            Some(row) => held_out.map_or_else(String::new, |held_out| held_out.place(row)),
        };
        let parts = [
            ("repeated at the same client", &self.report.within),
            ("of another client's", &self.report.across),
            ("held out and in training", &self.report.leaked),
        ];
        let mut text = String::new();
        for (what, found) in parts {
            text.push_str(&format!(
                "{} rows {what}, {} more nearly so",
                found.exact, found.near
            ));
            let pairs = found.exact_pairs.iter().chain(&found.near_pairs).take(3);
            for (a, b) in pairs {
                text.push_str(&format!("\n  {} and {}", place(*a), place(*b)));
            }
            text.push('\n');
        }
        text.trim_end().to_owned()
    }
}
