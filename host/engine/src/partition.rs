//! A partitioner on any data: which rows each client gets, what that looks like, how unlike clients are.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use folkmoot_data::heterogeneity::{Heterogeneity, Sizes};
use folkmoot_data::{Dataset, Meaning, Shape, Table};
use folkmoot_params::Seed;
use folkmoot_plugin::Partitioner;

use crate::picture::Picture;
use crate::view::View;

/// Values of a column above which it is not taken for labels.
const LABELS: usize = 200;

/// Rows over clients.
pub struct Split {
    pub dataset: Dataset,
    /// The rows of each client: numbers of rows in the data.
    pub shards: Vec<Vec<u32>>,
    pub labels: Option<Labelled>,
}

/// How the labels are spread.
pub struct Labelled {
    pub column: String,
    pub names: Vec<String>,
    /// Rows of each label (inner) of each client (outer).
    pub counts: Vec<Vec<u64>>,
}

impl Split {
    /// Deals the rows of `table` out to `clients` (none: as many as the partitioner says). `label` is the column
    /// that is counted; where it is not given, the one that the partitioner's settings name `column`.
    pub fn new(
        table: Table,
        meaning: &Meaning,
        partitioner: &Partitioner,
        clients: Option<u32>,
        seed: Seed,
        label: Option<&str>,
    ) -> Result<Self> {
        let bare = Meaning {
            shape: Some(Shape::Rows),
            ..meaning.clone()
        };
        ensure!(!table.is_empty(), "there are no rows");
        let dataset = match (Dataset::new(table.clone(), meaning), meaning.shape) {
            (Ok(dataset), _) => dataset,
            (Err(error), Some(_)) => return Err(error),
            // Nobody said what the rows are, and to be dealt out they need not be anything.
            (Err(_), None) => Dataset::new(table, &bare)?,
        };
        let view = View::new(dataset.clone(), None);
        let shards = partitioner.partition(Arc::new(view), clients.unwrap_or(0), seed);
        let shards = shards.with_context(|| match clients {
            Some(clients) => format!("partitioning {} rows over {clients} clients", dataset.len()),
            None => format!("partitioning {} rows", dataset.len()),
        })?;
        let (own, known) = (partitioner.settings(), partitioner.plugin().settings());
        let default = known.iter().find(|setting| setting.name == "column");
        let default = default.and_then(|setting| setting.default.as_ref());
        let column = label.or_else(|| own.get("column").or(default)?.as_str());
        let labels = match column {
            None => None,
            Some(column) => Labelled::of(&dataset, &shards, column, label.is_some())?,
        };
        Ok(Self {
            dataset,
            shards,
            labels,
        })
    }

    /// Rows of each client.
    pub fn sizes(&self) -> Vec<u64> {
        self.shards.iter().map(|shard| shard.len() as u64).collect()
    }

    /// How unlike the clients are; without labels only in size.
    pub fn heterogeneity(&self) -> Result<Heterogeneity, Sizes> {
        match &self.labels {
            Some(labels) => Ok(Heterogeneity::of(&labels.counts)),
            None => Err(Sizes::of(&self.sizes())),
        }
    }

    /// What it looks like.
    pub fn picture<T>(&self, title: &str, draw: impl FnOnce(Picture) -> T) -> T {
        let sizes = self.sizes();
        let labels = self.labels.as_ref();
        draw(Picture {
            title,
            labels: labels.map(|labels| labels.names.as_slice()),
            counts: labels.map_or(&[], |labels| labels.counts.as_slice()),
            sizes: &sizes,
        })
    }
}

impl Labelled {
    /// None: the column has more values than labels have, and nobody asked for it.
    fn of(
        dataset: &Dataset,
        shards: &[Vec<u32>],
        column: &str,
        asked: bool,
    ) -> Result<Option<Self>> {
        let categories = dataset.categories(column);
        let (of, names) = match categories {
            Ok(categories) => categories,
            Err(error) if asked => return Err(error),
            Err(_) => return Ok(None),
        };
        if names.len() > LABELS && !asked {
            return Ok(None);
        }
        let count = |shard: &Vec<u32>| {
            let mut counts = vec![0; names.len()];
            shard
                .iter()
                .for_each(|&row| counts[of[row as usize] as usize] += 1);
            counts
        };
        let counts = shards.iter().map(count).collect();
        // They are shown in lines of their own.
        let shown = |c: char| match c.is_control() {
            true => c.escape_default().to_string(),
            false => c.to_string(),
        };
        let names = names.iter().map(|name| name.chars().map(shown).collect());
        Ok(Some(Self {
            column: column.to_owned(),
            names: names.collect(),
            counts,
        }))
    }
}
