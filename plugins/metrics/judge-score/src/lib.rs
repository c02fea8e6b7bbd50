//! Single-answer grading by a judge, with FastChat's prompts and rules (Zheng et al. 2023). The prompts
//! are FastChat's own (Apache-2.0), see prompts/NOTICE.

mod rating;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use folkmoot_sdk::judge::{
    self, OTHER_TEMPERATURE, Prompt, Prompts, REFERENCE_CATEGORIES, References, Task, said,
};
use folkmoot_sdk::{
    Answers, ErrorOf, Example, Generation, Helper, Metric, Observations, Questions, Result,
    ScoreInfo, Scores, Variant, export_metric,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Mean grade, 1 to 10, that a judge gives to the model's answers in conversations of one or two turns:
/// MT-Bench's single-answer grading. The user's turns are in column `turns` (a list), else `question`,
/// `instruction` or `prompt`; reference answers in `reference`, one to each turn; `category` is optional.
/// A judgment without a grade is left out and counted in `unparsed`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JudgeScore {
    /// `paper`: MT-Bench as FastChat does it. `openfedllm`: Vicuna-Bench as OpenFedLLM does it: the first
    /// turn only, never a reference, temperature 0.7 and at most 2048 tokens for the model, 0.2 for the
    /// judge; a judgment without a grade counts as -1 and no grade is off the scale.
    #[serde(default)]
    variant: Variant,
    /// The scale's lowest grade; a grade below it is none.
    #[serde(default = "lowest")]
    lowest: f64,
    /// The scale's highest grade; a grade above it is none.
    #[serde(default = "highest")]
    highest: f64,
    /// When the judge sees the reference answers: by category (the default), always or never.
    #[serde(default)]
    references: Option<References>,
    /// The categories that are judged with reference answers.
    #[serde(default = "reference_categories")]
    reference_categories: Vec<String>,
    /// The model's temperature by category. Without it, MT-Bench's: 0.7 for writing and roleplay, 0.1 for
    /// stem and humanities, 0 for extraction, math, coding and reasoning.
    #[serde(default)]
    temperatures: Option<BTreeMap<String, f64>>,
    /// The model's temperature for any other category, and for none.
    #[serde(default = "temperature")]
    #[schemars(range(min = 0.0, max = 100.0))]
    temperature: f64,
    /// Tokens of an answer at most (default 1024).
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    max_tokens: Option<u32>,
    /// The judge's temperature (default 0).
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 100.0))]
    judge_temperature: Option<f64>,
    /// Tokens of a judgment at most.
    #[serde(default = "judge_max_tokens")]
    #[schemars(range(min = 1, max = 1_000_000))]
    judge_max_tokens: u32,
    /// Prompts in place of FastChat's. Places: `{question}`, `{answer}`, `{ref_answer_1}` for the first
    /// turn; `{question_1}`, `{question_2}`, `{answer_1}`, `{answer_2}`, `{ref_answer_1}`, `{ref_answer_2}`
    /// for the second.
    #[serde(default)]
    prompts: Prompts,
}
export_metric!(JudgeScore);

fn lowest() -> f64 {
    1.0
}

fn highest() -> f64 {
    10.0
}

fn reference_categories() -> Vec<String> {
    REFERENCE_CATEGORIES.map(str::to_owned).to_vec()
}

fn temperature() -> f64 {
    OTHER_TEMPERATURE
}

fn judge_max_tokens() -> u32 {
    2048
}

/// FastChat's prompts.
const PROMPTS: &str = include_str!("../prompts/fastchat.jsonl");

/// The system message of OpenFedLLM's judge of Vicuna-Bench, which is AlpacaEval's.
const OPENFEDLLM_SYSTEM: &str =
    "You are a helpful assistant, that ranks models by the quality of their answers.";

/// The observation of all turns, of which there are as many as questions were judged.
const ALL: &str = "judge_score";

impl Metric for JudgeScore {
    const ASKS: &'static [Helper] = &[Helper::Judge];

    const REFERENCES: &'static [&'static str] = &["https://arxiv.org/abs/2306.05685"];

    const SCORES: &'static [ScoreInfo] = &[
        ScoreInfo {
            name: ALL,
            meaning: "mean grade over all judgments of first and second turns, 1 to 10",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
        ScoreInfo {
            name: "judge_score_turn_1",
            meaning: "mean grade of the first turns",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
        ScoreInfo {
            name: "judge_score_turn_2",
            meaning: "mean grade of the second turns",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
        ScoreInfo {
            name: "judge_score_*",
            meaning: "mean grade over all judgments of a category",
            higher_is_better: true,
            error: ErrorOf::ClosedForm,
        },
        ScoreInfo {
            name: "unparsed",
            meaning: "share of judgments without a grade on the scale",
            higher_is_better: false,
            error: ErrorOf::ClosedForm,
        },
    ];

    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
        let task = self.task(example)?;
        let how = self.answering(task.category);
        if task.converse(so_far, &how, questions) || so_far.count() as usize != task.turns.len() {
            return Ok(());
        }
        let answers: Vec<_> = (0..task.turns.len())
            .map(|turn| said(so_far, turn))
            .collect();
        for turn in 0..task.turns.len() {
            let mut places = task.places(turn);
            match turn {
                0 => places.push(("answer", &answers[0])),
                _ => places.extend([("answer_1", &*answers[0]), ("answer_2", &answers[1])]),
            }
            let reference = task.references.is_some();
            let prompt = self.prompts.choose(turn, reference, |turn, reference| {
                self.built_in(turn, reference)
            })?;
            questions.judge(&prompt.messages(&places)?, &self.judging().to_json());
        }
        Ok(())
    }

    fn observe(
        &self,
        example: &Example,
        answers: &Answers,
        observations: &Observations,
    ) -> Result<()> {
        let task = self.task(example)?;
        let turns = task.turns.len();
        let (mut sum, mut graded, mut unparsed) = (0.0, 0.0, 0.0);
        for turn in 0..turns {
            let words = said(answers, turns + turn);
            observations.note(&format!("judgment_{}", turn + 1), &words);
            let grade = self.grade(&words);
            unparsed += f64::from(u8::from(grade.is_none()));
            let kept = match self.variant {
                Variant::Paper => grade,
                Variant::Openfedllm => grade.or(Some(-1.0)),
            };
            if let Some(grade) = kept {
                observations.note(&format!("grade_{}", turn + 1), &grade.to_string());
                observations.add(&format!("{ALL}_turn_{}", turn + 1), grade, 1.0);
                sum += grade;
                graded += 1.0;
            }
        }
        observations.add("unparsed", unparsed, turns as f64);
        observations.add(ALL, sum, graded);
        let category = judge::snake_case(task.category.unwrap_or_default());
        if ["turn_1", "turn_2"].contains(&category.as_str()) {
            return Err(format!("category `{category}` has the name of a turn"));
        }
        if !category.is_empty() {
            observations.add(&format!("{ALL}_{category}"), sum, graded);
        }
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        // `judge_score` comes first among the names, being the start of all others but `unparsed`.
        for name in observations.names() {
            if let Some((value, error)) = judge::mean(&observations.values(&name)) {
                scores.add(&name, value, name != "unparsed", error);
            }
        }
        Ok(())
    }
}

impl JudgeScore {
    fn task<'a>(&self, example: &'a Example) -> Result<Task<'a>> {
        if self.lowest.is_nan() || self.highest.is_nan() || self.lowest >= self.highest {
            let (lowest, highest) = (self.lowest, self.highest);
            return Err(format!(
                "`lowest` {lowest} is not below `highest` {highest}"
            ));
        }
        let default = match self.variant {
            Variant::Paper => References::Category,
            Variant::Openfedllm => References::Never,
        };
        let show = self.references.unwrap_or(default);
        let mut task = Task::read(example, show, &self.reference_categories)?;
        if self.variant == Variant::Openfedllm {
            task.turns.truncate(1);
        }
        Ok(task)
    }

    fn answering(&self, category: Option<&str>) -> Generation {
        let listed = match (self.variant, &self.temperatures) {
            (Variant::Openfedllm, None) => None,
            (_, own) => judge::temperature(category, own.as_ref()),
        };
        let max_tokens = match self.variant {
            Variant::Paper => 1024,
            Variant::Openfedllm => 2048,
        };
        Generation {
            temperature: listed.unwrap_or(self.temperature),
            ..Generation::greedy(self.max_tokens.unwrap_or(max_tokens), &[])
        }
    }

    fn judging(&self) -> Generation {
        let temperature = match self.variant {
            Variant::Paper => 0.0,
            Variant::Openfedllm => 0.2,
        };
        Generation {
            temperature: self.judge_temperature.unwrap_or(temperature),
            ..Generation::greedy(self.judge_max_tokens, &[])
        }
    }

    fn built_in(&self, turn: usize, reference: bool) -> Result<Prompt> {
        let name = match (turn, reference) {
            (0, false) => "single-v1",
            (0, true) => "single-math-v1",
            (_, false) => "single-v1-multi-turn",
            (_, true) => "single-math-v1-multi-turn",
        };
        let mut prompt = Prompt::of_fastchat(PROMPTS, name)?;
        if self.variant == Variant::Openfedllm {
            prompt.system = Some(OPENFEDLLM_SYSTEM.into());
        }
        Ok(prompt)
    }

    /// The grade in a judge's words, if it is on the scale.
    fn grade(&self, words: &str) -> Option<f64> {
        let on_scale = |grade: &f64| match self.variant {
            Variant::Paper => (self.lowest..=self.highest).contains(grade),
            Variant::Openfedllm => true,
        };
        rating::rating(words).filter(on_scale)
    }
}
