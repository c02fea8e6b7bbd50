//! ROUGE (Lin 2004) as rouge-score computes it.

#[cfg(test)]
mod golden;
mod score;

use folkmoot_sdk::{
    Answers, ErrorOf, Example, Generation, Metric, Observations, Questions, Result, ScoreInfo,
    Scores, export_metric, statistics,
};
use schemars::JsonSchema;
use score::Rouge as Score;
use serde::Deserialize;

/// ROUGE of the generated text against one or more references: what both have in common. Of several
/// references that counts for a score which gives an example the highest F-measure.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rouge {
    /// Whether words of more than three letters count as the same if their Porter stem is.
    #[serde(default)]
    use_stemmer: bool,
    /// Tokens to generate.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1, max = 32768))]
    max_tokens: u32,
    /// Texts that end the generated one and are cut off.
    #[serde(default)]
    stop: Vec<String>,
}
export_metric!(Rouge);

fn max_tokens() -> u32 {
    256
}

/// The kinds of ROUGE, in the order that [`kinds`] gives them.
const KINDS: [&str; 4] = ["rouge1", "rouge2", "rougeL", "rougeLsum"];

/// One of the scores: a mean over examples, from 0 to 1, the more the better.
const fn mean(name: &'static str, meaning: &'static str) -> ScoreInfo {
    ScoreInfo {
        name,
        meaning,
        higher_is_better: true,
        error: ErrorOf::ClosedForm,
    }
}

impl Metric for Rouge {
    const REFERENCES: &'static [&'static str] =
        &["Lin 2004, ROUGE: a package for automatic evaluation of summaries"];

    const SCORES: &'static [ScoreInfo] = &[
        mean("rouge1", "mean F-measure of words, 0 to 1"),
        mean("rouge1_precision", "its precision"),
        mean("rouge1_recall", "its recall"),
        mean("rouge2", "mean F-measure of pairs of words, 0 to 1"),
        mean("rouge2_precision", "its precision"),
        mean("rouge2_recall", "its recall"),
        mean(
            "rougeL",
            "mean F-measure of the longest common subsequence, 0 to 1",
        ),
        mean("rougeL_precision", "its precision"),
        mean("rougeL_recall", "its recall"),
        mean("rougeLsum", "as rougeL, but line by line, 0 to 1"),
        mean("rougeLsum_precision", "its precision"),
        mean("rougeLsum_recall", "its recall"),
    ];

    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
        Generation::greedy(self.max_tokens, &self.stop).ask_once(example, so_far, questions)
    }

    fn observe(
        &self,
        example: &Example,
        answers: &Answers,
        observations: &Observations,
    ) -> Result<()> {
        let texts = answers.texts(0);
        let text = texts.first().map_or("", String::as_str);
        let mut best: Option<[Score; 4]> = None;
        for reference in example.references()? {
            let scores = kinds(text, reference, self.use_stemmer);
            let best = best.get_or_insert(scores);
            for (best, score) in best.iter_mut().zip(scores) {
                if score.f > best.f {
                    *best = score;
                }
            }
        }
        for (kind, score) in KINDS.into_iter().zip(best.unwrap_or_default()) {
            observations.add(kind, score.f, 1.0);
            observations.add(&format!("{kind}_precision"), score.precision, 1.0);
            observations.add(&format!("{kind}_recall"), score.recall, 1.0);
        }
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        for score in Self::SCORES {
            let values = observations.values(score.name).into_iter();
            let values: Vec<f64> = values.map(|(value, _)| value).collect();
            let (mean, error) = statistics::mean(&values);
            scores.add(score.name, mean, score.higher_is_better, error);
        }
        Ok(())
    }
}

/// Every kind of ROUGE of a text against one reference.
fn kinds(text: &str, reference: &str, stem: bool) -> [Score; 4] {
    let lines = |text: &str| {
        let lines = text.split('\n').map(|line| score::tokens(line, stem));
        lines.collect::<Vec<_>>()
    };
    let [tokens, wanted] = [text, reference].map(|text| score::tokens(text, stem));
    [
        score::ngrams(&tokens, &wanted, 1),
        score::ngrams(&tokens, &wanted, 2),
        score::longest(&tokens, &wanted),
        score::summary(&lines(text), &lines(reference)),
    ]
}
