//! From a table to what a run needs of it: rows checked, some held out, the others tokenised. What comes of it is
//! kept by the digest of all that it depends on, so that the next start finds it done.

use std::path::Path;

use anyhow::{Context, Result, bail};
use folkmoot_params::Seed;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::dataset::{
    Broken, Dataset, Example, Fault, HeldOut, Meaning, OnBroken, OnTooLong, Report, Sample, Shape,
};
use crate::digest::hexadecimal;
use crate::table::Table;
use crate::template::{Learnt, Template, Tokenized};
use crate::tokenizer::Tokenizer;
use crate::tokens::Tokens;

/// Changes whenever the same input gives other tokens.
const VERSION: u32 = 2;
/// Rows that are tokenised before they are written.
const BLOCK: usize = 1 << 15;

/// What is done with the rows.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Plan {
    /// What rows mean.
    pub meaning: Meaning,
    /// What becomes of rows that cannot be used.
    pub broken: OnBroken,
    /// Rows for evaluation only.
    pub held_out: HeldOut,
    /// Rows to train on; all where it is none.
    pub sample: Option<Sample>,
    /// Tokens that a row may have.
    pub max_length: usize,
    /// Of pairs that have more: tokens from its end that a prompt keeps.
    pub max_prompt: usize,
    /// What becomes of rows with more.
    pub too_long: OnTooLong,
    /// Where the draws come from.
    pub seed: Seed,
}

/// Where the table is from, and where what comes of it is kept.
pub struct Origin<'a> {
    /// Of the table's files, and how its rows are made of them: all that the tokens depend on and the plan does not
    /// know.
    pub digests: &'a [String],
    /// Refuses files that are not what they were when their digests were computed, lest other tokens be kept under
    /// these.
    pub check_unchanged: &'a dyn Fn() -> Result<()>,
    /// The folder for what comes of it.
    pub cache: &'a Path,
}

/// What came of it.
#[derive(Debug)]
pub struct Prepared {
    /// The rows to train on.
    pub training: Dataset,
    /// The rows for evaluation.
    pub held_out: Dataset,
    /// Those to train on in tokens; of pairs both answers in turn, the preferred first.
    pub tokens: Tokens,
    /// What could not be used.
    pub report: Report,
    /// Rows to train on that were cut.
    pub cut: usize,
    /// Whether it was found done.
    pub cached: bool,
}

/// Kept beside the tokens.
#[derive(Serialize, Deserialize)]
struct Kept {
    training: Vec<u32>,
    held_out: Vec<u32>,
    report: Report,
    cut: usize,
}

impl Plan {
    /// Does it.
    pub fn prepare(
        &self,
        table: Table,
        origin: &Origin,
        tokenizer: &Tokenizer,
        template: &Template,
        note: &mut dyn FnMut(&str),
    ) -> Result<Prepared> {
        let dataset = Dataset::new(table, &self.meaning)?;
        let key = serde_json::to_vec(&(
            VERSION,
            origin.digests,
            self,
            dataset.shape(),
            template.digest(),
            tokenizer.digest()?,
        ));
        let key = hexadecimal(&Sha256::digest(key.context("the key of tokenised rows")?));
        let path = origin.cache.join(format!("{key}.tokens"));
        if let Some(tokens) = Tokens::open(&path)? {
            let kept = tokens.header()?;
            return Ok(Prepared::new(&dataset, kept, tokens, true));
        }
        note("reading the rows");
        let (dataset, mut report) = dataset.checked(&self.meaning, self.broken)?;
        let (training, held_out) = dataset.split(&self.held_out, self.seed)?;
        let training = match &self.sample {
            Some(sample) => training.sample(sample, self.seed)?,
            None => training,
        };
        if training.is_empty() {
            bail!("no row is left to train on");
        }
        note("tokenising");
        let tokens = Tokens::write(&path, |write| {
            let mut kept = Kept {
                training: Vec::with_capacity(training.len()),
                held_out: held_out.rows().to_vec(),
                report: Report::default(),
                cut: 0,
            };
            for block in training.rows().chunks(BLOCK) {
                let block = training.of(block.to_vec());
                let rows = block.map_shaped(|_, example| {
                    Ok(self.row(block.shape(), example, tokenizer, template))
                })?;
                for (row, number) in rows.iter().zip(block.rows()) {
                    match row {
                        Ok((rows, cut)) => {
                            rows.iter().try_for_each(&mut *write)?;
                            kept.training.push(*number);
                            kept.cut += usize::from(*cut);
                        }
                        Err((row, broken)) => report.note(&block.place_of(*row), broken),
                    }
                }
            }
            let stops = |broken: &str| match broken == Fault::TooLong.to_string() {
                true => self.too_long == OnTooLong::Stop,
                false => self.broken == OnBroken::Stop,
            };
            if report.broken.keys().any(|fault| stops(fault)) {
                bail!(
                    "{report}\nhint: `data.broken` and `data.too_long` say what becomes of such rows"
                );
            }
            if kept.training.is_empty() {
                bail!("no row is left to train on: {report}");
            }
            (origin.check_unchanged)()?;
            kept.report = report;
            Ok(kept)
        })?;
        let kept = tokens.header()?;
        Ok(Prepared::new(&dataset, kept, tokens, false))
    }

    /// The tokens of a row, of a pair both answers', and whether something was cut.
    fn row(
        &self,
        shape: Shape,
        example: Result<Example, (usize, Broken)>,
        tokenizer: &Tokenizer,
        template: &Template,
    ) -> Result<(Vec<Tokenized>, bool), (usize, Broken)> {
        let example = example?;
        let wrong = |fault: Fault, cause: String| (example.row(), fault.because(cause));
        let tokenize = |answer: &str, learnt: Learnt| {
            let turns = example.turns(answer);
            let turns = turns.map_err(|error| wrong(Fault::Type, error.to_string()))?;
            let tokenized = template.tokenize(tokenizer, &turns, learnt);
            tokenized.map_err(|error| wrong(Fault::Template, format!("{error:#}")))
        };
        let most = self.max_length;
        let too_long = |length: usize| {
            wrong(
                Fault::TooLong,
                format!("{length} tokens, where {most} are the most"),
            )
        };
        if shape == Shape::Preference {
            let mut pair = [
                tokenize("chosen", Learnt::Last)?,
                tokenize("rejected", Learnt::Last)?,
            ];
            let longest = pair[0].ids.len().max(pair[1].ids.len());
            let cut = longest > most;
            if cut && self.too_long != OnTooLong::Cut {
                return Err(too_long(longest));
            }
            fit(&mut pair, most, self.max_prompt);
            return Ok((pair.into(), cut));
        }
        let learnt = match shape {
            Shape::Chat => Learnt::Every,
            _ => Learnt::Last,
        };
        let mut row = tokenize("response", learnt)?;
        let length = row.ids.len();
        if length > most {
            if self.too_long != OnTooLong::Cut {
                return Err(too_long(length));
            }
            row.cut(most);
            if !row.trained.contains(&true) {
                let cause =
                    format!("no token of the response is among the first {most} of {length}");
                return Err(wrong(Fault::TooLong, cause));
            }
        }
        Ok((vec![row], length > most))
    }
}

impl Prepared {
    fn new(dataset: &Dataset, kept: Kept, tokens: Tokens, cached: bool) -> Self {
        Self {
            training: dataset.of(kept.training),
            held_out: dataset.of(kept.held_out),
            tokens,
            report: kept.report,
            cut: kept.cut,
            cached,
        }
    }
}

/// TRL's rule (0.7): where prompt and longer answer exceed `max_length`, the prompt keeps its last
/// `max_prompt` tokens; where they still do, answers keep their first `max_length - max_prompt`.
fn fit(pair: &mut [Tokenized; 2], max_length: usize, max_prompt: usize) {
    let exceeds = |pair: &[Tokenized; 2]| pair.iter().any(|row| row.ids.len() > max_length);
    let prompt = |row: &Tokenized| row.trained.iter().position(|trained| *trained).unwrap_or(0);
    if exceeds(pair) {
        for row in pair.iter_mut() {
            let over = prompt(row).saturating_sub(max_prompt);
            row.ids.drain(..over);
            row.trained.drain(..over);
        }
    }
    if exceeds(pair) {
        for row in pair.iter_mut() {
            row.cut(prompt(row) + (max_length - max_prompt));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(prompt: usize, answer: usize) -> Tokenized {
        Tokenized {
            ids: (0..(prompt + answer) as u32).collect(),
            trained: (0..prompt + answer).map(|at| at >= prompt).collect(),
        }
    }

    fn fitted(chosen: Tokenized, rejected: Tokenized) -> ([(usize, usize); 2], u32) {
        let mut pair = [chosen, rejected];
        fit(&mut pair, 60, 16);
        let sizes = |row: &Tokenized| {
            let answer = row.trained.iter().filter(|trained| **trained).count();
            (row.ids.len() - answer, answer)
        };
        ([sizes(&pair[0]), sizes(&pair[1])], pair[0].ids[0])
    }

    #[test]
    fn pairs_are_cut_as_trl_cuts_them() {
        assert_eq!(fitted(row(20, 40), row(20, 12)), ([(20, 40), (20, 12)], 0));
        // The prompt keeps its end, in both.
        assert_eq!(fitted(row(20, 42), row(20, 12)), ([(16, 42), (16, 12)], 4));
        // Still too long: the answers are cut.
        assert_eq!(fitted(row(20, 50), row(20, 12)), ([(16, 44), (16, 12)], 4));
    }
}
