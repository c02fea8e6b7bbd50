//! BLEU (Papineni et al. 2002) as sacrebleu computes it (Post 2018), or as TensorFlow NMT does.

#[cfg(test)]
mod golden;
mod score;
mod tokenize;

use folkmoot_sdk::text::python;
use folkmoot_sdk::{
    Answers, ErrorOf, Example, Generation, Metric, Observations, Questions, Result, ScoreInfo,
    Scores, export_metric, statistics,
};
use schemars::JsonSchema;
use score::{Counts, Rule, Smoothing};
use serde::Deserialize;
use tokenize::Tokenizer;

/// BLEU of the generated text against one or more references, which may differ in number from example
/// to example; the mean BLEU of a sentence beside it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bleu {
    /// Whose rules.
    #[serde(default)]
    variant: Variant,
    /// How text is cut into tokens.
    #[serde(default)]
    tokenize: Tokenizer,
    /// Whether case is of no account.
    #[serde(default)]
    lowercase: bool,
    /// What is done about orders without a match. Default: `exp`, and `add-k` in variant `nmt`, which
    /// knows but this and `none`.
    #[serde(default)]
    smooth_method: Option<Smoothing>,
    /// What `floor` (default 0.1) and `add-k` (default 1) add.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1e6))]
    smooth_value: Option<f64>,
    /// Longest n-grams.
    #[serde(default = "max_ngram_order")]
    #[schemars(range(min = 1, max = 64))]
    max_ngram_order: u32,
    /// Whether orders of which the texts hold no n-gram are left out of the mean. Always so in the
    /// sentences' BLEU of variant `sacrebleu`; never in variant `nmt`.
    #[serde(default)]
    effective_order: bool,
    /// Tokens to generate.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1, max = 32768))]
    max_tokens: u32,
    /// Texts that end the generated one and are cut off.
    #[serde(default)]
    stop: Vec<String>,
}
export_metric!(Bleu);

/// Whose rules.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Variant {
    /// sacrebleu's.
    #[default]
    Sacrebleu,
    /// Those of TensorFlow NMT's bleu.py, which is metric `bleu` of Hugging Face's evaluate: the
    /// shortest reference's length, and one match more in every order. So code generation is scored
    /// (CoNaLa and ConCode in bigcode-evaluation-harness). On the scale of 100 here too; theirs is 1.
    Nmt,
}

fn max_ngram_order() -> u32 {
    4
}

fn max_tokens() -> u32 {
    256
}

impl Metric for Bleu {
    const REFERENCES: &'static [&'static str] = &[
        "Papineni et al. 2002, BLEU: a method for automatic evaluation of machine translation",
        "Post 2018, A call for clarity in reporting BLEU scores (sacrebleu)",
        "Chen and Cherry 2014, A systematic comparison of smoothing techniques for sentence-level BLEU",
    ];

    const SCORES: &'static [ScoreInfo] = &[
        ScoreInfo {
            name: "bleu",
            meaning: "BLEU of all examples together, 0 to 100",
            higher_is_better: true,
            error: ErrorOf::Bootstrap,
        },
        ScoreInfo {
            name: "sentence_bleu",
            meaning: "mean of the examples' own BLEU, 0 to 100",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
    ];

    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
        self.rule(self.effective_order)?;
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
        let counts = self.counts(text, &example.references()?);
        observations.add("length", counts.length, counts.reference);
        for (n, (correct, total)) in counts.orders.iter().enumerate() {
            observations.add(&order(n), *correct, *total);
        }
        observations.add("sentence", counts.bleu(self.rule(true)?), 1.0);
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        let rule = self.rule(self.effective_order)?;
        let lengths = observations.values("length").into_iter();
        let mut examples: Vec<Counts> = lengths
            .map(|(length, reference)| Counts {
                length,
                reference,
                orders: Vec::new(),
            })
            .collect();
        for n in 0..self.max_ngram_order as usize {
            let values = observations.values(&order(n));
            for (example, value) in examples.iter_mut().zip(values) {
                example.orders.push(value);
            }
        }
        let bleu = |drawn: &[u32]| {
            let mut sum = Counts::default();
            for (example, &times) in examples.iter().zip(drawn).filter(|(_, times)| **times > 0) {
                sum.add(example, f64::from(times));
            }
            sum.bleu(rule)
        };
        let error = statistics::bootstrap(examples.len(), bleu);
        scores.add("bleu", bleu(&vec![1; examples.len()]), true, error);
        let sentences = observations.values("sentence").into_iter();
        let sentences: Vec<f64> = sentences.map(|(score, _)| score).collect();
        let (mean, error) = statistics::mean(&sentences);
        scores.add("sentence_bleu", mean, true, error);
        Ok(())
    }
}

/// What the counts of an order are observed as; the first is 0 here.
fn order(n: usize) -> String {
    format!("order-{}", n + 1)
}

impl Bleu {
    fn rule(&self, effective_order: bool) -> Result<Rule> {
        let nmt = self.variant == Variant::Nmt;
        let default = if nmt { Smoothing::AddK } else { Smoothing::Exp };
        let smoothing = self.smooth_method.unwrap_or(default);
        let value = match (smoothing, self.smooth_value) {
            (Smoothing::Floor, value) => value.unwrap_or(0.1),
            (Smoothing::AddK, value) => value.unwrap_or(1.0),
            (_, None) => 0.0,
            (_, Some(_)) => {
                return Err("`smooth_value` is of `smooth_method` `floor` and `add-k` only".into());
            }
        };
        match smoothing {
            Smoothing::Exp | Smoothing::Floor if nmt => {
                Err("variant `nmt` knows `smooth_method` `add-k` and `none` only".into())
            }
            _ if nmt && self.effective_order => {
                Err("variant `nmt` knows no `effective_order`".into())
            }
            _ if nmt => Ok(Rule::Nmt(value)),
            _ => Ok(Rule::Sacrebleu {
                smoothing,
                value,
                effective_order,
            }),
        }
    }

    fn counts(&self, text: &str, references: &[&str]) -> Counts {
        let nmt = self.variant == Variant::Nmt;
        let cut = |text: &str| {
            let text = match self.lowercase {
                true => text.to_lowercase(),
                false => text.into(),
            };
            // Of the two only sacrebleu looks away from white space at the end.
            self.tokenize
                .cut(if nmt { &text } else { python::strip_end(&text) })
        };
        let references: Vec<String> = references.iter().map(|text| cut(text)).collect();
        let references: Vec<Vec<&str>> = references
            .iter()
            .map(|text| python::split(text).collect())
            .collect();
        let text = cut(text);
        let text: Vec<&str> = python::split(&text).collect();
        Counts::of(&text, &references, self.max_ngram_order as usize, nmt)
    }
}
