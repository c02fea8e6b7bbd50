//! METEOR (Banerjee and Lavie 2005; Lavie and Agarwal 2007) as NLTK computes it.

#[cfg(test)]
mod golden;
mod punkt;
mod score;
mod table;
mod treebank;
mod unicode;
mod wordnet;

use folkmoot_sdk::text::python;
use folkmoot_sdk::{
    Answers, ErrorOf, Example, Generation, Metric, Observations, Questions, Result, ScoreInfo,
    Scores, export_metric, statistics,
};
use schemars::JsonSchema;
use score::Weights;
use serde::Deserialize;

/// METEOR of the generated text against one or more English references: words that match as they are,
/// by their stem or as synonyms in WordNet 3.0, and how far they keep their order. Of several references
/// that counts which gives an example the highest score.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Meteor {
    /// How text is cut into words.
    #[serde(default)]
    tokenize: Tokenizer,
    /// What precision weighs against recall.
    #[serde(default = "alpha")]
    #[schemars(range(min = 0.0, max = 1.0))]
    alpha: f64,
    /// Exponent of the fragmentation in the penalty.
    #[serde(default = "beta")]
    #[schemars(range(min = 0.0, max = 100.0))]
    beta: f64,
    /// Weight of the penalty.
    #[serde(default = "gamma")]
    #[schemars(range(min = 0.0, max = 1.0))]
    gamma: f64,
    /// Tokens to generate.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1, max = 32768))]
    max_tokens: u32,
    /// Texts that end the generated one and are cut off.
    #[serde(default)]
    stop: Vec<String>,
}
export_metric!(Meteor);

/// How text is cut into words.
#[derive(Clone, Copy, Default, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Tokenizer {
    /// As `nltk.word_tokenize` does, and with it Hugging Face's evaluate: Punkt's sentences, and within
    /// them words as in the Penn Treebank.
    #[default]
    Nltk,
    /// Words as in the Penn Treebank, the text taken for one sentence.
    Treebank,
    /// At white space only.
    Whitespace,
}

impl Tokenizer {
    /// The words, in lower case.
    fn words(self, text: &str) -> Vec<String> {
        let words = match self {
            Self::Nltk => {
                let sentences = punkt::sentences(text);
                sentences
                    .iter()
                    .flat_map(|sentence| treebank::tokens(sentence))
                    .collect()
            }
            Self::Treebank => treebank::tokens(text),
            Self::Whitespace => python::split(text).map(str::to_owned).collect::<Vec<_>>(),
        };
        words.iter().map(|word| word.to_lowercase()).collect()
    }
}

fn alpha() -> f64 {
    0.9
}

fn beta() -> f64 {
    3.0
}

fn gamma() -> f64 {
    0.5
}

fn max_tokens() -> u32 {
    256
}

impl Metric for Meteor {
    const REFERENCES: &'static [&'static str] = &[
        "Banerjee and Lavie 2005, METEOR: an automatic metric for MT evaluation with improved \
         correlation with human judgments",
        "Lavie and Agarwal 2007, METEOR: an automatic metric for MT evaluation with high levels of \
         correlation with human judgments",
        "WordNet 3.0, Copyright 2006 by Princeton University",
        "Kiss and Strunk 2006, Unsupervised multilingual sentence boundary detection",
    ];

    const SCORES: &'static [ScoreInfo] = &[ScoreInfo {
        name: "meteor",
        meaning: "mean METEOR, 0 to 1",
        higher_is_better: true,
        error: ErrorOf::ClosedForm,
    }];

    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
        Generation::greedy(self.max_tokens, &self.stop).ask_once(example, so_far, questions)
    }

    fn observe(
        &self,
        example: &Example,
        answers: &Answers,
        observations: &Observations,
    ) -> Result<()> {
        let weights = Weights {
            alpha: self.alpha,
            beta: self.beta,
            gamma: self.gamma,
        };
        let texts = answers.texts(0);
        let text = self
            .tokenize
            .words(texts.first().map_or("", String::as_str));
        let references = example.references()?.into_iter();
        let score = references.map(|other| weights.score(&text, &self.tokenize.words(other)));
        observations.add("meteor", score.fold(0.0, f64::max), 1.0);
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        let values = observations.values("meteor").into_iter();
        let values: Vec<f64> = values.map(|(score, _)| score).collect();
        let (mean, error) = statistics::mean(&values);
        scores.add("meteor", mean, true, error);
        Ok(())
    }
}
