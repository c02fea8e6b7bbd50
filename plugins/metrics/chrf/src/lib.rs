//! chrF (Popović 2015) and chrF++ (Popović 2017) as sacrebleu computes them.

#[cfg(test)]
mod golden;
mod score;

use folkmoot_sdk::{
    Answers, ErrorOf, Example, Generation, Metric, Observations, Questions, Result, ScoreInfo,
    Scores, export_metric, statistics,
};
use schemars::JsonSchema;
use score::{Order, Rule};
use serde::Deserialize;

/// chrF of the generated text against one or more references: the F-measure of character n-grams, and
/// with `word_order` 2, which is chrF++, of words' too. Of several references that counts which gives
/// an example the highest score.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chrf {
    /// Longest n-grams of characters.
    #[serde(default = "char_order")]
    #[schemars(range(min = 0, max = 64))]
    char_order: u32,
    /// Longest n-grams of words: 2 for chrF++.
    #[serde(default)]
    #[schemars(range(min = 0, max = 64))]
    word_order: u32,
    /// β: what recall weighs against precision.
    #[serde(default = "beta")]
    #[schemars(range(min = 0.0, max = 1e3))]
    beta: f64,
    /// Whether case is of no account.
    #[serde(default)]
    lowercase: bool,
    /// Whether white space counts as characters.
    #[serde(default)]
    whitespace: bool,
    /// Whether the score is the mean of the orders' F-measures, smoothed by 1e-16, as in chrF++.py, NLTK
    /// and Moses.
    #[serde(default)]
    eps_smoothing: bool,
    /// Tokens to generate.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1, max = 32768))]
    max_tokens: u32,
    /// Texts that end the generated one and are cut off.
    #[serde(default)]
    stop: Vec<String>,
}
export_metric!(Chrf);

fn char_order() -> u32 {
    6
}

fn beta() -> f64 {
    2.0
}

fn max_tokens() -> u32 {
    256
}

impl Metric for Chrf {
    const REFERENCES: &'static [&'static str] = &[
        "Popović 2015, chrF: character n-gram F-score for automatic MT evaluation",
        "Popović 2017, chrF++: words helping character n-grams",
        "Post 2018, A call for clarity in reporting BLEU scores (sacrebleu)",
    ];

    const SCORES: &'static [ScoreInfo] = &[ScoreInfo {
        name: "chrf",
        meaning: "chrF of all examples together, 0 to 100",
        higher_is_better: true,
        error: ErrorOf::Bootstrap,
    }];

    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
        self.rule()?;
        Generation::greedy(self.max_tokens, &self.stop).ask_once(example, so_far, questions)
    }

    fn observe(
        &self,
        example: &Example,
        answers: &Answers,
        observations: &Observations,
    ) -> Result<()> {
        let case = |text: &str| match self.lowercase {
            true => text.to_lowercase(),
            false => text.into(),
        };
        let texts = answers.texts(0);
        let text = case(texts.first().map_or("", String::as_str));
        let references = example.references()?;
        let references: Vec<String> = references.into_iter().map(case).collect();
        for (n, order) in self.rule()?.orders(&text, &references).iter().enumerate() {
            observations.add(&format!("order-{n}"), order.text, order.reference);
            observations.add(&format!("both-{n}"), order.both, 1.0);
        }
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        let rule = self.rule()?;
        let orders = (0..rule.characters + rule.words).map(|n| {
            let counts = observations.values(&format!("order-{n}")).into_iter();
            let both = observations.values(&format!("both-{n}"));
            let orders = counts
                .zip(both)
                .map(|((text, reference), (both, _))| Order {
                    text,
                    reference,
                    both,
                });
            orders.collect::<Vec<_>>()
        });
        let orders: Vec<Vec<Order>> = orders.collect();
        let chrf = |drawn: &[u32]| {
            let sum = |examples: &Vec<Order>| {
                let mut sum = Order::default();
                let drawn = examples.iter().zip(drawn);
                drawn.for_each(|(example, &times)| sum.add(example, f64::from(times)));
                sum
            };
            rule.score(&orders.iter().map(sum).collect::<Vec<_>>())
        };
        let examples = orders.first().map_or(0, Vec::len);
        let error = statistics::bootstrap(examples, chrf);
        scores.add("chrf", chrf(&vec![1; examples]), true, error);
        Ok(())
    }
}

impl Chrf {
    fn rule(&self) -> Result<Rule> {
        match self.char_order + self.word_order {
            0 => Err("`char_order` and `word_order` are both 0".into()),
            _ => Ok(Rule {
                characters: self.char_order as usize,
                words: self.word_order as usize,
                beta: self.beta,
                whitespace: self.whitespace,
                smoothed: self.eps_smoothing,
            }),
        }
    }
}
