//! A seeded subset of the rows. It never takes a row twice.

use anyhow::{Result, ensure};
use folkmoot_params::Seed;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;

/// How many rows to take, and of which categories.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Rows in all.
    pub rows: usize,
    /// The column whose categories get `rows / categories` each, what remains going to the first by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<String>,
}

impl Sample {
    /// The chosen rows in their original order.
    pub(super) fn of(&self, dataset: &Dataset, seed: Seed) -> Result<Dataset> {
        let (classes, names) = match &self.balance {
            Some(column) => dataset.categories(column)?,
            None => (vec![0; dataset.len()], vec!["all".to_owned()]),
        };
        let mut order: Vec<usize> = (0..dataset.len()).collect();
        order.shuffle(&mut seed.derive("sample", 0).rng());
        let mut chosen = vec![false; order.len()];
        for (class, name) in names.iter().enumerate() {
            let wanted = self.rows / names.len() + usize::from(class < self.rows % names.len());
            let own: Vec<usize> = order
                .iter()
                .copied()
                .filter(|&row| classes[row] as usize == class)
                .collect();
            ensure!(
                own.len() >= wanted,
                "sampling {} rows: `{name}` has {} of {wanted}",
                self.rows,
                own.len()
            );
            own[..wanted].iter().for_each(|&row| chosen[row] = true);
        }
        let rows = dataset.rows().iter().zip(chosen);
        let rows = rows.filter(|(_, chosen)| *chosen).map(|(row, _)| *row);
        Ok(dataset.of(rows.collect()))
    }
}
