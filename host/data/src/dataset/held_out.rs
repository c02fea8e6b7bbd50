//! Choosing the rows that are only for evaluation. It never cuts a group in two.

use anyhow::{Result, bail};
use folkmoot_params::Seed;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;

/// How many rows to hold out, and by which columns.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldOut {
    /// Rows to hold out in all.
    pub rows: usize,
    /// The column whose equal values belong together; without it every row is on its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The column whose categories get `rows / categories` each, what remains going to the first by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Train,
    HeldOut,
    Neither,
}

impl HeldOut {
    pub(super) fn split(&self, dataset: &Dataset, seed: Seed) -> Result<(Dataset, Dataset)> {
        let (classes, names) = match &self.balance {
            Some(column) => dataset.categories(column)?,
            None => (vec![0; dataset.len()], vec!["all".to_owned()]),
        };
        let wanted: Vec<usize> = (0..names.len())
            .map(|i| self.rows / names.len() + usize::from(i < self.rows % names.len()))
            .collect();
        let mut missing = wanted.clone();
        let mut sides = vec![Side::Train; dataset.len()];

        for group in self.groups(dataset, seed)? {
            let taken: Vec<bool> = group
                .iter()
                .map(|&row| {
                    let missing = &mut missing[classes[row] as usize];
                    let take = *missing > 0;
                    *missing -= usize::from(take);
                    take
                })
                .collect();
            if taken.contains(&true) {
                for (&row, taken) in group.iter().zip(taken) {
                    sides[row] = if taken { Side::HeldOut } else { Side::Neither };
                }
            }
        }

        if self.rows > wanted.iter().sum() || missing.iter().any(|&m| m > 0) {
            let had: Vec<String> = (names.iter().enumerate())
                .map(|(i, name)| {
                    let present = classes.iter().filter(|&&class| class as usize == i).count();
                    format!("`{name}` has {present} of {}", wanted[i])
                })
                .collect();
            bail!(
                "holding out {} rows: not enough: {}",
                self.rows,
                had.join(", ")
            );
        }
        let of = |side: Side| {
            let rows = dataset.rows().iter().zip(&sides);
            let own = rows.filter(|(_, own)| **own == side).map(|(row, _)| *row);
            dataset.of(own.collect())
        };
        Ok((of(Side::Train), of(Side::HeldOut)))
    }

    /// Row numbers by group; the groups shuffled, the rows of a group in their order.
    fn groups(&self, dataset: &Dataset, seed: Seed) -> Result<Vec<Vec<usize>>> {
        let mut groups: Vec<Vec<usize>> = match &self.group {
            None => (0..dataset.len()).map(|row| vec![row]).collect(),
            Some(column) => {
                let (of, names) = dataset.categories(column)?;
                // In the order in which they are first seen.
                let mut groups: Vec<Vec<usize>> = Vec::new();
                let mut place = vec![usize::MAX; names.len()];
                for (row, group) in of.into_iter().enumerate() {
                    let place = &mut place[group as usize];
                    if *place == usize::MAX {
                        *place = groups.len();
                        groups.push(Vec::new());
                    }
                    groups[*place].push(row);
                }
                groups
            }
        };
        groups.shuffle(&mut seed.derive("held-out", 0).rng());
        Ok(groups)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use folkmoot_params::Seed;
    use serde_json::json;

    use super::HeldOut;
    use crate::dataset::{Dataset, Meaning};
    use crate::table::{Row, Table};

    fn dataset() -> Dataset {
        let row = |i: usize| {
            let fields = json!({"text": "t", "label": (["a", "b", "c"][i % 3]), "source": i / 7});
            Row {
                fields: fields.as_object().unwrap().clone(),
                place: format!("row {i}"),
            }
        };
        let table = Table::of_rows((0..210).map(row).collect()).unwrap();
        Dataset::new(table, &Meaning::default()).unwrap()
    }

    #[test]
    fn no_group_is_on_both_sides_and_classes_are_balanced() {
        let held_out = HeldOut {
            rows: 32,
            group: Some("source".into()),
            balance: Some("label".into()),
        };
        let split = |seed| {
            let (train, held) = dataset().split(&held_out, Seed(seed)).unwrap();
            (train.rows().to_vec(), held.rows().to_vec())
        };
        assert_eq!(split(1), split(1));
        assert_ne!(split(1).1, split(2).1);
        let (train, held) = dataset().split(&held_out, Seed(1)).unwrap();
        let groups = |d: &Dataset| {
            let sources = d.numbers("source").unwrap().into_iter();
            sources.map(|own| own as u32).collect::<BTreeSet<_>>()
        };
        assert!(groups(&train).is_disjoint(&groups(&held)));
        let (classes, _) = held.categories("label").unwrap();
        assert_eq!(
            [0, 1, 2].map(|c| classes.iter().filter(|&&x| x == c).count()),
            [11, 11, 10]
        );
        assert!(train.len() >= 210 - 7 * 12);
    }

    #[test]
    fn too_few_rows_name_the_class() {
        let held_out = HeldOut {
            rows: 300,
            group: None,
            balance: Some("label".into()),
        };
        let error = dataset().split(&held_out, Seed(1)).unwrap_err().to_string();
        assert!(
            error.ends_with("`a` has 70 of 100, `b` has 70 of 100, `c` has 70 of 100"),
            "{error}"
        );
    }
}
