//! Diversity of generated texts over the whole set: distinct n-grams, self-repetition, length.
//!
//! Distinct n-grams do not add over examples. What adds is the multiset of their hashes, so every example
//! leaves the 64-bit hashes of its own distinct n-grams, packed into one text for each n (11 bytes a hash),
//! and the sets are united once, in `summarize`. Two different n-grams share a hash with probability 2⁻⁶⁴;
//! among the most that are let in that makes one n-gram too few with probability 10⁻⁶.

mod hashes;

use folkmoot_sdk::statistics::mean;
use folkmoot_sdk::{
    Answers, ErrorOf, Example, Generation, Metric, Observations, Questions, Result, ScoreInfo,
    Scores, export_metric,
};
use schemars::JsonSchema;
use serde::Deserialize;

use hashes::{ngrams, pack, unpack};

/// Diversity of generated texts, read as words between white space: distinct n-grams, repetition between texts,
/// length. Several texts of one example are texts of their own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Diversity {
    /// Tokens to generate.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1, max = 8192))]
    max_tokens: u32,
    /// Texts that end what is generated and are cut off.
    #[serde(default)]
    stop: Vec<String>,
    /// Temperature of the sampling; 0 is the likeliest token each time.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 10.0))]
    temperature: f64,
    /// Draw from the fewest tokens that make up this probability.
    #[serde(default)]
    #[schemars(range(min = 1e-6, max = 1.0))]
    top_p: Option<f64>,
    /// Texts to draw of each example.
    #[serde(default = "samples")]
    #[schemars(range(min = 1, max = 1000))]
    samples: u32,
    /// Share of the n-grams that is compared, picked by hash. 1 is exact; less estimates the number of distinct
    /// ones from those picked and needs that share of the memory. Sets of more than 6 million n-grams need it.
    #[serde(default = "share")]
    #[schemars(range(min = 1e-6, max = 1.0))]
    share: f64,
}
export_metric!(Diversity);

fn max_tokens() -> u32 {
    256
}

fn samples() -> u32 {
    1
}

fn share() -> f64 {
    1.0
}

/// n of the n-grams; the last is for self-repetition alone.
const ORDERS: [usize; 4] = [1, 2, 3, 4];

/// Hashes of one order that `summarize` takes in: some 160 MB of the 256 that a plugin may have.
const MOST: f64 = 6e6;

/// Hashes of one order that one example may leave, so that they pass the boundary in one call.
const MOST_OF_ONE: f64 = 1e6;

fn name(order: usize) -> String {
    format!("{order}-grams")
}

const fn score(
    name: &'static str,
    meaning: &'static str,
    higher_is_better: bool,
    error: ErrorOf,
) -> ScoreInfo {
    ScoreInfo {
        name,
        meaning,
        higher_is_better,
        error,
    }
}

impl Metric for Diversity {
    const REFERENCES: &'static [&'static str] = &[
        "https://arxiv.org/abs/1510.03055",
        "https://arxiv.org/abs/2403.00553",
        "Salkar et al. 2022, Self-Repetition in Abstractive Neural Summarizers",
    ];

    // A resample repeats texts, and what is repeated is not distinct: the bootstrap would measure something else.
    const SCORES: &'static [ScoreInfo] = &[
        score(
            "distinct_1",
            "distinct words / words over all texts, 0 to 1; it falls with the number of texts",
            true,
            ErrorOf::None,
        ),
        score(
            "distinct_2",
            "the same of pairs of words",
            true,
            ErrorOf::None,
        ),
        score(
            "distinct_3",
            "the same of three words in a row",
            true,
            ErrorOf::None,
        ),
        score(
            "self_repetition",
            "mean over texts of ln(1 + how often their distinct 4-grams occur in other texts, each text once)",
            false,
            ErrorOf::None,
        ),
        score(
            "length_words",
            "mean words of a text, which is neither good nor bad",
            true,
            ErrorOf::ClosedForm,
        ),
        score(
            "length_chars",
            "mean Unicode characters of a text, which is neither good nor bad",
            true,
            ErrorOf::ClosedForm,
        ),
    ];

    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
        if so_far.count() == 0 {
            let how = Generation {
                temperature: self.temperature,
                top_p: self.top_p,
                samples: self.samples,
                ..Generation::greedy(self.max_tokens, &self.stop)
            };
            questions.generate(example.prompt()?, &how.to_json());
        }
        Ok(())
    }

    fn observe(&self, _: &Example, answers: &Answers, observations: &Observations) -> Result<()> {
        for text in answers.texts(0) {
            let words: Vec<&str> = split(&text).collect();
            observations.add("words", words.len() as f64, 1.0);
            observations.add("chars", text.chars().count() as f64, 1.0);
            for order in ORDERS {
                let name = name(order);
                let all = (words.len() + 1).saturating_sub(order) as f64;
                if all * self.share > MOST_OF_ONE {
                    return Err(too_many("a text", &name, all, MOST_OF_ONE));
                }
                observations.add(&name, all, 1.0);
                let own = ngrams(&words, order, self.limit());
                observations.label(&name, "", &pack(&own));
            }
        }
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        for order in &ORDERS[..3] {
            let all = observations.total(&name(*order)).0;
            let mut hashes = Vec::with_capacity((all * self.share) as usize);
            for packed in self.packed(observations, *order)? {
                hashes.extend(unpack(&packed));
            }
            hashes.sort_unstable();
            hashes.dedup();
            let distinct = hashes.len() as f64 / self.share;
            let score = match all > 0.0 {
                true => (distinct / all).min(1.0),
                false => 0.0,
            };
            scores.add(&format!("distinct_{order}"), score, true, None);
        }
        scores.add(
            "self_repetition",
            self.self_repetition(observations)?,
            false,
            None,
        );
        for (name, score) in [("words", "length_words"), ("chars", "length_chars")] {
            let lengths = observations.values(name).into_iter();
            let lengths: Vec<f64> = lengths.map(|(length, _)| length).collect();
            if lengths.is_empty() {
                return Err("there is no text".into());
            }
            let (mean, error) = mean(&lengths);
            scores.add(score, mean, true, error);
        }
        Ok(())
    }
}

impl Diversity {
    /// Hashes up to this one are picked.
    fn limit(&self) -> u64 {
        // Saturates at u64::MAX where the share is 1.
        (self.share * 2f64.powi(64)) as u64
    }

    /// The picked hashes of each text, packed.
    fn packed(
        &self,
        observations: &Observations,
        order: usize,
    ) -> Result<impl Iterator<Item = String>> {
        let name = name(order);
        let all = observations.total(&name).0;
        if all * self.share > MOST {
            return Err(too_many("all texts together", &name, all, MOST));
        }
        let texts = observations.labels(&name).into_iter();
        Ok(texts.map(|(_, packed)| packed))
    }

    /// 1/n Σ over texts ln(1 + Σ over its distinct 4-grams (texts that have it - 1)).
    fn self_repetition(&self, observations: &Observations) -> Result<f64> {
        let texts = self.packed(observations, 4)?;
        let texts: Vec<Vec<u64>> = texts.map(|packed| unpack(&packed).collect()).collect();
        let mut all = texts.concat();
        all.sort_unstable();
        let count = |hash: u64| {
            let from = all.partition_point(|own| *own < hash);
            all[from..].partition_point(|own| *own == hash)
        };
        let repetition = texts.iter().map(|own| {
            let others: usize = own.iter().map(|hash| count(*hash) - 1).sum();
            (others as f64 / self.share).ln_1p()
        });
        Ok(repetition.sum::<f64>() / texts.len() as f64)
    }
}

fn too_many(of: &str, name: &str, all: f64, most: f64) -> String {
    let share = (most / all * 1000.0).floor() / 1000.0;
    format!(
        "{of}: there are {all} {name}, more than {most} to compare; set `share` to {share} or less"
    )
}

/// Words as Python's `str.split` has them, whose white space includes the information separators.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let is_space = |c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c);
    text.split(is_space).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests;
