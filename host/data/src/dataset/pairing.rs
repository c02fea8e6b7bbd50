//! Preference pairs from texts that people scored.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use folkmoot_params::Seed;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dataset::Example;
use crate::table::{Row, Table};

/// Pairs of a text with a high score and one with a low score, answers to the same prompt ("controlled
/// generation", Rafailov et al. 2023, section 6). Every text is in one pair at most; within a group, which is
/// with which comes from the seed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairing {
    /// Becomes `instruction`.
    pub prompt: String,
    /// Column of the texts, which become `chosen` and `rejected`.
    pub text: String,
    /// Column of the scores.
    pub score: String,
    /// Least score of a preferred text.
    pub chosen: f64,
    /// Greatest score of a rejected text.
    pub rejected: f64,
    /// Both texts of a pair agree in this column, which stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

impl Pairing {
    /// The pairs of `table`, group by group.
    pub fn of(&self, table: Table, seed: Seed) -> Result<Table> {
        ensure!(
            self.chosen > self.rejected,
            "pairs: the least preferred score {} is not above the greatest rejected one {}",
            self.chosen,
            self.rejected
        );
        for column in [&self.text, &self.score].into_iter().chain(&self.within) {
            table.require(column, "pairs")?;
        }
        let mut groups: BTreeMap<String, [Vec<Example>; 2]> = BTreeMap::new();
        for Row { fields, place } in table.rows {
            let row = Example { fields, place };
            let score = row.number(&self.score)?;
            let side = match () {
                () if score >= self.chosen => 0,
                () if score <= self.rejected => 1,
                () => continue,
            };
            row.text(&self.text)?;
            let group = match &self.within {
                Some(column) => row.category(column)?.into_owned(),
                None => String::new(),
            };
            groups.entry(group).or_default()[side].push(row);
        }
        let mut pairs = Vec::new();
        for (group, [mut chosen, mut rejected]) in groups {
            let seed = seed.derive("pairs", 0).derive(&group, 0);
            chosen.shuffle(&mut seed.derive("chosen", 0).rng());
            rejected.shuffle(&mut seed.derive("rejected", 0).rng());
            for (chosen, rejected) in chosen.iter().zip(&rejected) {
                pairs.push(self.pair(chosen, rejected)?);
            }
        }
        ensure!(
            !pairs.is_empty(),
            "pairs: no text scores {} or more beside one of {} or less",
            self.chosen,
            self.rejected
        );
        let columns = ["instruction", "chosen", "rejected"].map(str::to_owned);
        Ok(Table {
            columns: columns.into_iter().chain(self.within.clone()).collect(),
            rows: pairs,
        })
    }

    fn pair(&self, chosen: &Example, rejected: &Example) -> Result<Row> {
        let mut fields = serde_json::Map::new();
        fields.insert("instruction".into(), Value::from(self.prompt.as_str()));
        fields.insert("chosen".into(), Value::from(chosen.text(&self.text)?));
        fields.insert("rejected".into(), Value::from(rejected.text(&self.text)?));
        if let Some(column) = &self.within {
            fields.insert(column.clone(), chosen.fields[column].clone());
        }
        Ok(Row {
            fields,
            place: format!("{} and {}", chosen.place, rejected.place),
        })
    }
}
