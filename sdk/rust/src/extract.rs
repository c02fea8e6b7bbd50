//! Finding the answer in what a model says, by the filters of lm-evaluation-harness 0.4.13. Feature
//! `extract`.

mod pattern;
mod translate;

use schemars::JsonSchema;
use serde::Deserialize;

pub use pattern::{Match, Pattern};

use crate::Result;

/// How the answer is found in what the model says. In this order: `after`, `until`, `pattern` (with
/// `multiple_choice`), `strip`, `lowercase`. Without any of them it is the whole text.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Extract {
    /// Only what follows the first occurrence of this text counts; all of it where it is not there.
    pub after: Option<String>,
    /// Only what comes before the first of these texts counts: `"\n\n"` is up to a blank line.
    pub until: Vec<String>,
    /// Regular expression in Python's syntax that finds the answer: its first group that is not empty, or
    /// all of the match where it has no groups (lm-eval's `regex`).
    pub pattern: Option<String>,
    /// Which match counts, from 0; -1 is the last, -2 the one before it.
    pub group_select: i64,
    /// The answer where nothing matches.
    pub fallback: String,
    /// Where `pattern` finds nothing, look for the text of a choice, then for a letter after a colon; the
    /// answer is then the letter in parentheses, `(A)` (lm-eval's `multi_choice_regex`). The choices are
    /// the column `choices`.
    pub multiple_choice: Option<MultipleChoice>,
    /// Take spaces off both ends.
    pub strip: bool,
    /// Write it in lower case.
    pub lowercase: bool,
    /// Which answer counts where several texts were drawn.
    pub take: Take,
}

/// How choices are looked for in the text: what is left out of both before they are compared.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MultipleChoice {
    /// Take lower and upper case as the same.
    pub ignore_case: bool,
    /// Leave out punctuation, of any script.
    pub ignore_punctuation: bool,
    /// Leave out what these regular expressions match.
    pub regexes_to_ignore: Vec<String>,
}

/// Which of several answers counts.
#[derive(Clone, Copy, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Take {
    /// The first (lm-eval's `take_first`).
    #[default]
    First,
    /// The most frequent, of equally frequent ones the first (lm-eval's `majority_vote`).
    Majority,
}

impl Default for Extract {
    fn default() -> Self {
        Self {
            after: None,
            until: Vec::new(),
            pattern: None,
            group_select: 0,
            fallback: "[invalid]".into(),
            multiple_choice: None,
            strip: false,
            lowercase: false,
            take: Take::First,
        }
    }
}

impl Extract {
    /// The first or last match of a pattern.
    pub fn by_pattern(pattern: &str, group_select: i64) -> Self {
        Self {
            pattern: Some(pattern.into()),
            group_select,
            ..Self::default()
        }
    }

    /// The answer among the texts that one question got. `choices` matter with `multiple_choice` alone.
    pub fn answer(&self, texts: &[String], choices: &[&str]) -> Result<String> {
        if texts.is_empty() {
            return Err("there is no generated text".into());
        }
        let one = |text: &String| self.one(text, choices);
        match self.take {
            Take::First => one(&texts[0]),
            Take::Majority => {
                let answers: Vec<String> = texts.iter().map(one).collect::<Result<_>>()?;
                Ok(majority(&answers).to_owned())
            }
        }
    }

    /// The answer in one text.
    pub fn one(&self, text: &str, choices: &[&str]) -> Result<String> {
        let mut text = text;
        if let Some(after) = &self.after {
            text = text.split_once(after.as_str()).map_or(text, |cut| cut.1);
        }
        let ends = self.until.iter().filter_map(|end| text.find(end.as_str()));
        text = &text[..ends.min().unwrap_or(text.len())];
        let mut answer = match (&self.pattern, &self.multiple_choice) {
            (None, None) => text.to_owned(),
            (pattern, multiple) => {
                let found = match pattern {
                    Some(pattern) => self.select(&Pattern::new(pattern)?, text)?,
                    None => Found::Nothing,
                };
                match multiple {
                    Some(multiple) => self.choose(found, multiple, text, choices)?,
                    None => match found {
                        Found::Text(text) => strip(text).to_owned(),
                        // lm-eval strips the fallback only where a match had no group to give.
                        Found::Empty => strip(&self.fallback).to_owned(),
                        Found::Nothing => self.fallback.clone(),
                    },
                }
            }
        };
        if self.strip {
            answer = strip(&answer).to_owned();
        }
        if self.lowercase {
            answer = answer.to_lowercase();
        }
        Ok(answer)
    }

    /// The match that `group_select` names, and of it the first group that is not empty. Where there are
    /// fewer matches, none (lm-eval stops with an error).
    fn select<'t>(&self, pattern: &Pattern, text: &'t str) -> Result<Found<'t>> {
        let matches = pattern.matches(text)?;
        let index = match usize::try_from(self.group_select) {
            Ok(index) => Some(index),
            Err(_) => matches
                .len()
                .checked_sub(self.group_select.unsigned_abs() as usize),
        };
        let Some(found) = index.and_then(|index| matches.get(index)) else {
            return Ok(Found::Nothing);
        };
        let groups = found.found();
        Ok(match groups[..] {
            [only] => Found::Text(only),
            _ => match groups.into_iter().find(|group| !group.is_empty()) {
                Some(group) => Found::Text(group),
                None => Found::Empty,
            },
        })
    }

    /// `MultiChoiceRegexFilter.apply`: the pattern, else the text of a choice, else a letter after a colon.
    fn choose(
        &self,
        found: Found,
        multiple: &MultipleChoice,
        text: &str,
        choices: &[&str],
    ) -> Result<String> {
        if let Some(found) = found.text() {
            return Ok(found);
        }
        let letters = ('A'..).take(choices.len());
        let names: Vec<String> = letters
            .clone()
            .map(|letter| format!("({letter})"))
            .collect();
        let plain = choices
            .iter()
            .map(|choice| multiple.reduce(strip(choice)))
            .collect::<Result<Vec<String>>>()?;
        let mut branches: Vec<String> = plain.iter().map(|text| Pattern::escape(text)).collect();
        // The longest first, since the first branch that matches wins.
        branches.sort_by_key(|branch| std::cmp::Reverse(branch.chars().count()));
        let reduced = multiple.reduce(text)?;
        let found = self.select(&Pattern::new(&branches.join("|"))?, &reduced)?;
        if let Some(found) = found.text() {
            // Of choices with the same text the last one's letter counts.
            let which = plain.iter().rposition(|choice| *choice == found);
            return Ok(which.map_or(found, |which| names[which].clone()));
        }
        let letters: Vec<String> = letters
            .map(|letter| Pattern::escape(&letter.to_string()))
            .collect();
        let pattern = Pattern::new(&format!(r":[\s]*({})", letters.join("|")))?;
        let found = self.select(&pattern, text)?;
        Ok(match found.text() {
            Some(found) => match names.iter().find(|name| name[1..name.len() - 1] == *found) {
                Some(name) => name.clone(),
                None => found,
            },
            None => self.fallback.clone(),
        })
    }
}

/// What a pattern gave.
#[derive(Clone, Copy)]
enum Found<'t> {
    Text(&'t str),
    /// A match of which no group took part.
    Empty,
    Nothing,
}

impl Found<'_> {
    /// Its text without spaces around it, where there is any.
    fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(strip(text).to_owned()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }
}

impl MultipleChoice {
    fn reduce(&self, text: &str) -> Result<String> {
        let mut text = without(text, &self.regexes_to_ignore)?;
        if self.ignore_case {
            text = text.to_lowercase();
        }
        if self.ignore_punctuation {
            text = Pattern::punctuation()?.delete(&text)?;
        }
        Ok(text)
    }
}

/// What does not count when an answer is compared with a reference; left out of both, in this order.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ignore {
    /// What these regular expressions in Python's syntax match, one after the other.
    pub regexes: Vec<String>,
    /// Whether letters are in lower or upper case.
    pub case: bool,
    /// The 32 punctuation characters of ASCII.
    pub punctuation: bool,
    /// The digits 0 to 9.
    pub numbers: bool,
}

impl Ignore {
    /// The text without what does not count (lm-eval's `exact_match_hf_evaluate`).
    pub fn reduce(&self, text: &str) -> Result<String> {
        let mut text = without(text, &self.regexes)?;
        if self.case {
            text = text.to_lowercase();
        }
        if self.punctuation {
            text.retain(|c| !c.is_ascii_punctuation());
        }
        if self.numbers {
            text.retain(|c| !c.is_ascii_digit());
        }
        Ok(text)
    }
}

fn without(text: &str, patterns: &[String]) -> Result<String> {
    let mut text = text.to_owned();
    for pattern in patterns {
        text = Pattern::new(pattern)?.delete(&text)?;
    }
    Ok(text)
}

/// The most frequent text, of equally frequent ones the first; empty where there is none.
pub fn majority(texts: &[String]) -> &str {
    let votes = |text: &String| texts.iter().filter(|other| *other == text).count();
    let best = texts.iter().map(votes).max();
    let winner = texts.iter().find(|text| Some(votes(text)) == best);
    winner.map_or("", String::as_str)
}

/// Without spaces around it, as Python's `str.strip`: the separators of ASCII are spaces too.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `str.isspace` of one character.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

#[cfg(test)]
mod tests;
