//! What metrics share that let a judge read the answers to questions of one or two turns, as MT-Bench
//! does (Zheng et al. 2023, https://arxiv.org/abs/2306.05685; its program is FastChat's `llm_judge`).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Answers, Example, Generation, Questions, Result};

/// FastChat's temperatures of the model under test, by category.
pub const TEMPERATURES: [(&str, f64); 8] = [
    ("writing", 0.7),
    ("roleplay", 0.7),
    ("extraction", 0.0),
    ("math", 0.0),
    ("coding", 0.0),
    ("reasoning", 0.0),
    ("stem", 0.1),
    ("humanities", 0.1),
];

/// FastChat's temperature of a category that it does not list, and of none.
pub const OTHER_TEMPERATURE: f64 = 0.7;

/// FastChat's categories that are judged with a reference answer.
pub const REFERENCE_CATEGORIES: [&str; 3] = ["math", "reasoning", "coding"];

/// Columns that may hold the user's turns; the first that is there and not empty does.
const COLUMNS: [&str; 4] = ["turns", "question", "instruction", "prompt"];

/// When the judge is shown a reference answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum References {
    /// Where the example's category is one of those that need it.
    Category,
    /// For every example.
    Always,
    /// For none.
    Never,
}

/// One example to be judged.
#[derive(Debug)]
pub struct Task<'a> {
    /// What the user says, one or two turns.
    pub turns: Vec<&'a str>,
    /// Column `category`, if it is there.
    pub category: Option<&'a str>,
    /// A reference answer to each turn, if the judge is to see them.
    pub references: Option<Vec<&'a str>>,
}

impl<'a> Task<'a> {
    /// Reads an example. Its turns are in column `turns` (a list; a text is one turn), else `question`,
    /// `instruction` or `prompt`; reference answers are in column `reference`, one to each turn.
    pub fn read(example: &'a Example, show: References, categories: &[String]) -> Result<Self> {
        let full = |column: &&str| {
            !matches!(example.get(column), None | Some(Value::Null))
                && example.get(column) != Some(&json!(""))
        };
        let column = COLUMNS.into_iter().find(full).ok_or_else(|| {
            "no column `turns`, `question`, `instruction` or `prompt` holds a question".to_owned()
        })?;
        let turns = example.texts(column)?;
        if !(1..=2).contains(&turns.len()) {
            let n = turns.len();
            return Err(format!("column `{column}` holds {n} turns, not one or two"));
        }
        let category = match example.get("category") {
            None | Some(Value::Null) => None,
            Some(_) => Some(example.text("category")?),
        };
        let named = |category| categories.iter().any(|own| own == category);
        let shown = match show {
            References::Category => category.is_some_and(named),
            References::Always => true,
            References::Never => false,
        };
        let references = match shown {
            true => Some(Self::answers(example, "reference", turns.len())?),
            false => None,
        };
        Ok(Self {
            turns,
            category,
            references,
        })
    }

    /// A column that holds an answer to each of so many turns.
    pub fn answers(example: &'a Example, column: &str, turns: usize) -> Result<Vec<&'a str>> {
        let answers = example.texts(column)?;
        match answers.len() < turns {
            true => Err(format!(
                "column `{column}` holds {} answers to {turns} turns",
                answers.len()
            )),
            false => Ok(answers),
        }
    }

    /// Asks the model for its answer to the next turn, after the turns so far; false where it has
    /// answered them all.
    pub fn converse(&self, so_far: &Answers, how: &Generation, questions: &Questions) -> bool {
        let answered = so_far.count() as usize;
        let Some(turn) = self.turns.get(answered) else {
            return false;
        };
        let mut messages = Vec::new();
        for (at, turn) in self.turns[..answered].iter().enumerate() {
            messages.push(json!({ "role": "user", "content": turn }));
            messages.push(json!({ "role": "assistant", "content": said(so_far, at) }));
        }
        messages.push(json!({ "role": "user", "content": turn }));
        questions.chat(&json!(messages).to_string(), &how.to_json());
        true
    }

    /// What stands for each place in a prompt about this turn (from 0), reference answers included.
    pub fn places(&self, turn: usize) -> Vec<(&'static str, &str)> {
        let mut places = match turn {
            0 => vec![("question", self.turns[0]), ("instruction", self.turns[0])],
            _ => vec![("question_1", self.turns[0]), ("question_2", self.turns[1])],
        };
        let names = ["ref_answer_1", "ref_answer_2"];
        let references = self.references.iter().flatten().take(turn + 1);
        places.extend(names.into_iter().zip(references.copied()));
        places
    }
}

/// The text of an answer, of several the first; empty where there is none.
pub fn said(answers: &Answers, index: usize) -> String {
    answers
        .texts(index as u32)
        .into_iter()
        .next()
        .unwrap_or_default()
}

/// The temperature of a category: of `own` where given, else FastChat's.
pub fn temperature(category: Option<&str>, own: Option<&BTreeMap<String, f64>>) -> Option<f64> {
    let category = category?;
    match own {
        Some(own) => own.get(category).copied(),
        None => {
            let listed = TEMPERATURES.into_iter().find(|(name, _)| *name == category);
            listed.map(|(_, temperature)| temperature)
        }
    }
}

/// Prompts to the judge in place of the built-in ones.
#[derive(Clone, Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(inline)]
pub struct Prompts {
    /// About the first turn.
    pub turn_1: Option<Prompt>,
    /// About the first turn, with a reference answer.
    pub turn_1_reference: Option<Prompt>,
    /// About the second turn.
    pub turn_2: Option<Prompt>,
    /// About the second turn, with reference answers.
    pub turn_2_reference: Option<Prompt>,
}

/// A prompt to the judge.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(inline)]
pub struct Prompt {
    /// The system message; none where it is empty. Without it, the built-in one.
    pub system: Option<String>,
    /// The user's message, with places such as `{question}`. Without it, the built-in one.
    pub template: Option<String>,
}

impl Prompts {
    /// The prompt about a turn (from 0), its parts replaced where they are; `built_in` is given the
    /// turn and whether there is a reference.
    pub fn choose(
        &self,
        turn: usize,
        reference: bool,
        built_in: impl Fn(usize, bool) -> Result<Prompt>,
    ) -> Result<Prompt> {
        let own = match (turn, reference) {
            (0, false) => &self.turn_1,
            (0, true) => &self.turn_1_reference,
            (_, false) => &self.turn_2,
            (_, true) => &self.turn_2_reference,
        };
        let own = own.clone().unwrap_or_default();
        let other = built_in(turn, reference)?;
        Ok(Prompt {
            system: own.system.or(other.system),
            template: own.template.or(other.template),
        })
    }
}

impl Prompt {
    /// A prompt of FastChat's `judge_prompts.jsonl`.
    pub fn of_fastchat(lines: &str, name: &str) -> Result<Self> {
        for line in lines.lines() {
            let prompt: Value =
                serde_json::from_str(line).map_err(|error| format!("prompts: {error}"))?;
            if prompt["name"] == name {
                let part = |key: &str| prompt[key].as_str().map(str::to_owned);
                return Ok(Self {
                    system: part("system_prompt"),
                    template: part("prompt_template"),
                });
            }
        }
        Err(format!("there is no prompt `{name}`"))
    }

    /// The messages to the judge, as JSON.
    pub fn messages(&self, places: &[(&str, &str)]) -> Result<String> {
        let user = fill(self.template.as_deref().unwrap_or_default(), places)?;
        let mut messages = Vec::new();
        if let Some(system) = self.system.as_deref().filter(|text| !text.is_empty()) {
            messages.push(json!({ "role": "system", "content": system }));
        }
        messages.push(json!({ "role": "user", "content": user }));
        Ok(json!(messages).to_string())
    }
}

/// Puts texts in the places of a template: `{name}`, a name being of letters, digits and `_`. What was
/// put in is not searched again; other braces stay as they are. A place of no known name is refused.
pub fn fill(template: &str, places: &[(&str, &str)]) -> Result<String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let (before, after) = rest.split_at(open + 1);
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let end = after.bytes().position(|byte| !is_name(byte));
        let name = match end {
            Some(end) if end > 0 && after.as_bytes()[end] == b'}' => &after[..end],
            _ => {
                filled.push_str(before);
                rest = after;
                continue;
            }
        };
        let Some((_, text)) = places.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = places.iter().map(|(known, _)| *known).collect();
            return Err(format!(
                "prompt has a place `{{{name}}}`; there are: {}",
                known.join(", ")
            ));
        };
        filled.push_str(&before[..open]);
        filled.push_str(text);
        rest = &after[name.len() + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

/// A category as it stands in the name of a score: in lower case, with `_` for whatever is neither
/// letter nor digit.
pub fn snake_case(category: &str) -> String {
    let lower = category.to_lowercase();
    let words = lower.split(|letter: char| !letter.is_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("_")
}

/// The mean m = Σs/Σw of judgments, given for each example their sum s and number w. Its standard error
/// is that of a ratio of sums over independent examples, √(n/(n-1) Σ(s - m·w)²)/Σw, which is s/√n where
/// every example has as many judgments. None without a judgment.
pub fn mean(examples: &[(f64, f64)]) -> Option<(f64, Option<f64>)> {
    let judged: Vec<_> = examples.iter().filter(|own| own.1 > 0.0).collect();
    let weight: f64 = judged.iter().map(|own| own.1).sum();
    if judged.is_empty() {
        return None;
    }
    let mean = judged.iter().map(|own| own.0).sum::<f64>() / weight;
    let squares: f64 = judged
        .iter()
        .map(|own| (own.0 - mean * own.1).powi(2))
        .sum();
    let n = judged.len() as f64;
    let error = (n / (n - 1.0) * squares).sqrt() / weight;
    Some((mean, (judged.len() > 1).then_some(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics;

    #[test]
    fn fills_places_once() {
        let places = [("a", "{b} {a}"), ("b", "x")];
        let check = |template, filled: &str| {
            assert_eq!(fill(template, &places).as_deref(), Ok(filled), "{template}");
        };
        check("{a}{b}", "{b} {a}x");
        check("{\n \"a\": {b}, {} { a } {a", "{\n \"a\": x, {} { a } {a");
        check("{{b}} é{b}é", "{x} éxé");
        check("", "");
        let refused = fill("{c}", &places).unwrap_err();
        assert_eq!(refused, "prompt has a place `{c}`; there are: a, b");
    }

    #[test]
    fn takes_the_turns_of_the_first_column_that_has_any() {
        let read = |text: &str| {
            let example = Example::from_json(text)?;
            let categories = REFERENCE_CATEGORIES.map(str::to_owned);
            let task = Task::read(&example, References::Category, &categories)?;
            let own = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
            let turns: Vec<String> = own(&task.turns);
            Ok::<_, String>((turns, task.references.as_deref().map(own)))
        };
        let turns = |text: &str| read(text).map(|own: (_, Option<Vec<String>>)| own.0.join("|"));
        assert_eq!(
            turns(r#"{"turns": ["a", "b"], "prompt": "c"}"#),
            Ok("a|b".into())
        );
        assert_eq!(
            turns(r#"{"prompt": "", "instruction": "i"}"#),
            Ok("i".into())
        );
        assert_eq!(turns(r#"{"question": "q", "prompt": "c"}"#), Ok("q".into()));
        let refused = [
            (
                r#"{"prompt": ""}"#,
                "no column `turns`, `question`, `instruction` or `prompt` holds a question",
            ),
            (
                r#"{"turns": []}"#,
                "column `turns` holds 0 turns, not one or two",
            ),
            (
                r#"{"turns": ["a", "b", "c"]}"#,
                "column `turns` holds 3 turns, not one or two",
            ),
            (
                r#"{"turns": "a", "category": "math"}"#,
                "column `reference` is missing; there are: turns, category",
            ),
            (
                r#"{"turns": ["a", "b"], "category": "math", "reference": "r"}"#,
                "column `reference` holds 1 answers to 2 turns",
            ),
        ];
        for (text, error) in refused {
            assert_eq!(read(text).unwrap_err(), error);
        }
        let (_, references) =
            read(r#"{"turns": "a", "category": "math", "reference": "r"}"#).unwrap();
        assert_eq!(references, Some(vec!["r".to_owned()]));
    }

    #[test]
    fn a_mean_over_as_many_judgments_each_has_the_error_of_a_mean() {
        let values = [(9.0, 2.0), (15.0, 2.0), (4.0, 2.0), (20.0, 2.0)];
        let halves: Vec<f64> = values.iter().map(|own| own.0 / 2.0).collect();
        let (own, error) = mean(&values).unwrap();
        let (other, other_error) = statistics::mean(&halves);
        assert!((own - other).abs() < 1e-12);
        assert!((error.unwrap() - other_error.unwrap()).abs() < 1e-12);
        assert_eq!(mean(&[(0.0, 0.0)]), None);
        assert_eq!(mean(&[(0.0, 0.0), (7.0, 1.0)]), Some((7.0, None)));
    }

    #[test]
    fn categories_become_words() {
        assert_eq!(snake_case("Common-sense / QA"), "common_sense_qa");
        assert_eq!(snake_case("--"), "");
        assert_eq!(snake_case("数学"), "数学");
    }
}
