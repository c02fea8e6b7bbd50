//! Win rate against a baseline, as a judge compares the answers, with FastChat's prompts and rules (Zheng
//! et al. 2023) or AlpacaEval's. The prompts are theirs (Apache-2.0), see prompts/NOTICE.

mod python;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::BTreeMap;

use folkmoot_sdk::judge::{
    self, OTHER_TEMPERATURE, Prompt, Prompts, REFERENCE_CATEGORIES, References, Task, said,
};
use folkmoot_sdk::{
    Answers, ErrorOf, Example, Generation, Helper, Metric, Observations, Questions, Result,
    ScoreInfo, Scores, export_metric,
};
use schemars::JsonSchema;
use serde::Deserialize;
use verdict::Verdict;

/// How often a judge finds the model's answer better than the baseline's, which is in column `baseline` (a
/// text, or a list with one to each turn). Every pair is judged twice, in both orders. The user's turns are
/// in column `turns` (a list of one or two), else `question`, `instruction` or `prompt`; reference answers
/// in `reference`, one to each turn; `category` is optional. A pair of which either judgment holds no
/// verdict is left out and counted in `unparsed`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pairwise {
    /// Whose prompts and verdicts.
    #[serde(default)]
    rules: Rules,
    /// When the judge sees the reference answers: by category (the default with `mt-bench`), always, or
    /// never. AlpacaEval's own prompts have no place for them.
    #[serde(default)]
    references: Option<References>,
    /// The categories that are judged with reference answers.
    #[serde(default = "reference_categories")]
    reference_categories: Vec<String>,
    /// The model's temperature by category. Without it, with `mt-bench`: 0.7 for writing and roleplay, 0.1
    /// for stem and humanities, 0 for extraction, math, coding and reasoning.
    #[serde(default)]
    temperatures: Option<BTreeMap<String, f64>>,
    /// The model's temperature for any other category, and for none.
    #[serde(default = "temperature")]
    #[schemars(range(min = 0.0, max = 100.0))]
    temperature: f64,
    /// Tokens of an answer at most (default 1024 with `mt-bench`, else 2048).
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    max_tokens: Option<u32>,
    /// The judge's temperature.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 100.0))]
    judge_temperature: f64,
    /// Tokens of a judgment at most (default 2048 with `mt-bench`, 100 with `alpaca-eval`, 1 with
    /// `alpaca-eval-2`).
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    judge_max_tokens: Option<u32>,
    /// Prompts in place of the rules' own. Places: `{question}`, `{answer_a}`, `{answer_b}`,
    /// `{ref_answer_1}` for the first turn (AlpacaEval's names are known too: `{instruction}`,
    /// `{output_1}`, `{output_2}`); `{question_1}`, `{question_2}`, `{answer_a_1}`, `{answer_a_2}`,
    /// `{answer_b_1}`, `{answer_b_2}`, `{ref_answer_1}`, `{ref_answer_2}` for the second.
    #[serde(default)]
    prompts: Prompts,
}
export_metric!(Pairwise);

/// Whose prompts and verdicts.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Rules {
    /// MT-Bench's, as FastChat has them: `[[A]]`, `[[B]]`, or `[[C]]` for a tie.
    #[default]
    MtBench,
    /// AlpacaEval's first (`alpaca_eval_gpt4`): the judge ranks the models in a Python list. One turn;
    /// equal answers are a tie and not judged.
    AlpacaEval,
    /// AlpacaEval 2's (`alpaca_eval_clf_gpt4_turbo`): the judge names the model, `m` or `M`. Theirs reads
    /// the likelier name off the first token's probabilities; here the judge has to say it. One turn; equal
    /// answers are a tie and not judged.
    #[serde(rename = "alpaca-eval-2")]
    AlpacaEval2,
}

fn reference_categories() -> Vec<String> {
    REFERENCE_CATEGORIES.map(str::to_owned).to_vec()
}

fn temperature() -> f64 {
    OTHER_TEMPERATURE
}

const FASTCHAT: &str = include_str!("../prompts/fastchat.jsonl");
const ALPACA_EVAL: &str = include_str!("../prompts/alpaca_eval.txt");
const ALPACA_EVAL_2: &str = include_str!("../prompts/alpaca_eval_clf.txt");

const fn share(name: &'static str, meaning: &'static str, higher_is_better: bool) -> ScoreInfo {
    let error = ErrorOf::ClosedForm;
    ScoreInfo {
        name,
        meaning,
        higher_is_better,
        error,
    }
}

impl Metric for Pairwise {
    const ASKS: &'static [Helper] = &[Helper::Judge];

    const REFERENCES: &'static [&'static str] = &[
        "https://arxiv.org/abs/2306.05685",
        "https://github.com/tatsu-lab/alpaca_eval",
    ];

    const SCORES: &'static [ScoreInfo] = &[
        share("win_rate", "share of pairs won in both orders", true),
        share(
            "tie_rate",
            "share of pairs tied, or decided differently in the two orders",
            false,
        ),
        share("loss_rate", "share of pairs lost in both orders", false),
        share("win_rate_adjusted", "win rate plus half the tie rate", true),
        share(
            "position_bias",
            "share of judged pairs whose verdict changes with the order",
            false,
        ),
        share("unparsed", "share of pairs without both verdicts", false),
    ];

    fn ask(&self, example: &Example, so_far: &Answers, questions: &Questions) -> Result<()> {
        let (task, baseline) = self.task(example)?;
        let how = self.answering(task.category);
        let turns = task.turns.len();
        if task.converse(so_far, &how, questions) || so_far.count() as usize != turns {
            return Ok(());
        }
        let own: Vec<_> = (0..turns).map(|turn| said(so_far, turn)).collect();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        if self.settled(own[0], baseline[0]) {
            return Ok(());
        }
        for turn in 0..turns {
            let reference = task.references.is_some();
            let choice = |turn, reference| self.built_in(turn, reference);
            let prompt = self.prompts.choose(turn, reference, choice)?;
            for (a, b) in [(&own, &baseline), (&baseline, &own)] {
                let mut places = task.places(turn);
                match turn {
                    0 => places.extend([
                        ("answer_a", a[0]),
                        ("answer_b", b[0]),
                        ("output_1", a[0]),
                        ("output_2", b[0]),
                    ]),
                    _ => places.extend([
                        ("answer_a_1", a[0]),
                        ("answer_a_2", a[1]),
                        ("answer_b_1", b[0]),
                        ("answer_b_2", b[1]),
                    ]),
                }
                questions.judge(&prompt.messages(&places)?, &self.judging().to_json());
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
        let (task, baseline) = self.task(example)?;
        let turns = task.turns.len();
        let (mut wins, mut ties, mut losses, mut flips, mut judged) = (0.0, 0.0, 0.0, 0.0, 0.0);
        if self.settled(&said(answers, 0), baseline[0]) {
            ties = 1.0;
        } else {
            for turn in 0..turns {
                let [first, second] = [0, 1].map(|order| said(answers, turns + 2 * turn + order));
                observations.note(&format!("judgment_{}", turn + 1), &first);
                observations.note(&format!("judgment_{}_swapped", turn + 1), &second);
                let second = self.verdict(&second).map(Verdict::swapped);
                let (Some(first), Some(second)) = (self.verdict(&first), second) else {
                    continue;
                };
                judged += 1.0;
                flips += f64::from(u8::from(first != second));
                let (count, outcome) = match (first, second) {
                    (Verdict::First, Verdict::First) => (&mut wins, "win"),
                    (Verdict::Second, Verdict::Second) => (&mut losses, "loss"),
                    _ => (&mut ties, "tie"),
                };
                *count += 1.0;
                observations.note(&format!("outcome_{}", turn + 1), outcome);
            }
        }
        let decided = wins + ties + losses;
        observations.add("win_rate", wins, decided);
        observations.add("tie_rate", ties, decided);
        observations.add("loss_rate", losses, decided);
        observations.add("win_rate_adjusted", wins + ties / 2.0, decided);
        observations.add("position_bias", flips, judged);
        observations.add("unparsed", turns as f64 - decided, turns as f64);
        Ok(())
    }

    fn summarize(&self, observations: &Observations, scores: &Scores) -> Result<()> {
        for score in Self::SCORES {
            let values = observations.values(score.name);
            if let Some((value, error)) = judge::mean(&values) {
                scores.add(score.name, value, score.higher_is_better, error);
            }
        }
        Ok(())
    }
}

impl Pairwise {
    /// The task and the baseline's answers.
    fn task<'a>(&self, example: &'a Example) -> Result<(Task<'a>, Vec<&'a str>)> {
        let default = match self.rules {
            Rules::MtBench => References::Category,
            Rules::AlpacaEval | Rules::AlpacaEval2 => References::Never,
        };
        let show = self.references.unwrap_or(default);
        let task = Task::read(example, show, &self.reference_categories)?;
        let turns = task.turns.len();
        if self.rules != Rules::MtBench && turns > 1 {
            return Err(format!(
                "column `turns` holds {turns} turns; AlpacaEval's rules are for one"
            ));
        }
        let baseline = Task::answers(example, "baseline", turns)?;
        Ok((task, baseline))
    }

    /// Whether the pair is a tie without a judge: AlpacaEval's rule for equal answers.
    fn settled(&self, own: &str, baseline: &str) -> bool {
        self.rules != Rules::MtBench && own == baseline
    }

    fn answering(&self, category: Option<&str>) -> Generation {
        let mt_bench = self.rules == Rules::MtBench;
        let listed = match &self.temperatures {
            None if !mt_bench => None,
            own => judge::temperature(category, own.as_ref()),
        };
        let max_tokens = if mt_bench { 1024 } else { 2048 };
        Generation {
            temperature: listed.unwrap_or(self.temperature),
            ..Generation::greedy(self.max_tokens.unwrap_or(max_tokens), &[])
        }
    }

    fn judging(&self) -> Generation {
        let max_tokens = match self.rules {
            Rules::MtBench => 2048,
            Rules::AlpacaEval => 100,
            Rules::AlpacaEval2 => 1,
        };
        Generation {
            temperature: self.judge_temperature,
            ..Generation::greedy(self.judge_max_tokens.unwrap_or(max_tokens), &[])
        }
    }

    fn built_in(&self, turn: usize, reference: bool) -> Result<Prompt> {
        let name = match (turn, reference) {
            (0, false) => "pair-v2",
            (0, true) => "pair-math-v1",
            (_, false) => "pair-v2-multi-turn",
            (_, true) => "pair-math-v1-multi-turn",
        };
        match self.rules {
            Rules::MtBench => Prompt::of_fastchat(FASTCHAT, name),
            Rules::AlpacaEval => Ok(chatml(ALPACA_EVAL)),
            Rules::AlpacaEval2 => Ok(chatml(ALPACA_EVAL_2)),
        }
    }

    fn verdict(&self, words: &str) -> Option<Verdict> {
        match self.rules {
            Rules::MtBench => verdict::letter(words),
            Rules::AlpacaEval => verdict::ranking(words),
            Rules::AlpacaEval2 => verdict::name(words),
        }
    }
}

/// The system's and the user's message of one of AlpacaEval's prompts, stripped as it strips them. Cut
/// before answers are put in, so that an answer cannot end its message.
fn chatml(text: &str) -> Prompt {
    let part = |role: &str| {
        let (_, start) = text.split_once(&format!("<|im_start|>{role}\n"))?;
        let (message, _) = start.split_once("<|im_end|>")?;
        Some(message.trim().to_owned())
    };
    Prompt {
        system: part("system"),
        template: part("user"),
    }
}
