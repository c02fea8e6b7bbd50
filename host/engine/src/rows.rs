//! The training rows in tokens.

use std::borrow::Cow;

use anyhow::Result;
use folkmoot_data::Tokens;
use folkmoot_train::{Drawn, Example, Pair, Preference, Shard};

/// Rows to learn from, which stay in their file, or pairs of answers.
pub enum Rows {
    Examples(Tokens),
    Pairs(Vec<Pair>, Preference),
}

impl Rows {
    /// Of `tokens`; for preferences two of their rows are a pair.
    pub(crate) fn new(tokens: Tokens, preference: Option<Preference>) -> Result<Self> {
        let Some(preference) = preference else {
            return Ok(Self::Examples(tokens));
        };
        anyhow::ensure!(
            tokens.len().is_multiple_of(2),
            "an answer of a pair is missing"
        );
        let pairs = (0..tokens.len() / 2)
            .map(|pair| Pair::new(example(&tokens, 2 * pair), example(&tokens, 2 * pair + 1)));
        Ok(Self::Pairs(pairs.collect(), preference))
    }

    /// How many.
    pub fn count(&self) -> usize {
        match self {
            Self::Examples(tokens) => tokens.len(),
            Self::Pairs(pairs, _) => pairs.len(),
        }
    }

    /// Tokens of each that go through the model.
    pub fn lengths(&self) -> Vec<u32> {
        match self {
            Self::Examples(tokens) => tokens.lengths().map(|own| own as u32).collect(),
            Self::Pairs(pairs, _) => {
                let both = |pair: &Pair| pair.chosen.ids.len() + pair.rejected.ids.len();
                pairs.iter().map(|pair| both(pair) as u32).collect()
            }
        }
    }
}

fn example(tokens: &Tokens, row: usize) -> Example {
    let (ids, trained) = tokens.row(row);
    Example { ids, trained }
}

/// What one client has.
pub(crate) struct Own<'a> {
    pub(crate) all: &'a Rows,
    pub(crate) rows: &'a [u32],
}

impl Shard for Own<'_> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn draw(&self, rows: &mut dyn Iterator<Item = usize>) -> Drawn<'_> {
        let rows = rows.map(|row| self.rows[row] as usize);
        match self.all {
            Rows::Examples(tokens) => {
                Drawn::Examples(rows.map(|row| Cow::Owned(example(tokens, row))).collect())
            }
            Rows::Pairs(pairs, preference) => {
                Drawn::Pairs(rows.map(|row| &pairs[row]).collect(), *preference)
            }
        }
    }
}
