//! The training rows in tokens.

use anyhow::{Context, Result};
use folkmoot_data::{Dataset, Tokenized, Tokenizer};
use folkmoot_train::{Example, Pair, Preference};

use crate::experiment::Experiment;
use crate::workers::Workers;

/// Rows to learn from, or pairs of answers.
pub enum Rows {
    Examples(Vec<Example>),
    Pairs(Vec<Pair>, Preference),
}

impl Rows {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Examples(examples) => examples.len(),
            Self::Pairs(pairs, _) => pairs.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens of each that go through the model.
    pub fn lengths(&self) -> Vec<u32> {
        match self {
            Self::Examples(examples) => examples.iter().map(|own| own.ids.len() as u32).collect(),
            Self::Pairs(pairs, _) => {
                let both = |pair: &Pair| pair.chosen.ids.len() + pair.rejected.ids.len();
                pairs.iter().map(|pair| both(pair) as u32).collect()
            }
        }
    }
}

/// Tokenises `dataset` as the experiment says; gives also how many rows were cut.
pub(crate) fn tokenize(
    dataset: &Dataset,
    experiment: &Experiment,
    tokenizer: &Tokenizer,
    workers: Workers,
) -> Result<(Rows, usize)> {
    const ROWS: usize = 256;
    let data = &experiment.data;
    let (template, max_length) = (data.template, data.max_length);
    let blocks: Vec<_> = dataset.rows.chunks(ROWS).collect();
    let Some(preference) = experiment.preference else {
        let tokenized = workers.map(blocks.len(), |block| {
            let rows = blocks[block].iter().map(|row| {
                let (instruction, response) = (row.text("instruction")?, row.text("response")?);
                let tokenized = template.tokenize(tokenizer, instruction, response, max_length);
                tokenized.with_context(|| row.place.clone())
            });
            rows.collect::<Result<Vec<_>>>()
        })?;
        let tokenized: Vec<Tokenized> = tokenized.into_iter().flatten().collect();
        let truncated = tokenized.iter().filter(|row| row.truncated).count();
        let examples = tokenized.into_iter().map(example);
        return Ok((Rows::Examples(examples.collect()), truncated));
    };
    let max_prompt = data.max_prompt_length.unwrap_or((max_length / 4).max(1));
    let pairs = workers.map(blocks.len(), |block| {
        let rows = blocks[block].iter().map(|row| {
            let instruction = row.text("instruction")?;
            let answer = |column: &str| {
                let tokenized =
                    template.tokenize(tokenizer, instruction, row.text(column)?, usize::MAX);
                tokenized.with_context(|| row.place.clone())
            };
            let (chosen, rejected) = (answer("chosen")?, answer("rejected")?);
            Ok(fit(chosen, rejected, max_length, max_prompt))
        });
        rows.collect::<Result<Vec<_>>>()
    })?;
    let pairs: Vec<(Pair, bool)> = pairs.into_iter().flatten().collect();
    let truncated = pairs.iter().filter(|(_, cut)| *cut).count();
    let pairs = pairs.into_iter().map(|(pair, _)| pair).collect();
    Ok((Rows::Pairs(pairs, preference), truncated))
}

/// TRL's rule (0.7): where prompt and longer answer exceed `max_length`, the prompt keeps its last
/// `max_prompt` tokens; where they still do, answers keep their first `max_length - max_prompt`.
fn fit(
    mut chosen: Tokenized,
    mut rejected: Tokenized,
    max_length: usize,
    max_prompt: usize,
) -> (Pair, bool) {
    let exceeds = |a: &Tokenized, b: &Tokenized| a.ids.len().max(b.ids.len()) > max_length;
    let cut = exceeds(&chosen, &rejected);
    if cut {
        for row in [&mut chosen, &mut rejected] {
            let prompt = row.trained.iter().position(|trained| *trained).unwrap_or(0);
            let over = prompt.saturating_sub(max_prompt);
            row.ids.drain(..over);
            row.trained.drain(..over);
        }
    }
    if exceeds(&chosen, &rejected) {
        for row in [&mut chosen, &mut rejected] {
            let prompt = row.trained.iter().position(|trained| *trained).unwrap_or(0);
            let most = prompt + (max_length - max_prompt);
            row.ids.truncate(most);
            row.trained.truncate(most);
        }
    }
    (Pair::new(example(chosen), example(rejected)), cut)
}

fn example(row: Tokenized) -> Example {
    Example {
        ids: row.ids,
        trained: row.trained,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(prompt: usize, answer: usize) -> Tokenized {
        Tokenized {
            ids: (0..(prompt + answer) as u32).collect(),
            trained: (0..prompt + answer).map(|at| at >= prompt).collect(),
            truncated: false,
        }
    }

    fn sizes(example: &Example) -> (usize, usize) {
        let answer = example.trained.iter().filter(|trained| **trained).count();
        (example.ids.len() - answer, answer)
    }

    #[test]
    fn pairs_are_cut_as_trl_cuts_them() {
        let (pair, cut) = fit(row(20, 40), row(20, 12), 60, 16);
        assert!(!cut && sizes(&pair.chosen) == (20, 40));
        // The prompt keeps its end, in both.
        let (pair, cut) = fit(row(20, 42), row(20, 12), 60, 16);
        assert!(cut && sizes(&pair.chosen) == (16, 42) && sizes(&pair.rejected) == (16, 12));
        assert_eq!(pair.chosen.ids[0], 4);
        // Still too long: the answers are cut.
        let (pair, _) = fit(row(20, 50), row(20, 12), 60, 16);
        assert_eq!(
            (sizes(&pair.chosen), sizes(&pair.rejected)),
            ((16, 44), (16, 12))
        );
    }
}
