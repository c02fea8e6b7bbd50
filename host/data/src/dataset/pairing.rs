//! Preference pairs from texts that people scored.

use anyhow::{Context, Result, ensure};
use folkmoot_params::Seed;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Dataset, Example, Meaning, Shape};
use crate::mapping::Mapping;
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
    /// The pairs of `table` with `columns` made, group by group.
    pub fn of(&self, table: Table, columns: &Mapping, seed: Seed) -> Result<Table> {
        ensure!(
            self.chosen > self.rejected,
            "pairs: the least preferred score {} is not above the greatest rejected one {}",
            self.chosen,
            self.rejected
        );
        let meaning = Meaning {
            columns: columns.clone().then(&Mapping::copy("text", &self.text)),
            shape: Some(Shape::Text),
            ..Meaning::default()
        };
        let texts = Dataset::new(table, &meaning).context("pairs")?;
        let scores = texts.numbers(&self.score).context("pairs")?;
        let (group, names) = match &self.within {
            Some(column) => texts.categories(column).context("pairs")?,
            None => (vec![0; texts.len()], vec![String::new()]),
        };
        let side = |side: usize, row: usize| match side {
            0 => scores[row] >= self.chosen,
            _ => scores[row] <= self.rejected,
        };
        let mut pairs = Vec::new();
        for (number, name) in names.iter().enumerate() {
            let seed = seed.derive("pairs", 0).derive(name, 0);
            let own = |which: usize, purpose: &str| -> Result<Vec<Example>> {
                let rows = (0..texts.len()).filter(|&row| group[row] as usize == number);
                let rows = rows.filter(|&row| side(which, row));
                let mut own = texts
                    .of(rows.map(|row| texts.rows()[row]).collect())
                    .examples()?;
                own.shuffle(&mut seed.derive(purpose, 0).rng());
                Ok(own)
            };
            let (chosen, rejected) = (own(0, "chosen")?, own(1, "rejected")?);
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
        Table::of_rows(pairs)
    }

    fn pair(&self, chosen: &Example, rejected: &Example) -> Result<Row> {
        let mut fields = serde_json::Map::new();
        fields.insert("instruction".into(), Value::from(self.prompt.as_str()));
        fields.insert("chosen".into(), Value::from(chosen.text("text")?));
        fields.insert("rejected".into(), Value::from(rejected.text("text")?));
        if let Some(column) = &self.within {
            fields.insert(column.clone(), chosen.fields[column].clone());
        }
        Ok(Row {
            fields,
            place: format!("{} and {}", chosen.place(), rejected.place()),
        })
    }
}
