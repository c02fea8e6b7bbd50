//! Perplexity per token, word and byte, as lm-evaluation-harness defines them.

use folkmoot_sdk::statistics::bootstrap;
use folkmoot_sdk::{
    Answers, ErrorOf, Example, Metric, Observations, Questions, Result, ScoreInfo, Scores,
    export_metric,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Perplexity of the response given the prompt, over all tokens, words and bytes of all examples: exp of the
/// mean negative log-likelihood. Where a row has a column `text` and no `continuation`, it is that of the whole
/// text.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Perplexity {}
export_metric!(Perplexity);

/// Each score with what it is per.
const PER: [(&str, &str); 4] = [
    ("perplexity", "tokens"),
    ("word_perplexity", "words"),
    ("byte_perplexity", "bytes"),
    ("bits_per_byte", "bytes"),
];

const fn score(name: &'static str, meaning: &'static str) -> ScoreInfo {
    ScoreInfo {
        name,
        meaning,
        higher_is_better: false,
        error: ErrorOf::Bootstrap,
    }
}

impl Metric for Perplexity {
    const REFERENCES: &'static [&'static str] =
        &["https://github.com/EleutherAI/lm-evaluation-harness"];

    const SCORES: &'static [ScoreInfo] = &[
        score(
            PER[0].0,
            "exp of the mean negative log-likelihood of a token",
        ),
        score(
            PER[1].0,
            "exp of the negative log-likelihood per word; words are what is between white space. Left out \
             where it is no finite number",
        ),
        score(
            PER[2].0,
            "exp of the negative log-likelihood per byte of UTF-8",
        ),
        score(
            PER[3].0,
            "negative log-likelihood per byte of UTF-8, in bits",
        ),
    ];

    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
        if so_far.count() == 0 {
            match scored(example)? {
                Scored::Response(response) => questions.likelihood(example.prompt()?, response),
                Scored::Whole(text) => questions.perplexity(text),
            }
        }
        Ok(())
    }

    fn observe(
        &self,
        example: &Example,
        answers: &Answers,
        observations: &Observations,
    ) -> Result<()> {
        let (Scored::Response(text) | Scored::Whole(text)) = scored(example)?;
        let sum = answers.log_likelihood(0);
        observations.add("tokens", sum, f64::from(answers.tokens(0)));
        observations.add("words", sum, words(text) as f64);
        observations.add("bytes", sum, text.len() as f64);
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        for (name, per) in PER {
            let values = observations.values(per);
            let (sum, units) = observations.total(per);
            if units == 0.0 {
                return Err(format!(
                    "there are no {per} to be scored; a file of outputs has to give them as `token_counts`"
                ));
            }
            let of = |mean: f64| match name {
                "bits_per_byte" => -mean / std::f64::consts::LN_2,
                _ => (-mean).exp(),
            };
            let value = of(sum / units);
            // exp overflows where long texts have no white space.
            if !value.is_finite() {
                continue;
            }
            let error = bootstrap(values.len(), |drawn| {
                let pairs = values.iter().zip(drawn);
                let (sum, units) = pairs.fold((0.0, 0.0), |total, (value, &times)| {
                    let times = f64::from(times);
                    (total.0 + times * value.0, total.1 + times * value.1)
                });
                of(sum / units)
            });
            scores.add(name, value, false, error);
        }
        Ok(())
    }
}

/// What is scored of a row.
enum Scored<'a> {
    Response(&'a str),
    Whole(&'a str),
}

fn scored(example: &Example) -> Result<Scored<'_>> {
    let has = |column: &str| example.get(column).is_some();
    match !has("continuation") && has("text") {
        true => Ok(Scored::Whole(example.text("text")?)),
        false => Ok(Scored::Response(example.text("continuation")?)),
    }
}

/// `len(re.split(r"\s+", text))` of Python, whose white space includes the information separators: empty ends
/// count, so there is always one.
fn words(text: &str) -> usize {
    let is_space = |c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c);
    let mut last = false;
    let mut words = 1;
    for c in text.chars() {
        let space = is_space(c);
        words += usize::from(space && !last);
        last = space;
    }
    words
}

#[cfg(test)]
mod tests;
