//! Whether a mathematical answer is the reference's: Hendrycks MATH, Minerva, and by value.

mod hendrycks;
mod minerva;
mod value;

use folkmoot_sdk::{
    Answers, ErrorOf, Example, Generation, Metric, Observations, Questions, Result, ScoreInfo,
    Scores, export_metric,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Whether the answer is equivalent to the reference, which may be a whole solution with its answer in
/// `\boxed{}`. Each rule finds the answer in its own way unless `answer` says otherwise.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MathEquivalence {
    /// What of the generated text is the answer.
    #[serde(default)]
    answer: Part,
    /// Texts that end the generation and are cut off.
    #[serde(default = "stop")]
    stop: Vec<String>,
    /// Tokens to generate.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1, max = 32768))]
    max_tokens: u32,
}
export_metric!(MathEquivalence);

/// What of a generated text is the answer.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Part {
    /// As lm-eval has it: for `exact_match` what stands between the first and the last `$`, else all; for
    /// `exact_match_minerva` and `numeric_equivalence` what follows "Final Answer: The final answer is".
    #[default]
    AsPublished,
    /// The content of the last `\boxed{}` for all scores; without one, nothing is right.
    Boxed,
    /// All of the text for all scores.
    Whole,
}

fn stop() -> Vec<String> {
    vec!["Problem:".into()]
}

fn max_tokens() -> u32 {
    512
}

const NAMES: [&str; 3] = ["exact_match", "exact_match_minerva", "numeric_equivalence"];

impl Metric for MathEquivalence {
    const REFERENCES: &'static [&'static str] = &[
        "Hendrycks et al. 2021, arXiv:2103.03874",
        "Lewkowycz et al. 2022, arXiv:2206.14858, appendix D",
        "lm-evaluation-harness 0.4.13, `hendrycks_math/utils.py` and `minerva_math/utils.py`",
    ];

    const SCORES: &'static [ScoreInfo] = &[
        ScoreInfo {
            name: NAMES[0],
            meaning: "share of examples whose answer is the reference after Hendrycks' normalisation",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
        ScoreInfo {
            name: NAMES[1],
            meaning: "the same after Minerva's normalisation, without sympy",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
        ScoreInfo {
            name: NAMES[2],
            meaning: "the same, or both are arithmetic expressions of one value (within 1e-9)",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
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
        let text = texts.first().ok_or("there is no generated text")?;
        let boxed = || hendrycks::boxed(text);
        let (first, second) = match self.answer {
            Part::AsPublished => (
                Some(hendrycks::between_dollars(text)),
                Some(minerva::final_answer(text)?),
            ),
            Part::Boxed => (boxed(), boxed().map(str::to_owned)),
            Part::Whole => (Some(text.as_str()), Some(text.clone())),
        };
        observations.note("answer", first.unwrap_or_default());
        let second = second
            .map(|answer| minerva::normalize(&answer))
            .transpose()?;
        observations.note("answer_minerva", second.as_deref().unwrap_or_default());
        let mut hits = [false; 3];
        for reference in example.references()? {
            let reference = hendrycks::boxed(reference).unwrap_or(reference);
            hits[0] |= first.is_some_and(|answer| hendrycks::is_equiv(answer, reference));
            let Some(second) = &second else { continue };
            let reference = minerva::normalize(reference)?;
            let same = !second.is_empty() && *second == reference;
            hits[1] |= same;
            hits[2] |= same || value::equal(second, &reference);
        }
        for (name, hit) in NAMES.into_iter().zip(hits) {
            observations.add(name, f64::from(u8::from(hit)), 1.0);
        }
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        for name in NAMES {
            let (mean, error) = observations.mean_of(name);
            scores.add(name, mean, true, error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
