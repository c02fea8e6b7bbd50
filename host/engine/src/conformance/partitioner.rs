//! The cases of a partitioner, on a made-up data set.

use std::sync::Arc;

use folkmoot_params::Seed;
use folkmoot_plugin::{Failure, Partitioner, PluginError, View};

use super::transcript::Transcript;
use super::{Candidate, Finding, Host, Tell, Verdict};

/// Rows with a class, a source, a number and a text.
pub(super) struct Rows(pub(super) u32);

// As many as divide the clients of the cases, which some partitioners ask for.
const CLASSES: [&str; 5] = ["joy", "anger", "fear", "love", "sadness"];
const SOURCES: u32 = 12;

impl View for Rows {
    fn examples(&self) -> u32 {
        self.0
    }

    fn columns(&self) -> Vec<String> {
        ["label", "number", "source", "text"]
            .map(str::to_owned)
            .to_vec()
    }

    fn categories(&self, column: &str) -> Result<(Vec<u32>, Vec<String>), String> {
        let rows = 0..self.0;
        match column {
            "label" => Ok((
                rows.map(class).collect(),
                CLASSES.map(str::to_owned).to_vec(),
            )),
            "source" => Ok((
                rows.map(|row| row % SOURCES).collect(),
                (0..SOURCES).map(|own| format!("source-{own}")).collect(),
            )),
            "number" | "text" => Ok((
                rows.clone().collect(),
                rows.map(|row| self.cell(column, row)).collect(),
            )),
            other => Err(missing(other)),
        }
    }

    fn numbers(&self, column: &str) -> Result<Vec<f64>, String> {
        match column {
            "number" => Ok((0..self.0).map(|row| f64::from(row % 97) / 9.7).collect()),
            "label" | "source" | "text" => Err(format!("column `{column}` holds no numbers")),
            other => Err(missing(other)),
        }
    }

    fn lengths(&self) -> Result<Vec<u32>, String> {
        Ok((0..self.0)
            .map(|row| 5 + row.wrapping_mul(31) % 200)
            .collect())
    }

    fn text(&self, example: u32) -> Option<String> {
        (example < self.0).then(|| self.cell("text", example))
    }
}

impl Rows {
    fn cell(&self, column: &str, row: u32) -> String {
        match column {
            "number" => format!("{}", f64::from(row % 97) / 9.7),
            _ => {
                let word = |k: u32| CLASSES[row.wrapping_mul(k) as usize % CLASSES.len()];
                format!("row {row} of {} and {}", word(1), word(3))
            }
        }
    }
}

/// Of every class some rows, of the last three times as many.
fn class(row: u32) -> u32 {
    (row % 7).min(CLASSES.len() as u32 - 1)
}

fn missing(column: &str) -> String {
    format!("column `{column}` is missing; there are: label, number, source, text")
}

const ROWS: u32 = 600;

pub(super) fn transcript(partitioner: &Partitioner) -> Result<Transcript, PluginError> {
    let mut transcript = Transcript::default();
    let (mut has_dealt, mut refusal) = (false, None);
    for clients in usual(partitioner) {
        let dealt = partitioner.partition(Arc::new(Rows(ROWS)), clients, Seed(7));
        let place = format!("`partition` for {clients} clients");
        match dealt {
            Ok(shards) => {
                has_dealt = true;
                transcript.add(place, |own| {
                    for shard in &shards {
                        let rows = shard.iter().flat_map(|row| row.to_le_bytes());
                        own.bytes(&rows.collect::<Vec<u8>>());
                    }
                });
            }
            // An answer, too: sizes may be meant for another number of clients.
            Err(
                error @ PluginError::Call {
                    failure: Failure::Refused { .. },
                    ..
                },
            ) => {
                transcript.add(place, |own| own.bytes(error.to_string().as_bytes()));
                refusal = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    // Refusals alone say nothing about how it deals.
    match refusal {
        Some(refusal) if !has_dealt => Err(refusal),
        _ => Ok(transcript),
    }
}

/// Numbers of clients that any partitioner should serve.
fn usual(partitioner: &Partitioner) -> Vec<u32> {
    match partitioner.clients_from_data() {
        true => vec![0],
        false => vec![5, 10],
    }
}

pub(super) fn conform(candidate: &Candidate, tell: Tell) -> Result<Vec<Finding>, PluginError> {
    let partitioner = Partitioner::new((candidate.load)(Host::Reused)?, &candidate.settings)?;
    let mut findings = Vec::new();
    let mut found = |case: &str, verdict: Verdict| {
        let finding = Finding::new(case, verdict);
        tell(&finding);
        findings.push(finding);
    };
    let deal = |rows: u32, clients: u32, seed: u64| {
        partitioner.partition(Arc::new(Rows(rows)), clients, Seed(seed))
    };
    let mut cases = vec![
        ("ten clients", ROWS, 10),
        ("one client", ROWS, 1),
        ("two rows, two clients", 2, 2),
        ("as many clients as rows", 24, 24),
        ("a hundred thousand rows", 100_000, 20),
    ];
    if partitioner.clients_from_data() {
        cases.push(("clients from the data", ROWS, 0));
    }
    for (case, rows, clients) in cases {
        let seen = deal(rows, clients, 7).map(|shards| {
            let sizes = shards.iter().map(Vec::len);
            let (least, most) = (sizes.clone().min(), sizes.clone().max());
            format!(
                "{} of {rows} rows in shards of {} to {}",
                sizes.sum::<usize>(),
                least.unwrap_or(0),
                most.unwrap_or(0)
            )
        });
        found(case, Verdict::of(seen));
    }
    for clients in usual(&partitioner) {
        let both = deal(ROWS, clients, 7).and_then(|one| Ok((one, deal(ROWS, clients, 8)?)));
        let seen = both.map(|(one, other)| match one == other {
            true => "the same shards: it does not draw".to_owned(),
            false => "other shards".to_owned(),
        });
        let case = format!("another seed, {clients} clients");
        found(&case, Verdict::of(seen));
    }
    Ok(findings)
}
