//! `evaluation`: questions, answers, observations and scores.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmtime::Result;
use wasmtime::component::Resource;

use super::{Host, plain, refuse};
use crate::bindings::folkmoot::plugin::evaluation;

/// Something a metric wants to know.
#[derive(Clone, PartialEq, Debug)]
pub enum Question {
    /// Continuations of a text, or the next turn of a conversation.
    Generate { prompt: Prompt, how: Generation },
    /// Log-likelihood of `continuation` after `context`; of the whole text where the context is empty.
    Likelihood {
        context: String,
        continuation: String,
    },
    /// What the judge says.
    Judge {
        messages: Vec<ChatMessage>,
        how: Generation,
    },
    /// What a program does in the sandbox.
    Execute { source: String, timeout: Duration },
}

impl Question {
    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.size().0
    }

    /// Bytes that it holds, and answers that it asks for.
    fn size(&self) -> (usize, usize) {
        let said = |messages: &[ChatMessage]| -> usize {
            let turns = messages.iter();
            turns
                .map(|own| TEXT + own.role.len() + own.content.len())
                .sum()
        };
        let stops = |how: &Generation| -> usize {
            let texts = how.stop.iter();
            texts.map(|own| TEXT + own.len()).sum()
        };
        match self {
            Self::Generate { prompt, how } => {
                let bytes = match prompt {
                    Prompt::Text(text) => text.len(),
                    Prompt::Chat(messages) => said(messages),
                };
                (bytes + stops(how), how.samples as usize)
            }
            Self::Likelihood {
                context,
                continuation,
            } => (context.len() + continuation.len(), 1),
            Self::Judge { messages, how } => (said(messages) + stops(how), how.samples as usize),
            Self::Execute { source, .. } => (source.len(), 1),
        }
    }
}

/// What is continued.
#[derive(Clone, PartialEq, Debug)]
pub enum Prompt {
    Text(String),
    Chat(Vec<ChatMessage>),
}

/// One turn of a conversation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatMessage {
    /// `system`, `user` or `assistant`.
    pub role: String,
    pub content: String,
}

/// How a text is generated.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Generation {
    /// Tokens at most.
    #[serde(default = "default_max_tokens")]
    pub max_tokens: u32,
    /// Texts that end it and are cut off.
    #[serde(default)]
    pub stop: Vec<String>,
    /// 0: the likeliest token each time.
    #[serde(default)]
    pub temperature: f64,
    #[serde(default)]
    pub top_p: Option<f64>,
    #[serde(default)]
    pub top_k: Option<u32>,
    /// Texts to draw.
    #[serde(default = "one")]
    pub samples: u32,
}

/// Bytes that a turn, or a text of `stop`, takes beside its words.
const TEXT: usize = 64;

/// Bytes of the options of one question: parsed, they take many times as much.
const OPTIONS: usize = 64 << 10;

/// Bytes of a score's name, which people read in tables.
const SCORE: usize = 256;

/// Texts that one question may draw.
const MOST_SAMPLES: u32 = 1024;

/// Tokens that one text may have.
const MOST_TOKENS: u32 = 1 << 20;

/// Answers, samples each for itself, that one call may ask for.
const MOST_TEXTS: usize = 10_000;

/// Longest time that a metric may ask for a program, in milliseconds.
const LONGEST: u32 = 600_000;

impl Generation {
    fn parse(call: &str, options: &str) -> Result<Self> {
        if options.len() > OPTIONS {
            let bytes = options.len();
            return Err(refuse(format!(
                "`{call}`: options of {bytes} bytes, where there may be {OPTIONS}"
            )));
        }
        let own: Self = serde_json::from_str(options)
            .map_err(|error| refuse(format!("`{call}`: options: {error}")))?;
        let refused = |what: String| Err(refuse(format!("`{call}`: options: {what}")));
        if !(1..=MOST_TOKENS).contains(&own.max_tokens) {
            let tokens = own.max_tokens;
            return refused(format!("`max-tokens` is {tokens}, not 1 to {MOST_TOKENS}"));
        }
        if own.stop.iter().any(String::is_empty) {
            return refused("a text of `stop` is empty, which ends every answer at once".into());
        }
        if !(1..=MOST_SAMPLES).contains(&own.samples) {
            return refused(format!(
                "`samples` is {}, not 1 to {MOST_SAMPLES}",
                own.samples
            ));
        }
        if !(own.temperature.is_finite() && own.temperature >= 0.0) {
            return refused(format!("`temperature` is {}", own.temperature));
        }
        if let Some(p) = own.top_p.filter(|p| !(*p > 0.0 && *p <= 1.0)) {
            return refused(format!("`top-p` is {p}, not above 0 and at most 1"));
        }
        if own.top_k == Some(0) {
            return refused("`top-k` is 0".into());
        }
        Ok(own)
    }
}

fn messages(call: &str, messages: &str) -> Result<Vec<ChatMessage>> {
    let turns: Vec<ChatMessage> = serde_json::from_str(messages)
        .map_err(|error| refuse(format!("`{call}`: messages: {error}")))?;
    let known = ["system", "user", "assistant"];
    if let Some(turn) = turns
        .iter()
        .find(|turn| !known.contains(&turn.role.as_str()))
    {
        let role = &turn.role;
        return Err(refuse(format!(
            "`{call}`: messages: role `{role}` is none of system, user, assistant"
        )));
    }
    match turns.last() {
        Some(turn) if turn.role != "assistant" => Ok(turns),
        Some(_) => Err(refuse(format!(
            "`{call}`: messages: the last is the assistant's own"
        ))),
        None => Err(refuse(format!("`{call}`: messages: there is none"))),
    }
}

/// The answer to one question.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Reply {
    pub texts: Vec<String>,
    pub log_likelihood: f64,
    pub tokens: u32,
    pub greedy: bool,
    pub succeeded: bool,
    pub output: String,
    pub failure: String,
}

/// One score of a metric.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Score {
    pub name: String,
    pub value: f64,
    pub higher_is_better: bool,
    pub standard_error: Option<f64>,
}

/// Questions asked in one call.
#[derive(Default)]
pub struct Asked(pub(crate) Vec<Question>);

/// Answers so far, in the order of the questions.
pub struct Answers(pub(crate) Vec<Reply>);

/// What was observed: of one example while it is being observed, of all in `summarize`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Observed {
    pub values: Vec<(String, f64, f64)>,
    pub labels: Vec<(String, String, String)>,
    pub notes: Vec<(String, String)>,
}

impl Observed {
    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        let values = self.values.iter().map(|own| TEXT + own.0.len());
        let labels = &self.labels;
        let labels = labels
            .iter()
            .map(|own| TEXT + own.0.len() + own.1.len() + own.2.len());
        let notes = self
            .notes
            .iter()
            .map(|own| TEXT + own.0.len() + own.1.len());
        values.chain(labels).chain(notes).sum()
    }

    /// An order by what was observed, notes aside.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        let values = self.values.iter().zip(&other.values).map(|(a, b)| {
            (a.0.cmp(&b.0))
                .then(a.1.total_cmp(&b.1))
                .then(a.2.total_cmp(&b.2))
        });
        let values = values.fold(Ordering::Equal, Ordering::then);
        values
            .then(self.values.len().cmp(&other.values.len()))
            .then_with(|| self.labels.cmp(&other.labels))
    }
}

/// Scores of a metric.
#[derive(Default)]
pub struct Scored(pub(crate) Vec<Score>);

fn default_max_tokens() -> u32 {
    16
}

fn one() -> u32 {
    1
}

impl evaluation::HostQuestions for Host {
    fn generate(&mut self, this: Resource<Asked>, prompt: String, options: String) -> Result<()> {
        self.copied_out(&[&prompt, &options][..]);
        let how = Generation::parse("questions.generate", &options)?;
        let prompt = Prompt::Text(prompt);
        self.ask(&this, Question::Generate { prompt, how })
    }

    fn chat(&mut self, this: Resource<Asked>, turns: String, options: String) -> Result<()> {
        self.copied_out(&[&turns, &options][..]);
        let how = Generation::parse("questions.chat", &options)?;
        let prompt = Prompt::Chat(messages("questions.chat", &turns)?);
        self.ask(&this, Question::Generate { prompt, how })
    }

    fn judge(&mut self, this: Resource<Asked>, turns: String, options: String) -> Result<()> {
        self.copied_out(&[&turns, &options][..]);
        let how = Generation::parse("questions.judge", &options)?;
        let messages = messages("questions.judge", &turns)?;
        self.ask(&this, Question::Judge { messages, how })
    }

    fn execute(
        &mut self,
        this: Resource<Asked>,
        language: String,
        source: String,
        timeout_ms: u32,
    ) -> Result<()> {
        self.copied_out(&[&language, &source][..]);
        if language != "python" {
            return Err(refuse(format!(
                "`questions.execute`: there is no sandbox for `{language}`; there is one for python"
            )));
        }
        if !(1..=LONGEST).contains(&timeout_ms) {
            return Err(refuse(format!(
                "`questions.execute`: {timeout_ms} ms is not 1 to {LONGEST}"
            )));
        }
        let timeout = Duration::from_millis(timeout_ms.into());
        self.ask(&this, Question::Execute { source, timeout })
    }

    fn likelihood(
        &mut self,
        this: Resource<Asked>,
        context: String,
        continuation: String,
    ) -> Result<()> {
        self.copied_out(&[&context, &continuation][..]);
        let question = Question::Likelihood {
            context,
            continuation,
        };
        self.ask(&this, question)
    }

    fn perplexity(&mut self, this: Resource<Asked>, text: String) -> Result<()> {
        evaluation::HostQuestions::likelihood(self, this, String::new(), text)
    }

    fn drop(&mut self, this: Resource<Asked>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl Host {
    fn ask(&mut self, this: &Resource<Asked>, question: Question) -> Result<()> {
        let (bytes, texts) = question.size();
        self.retain(bytes)?;
        self.texts += texts;
        self.usage.questions += 1;
        if self.texts > MOST_TEXTS {
            return Err(refuse(format!(
                "`questions`: more than {MOST_TEXTS} answers are asked for about one example"
            )));
        }
        self.table.get_mut(this)?.0.push(question);
        Ok(())
    }

    fn reply(&self, this: &Resource<Answers>, index: u32) -> Result<&Reply> {
        let answers = &self.table.get(this)?.0;
        let message = || format!("`answers`: there is no answer {index} of {}", answers.len());
        answers.get(index as usize).ok_or_else(|| refuse(message()))
    }
}

impl evaluation::HostAnswers for Host {
    fn count(&mut self, this: Resource<Answers>) -> Result<u32> {
        Ok(self.table.get(&this)?.0.len() as u32)
    }

    fn texts(&mut self, this: Resource<Answers>, index: u32) -> Result<Vec<String>> {
        let texts = self.reply(&this, index)?.texts.clone();
        self.answer(texts)
    }

    fn log_likelihood(&mut self, this: Resource<Answers>, index: u32) -> Result<f64> {
        Ok(self.reply(&this, index)?.log_likelihood)
    }

    fn tokens(&mut self, this: Resource<Answers>, index: u32) -> Result<u32> {
        Ok(self.reply(&this, index)?.tokens)
    }

    fn greedy(&mut self, this: Resource<Answers>, index: u32) -> Result<bool> {
        Ok(self.reply(&this, index)?.greedy)
    }

    fn succeeded(&mut self, this: Resource<Answers>, index: u32) -> Result<bool> {
        Ok(self.reply(&this, index)?.succeeded)
    }

    fn output(&mut self, this: Resource<Answers>, index: u32) -> Result<String> {
        let output = self.reply(&this, index)?.output.clone();
        self.answer(output)
    }

    fn failure(&mut self, this: Resource<Answers>, index: u32) -> Result<String> {
        let failure = self.reply(&this, index)?.failure.clone();
        self.answer(failure)
    }

    fn drop(&mut self, this: Resource<Answers>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl evaluation::HostObservations for Host {
    fn add(&mut self, this: Resource<Observed>, name: String, sum: f64, weight: f64) -> Result<()> {
        if !(sum.is_finite() && weight.is_finite()) {
            let what = format!("`observations.add`: `{name}` is {sum} of weight {weight}");
            return Err(refuse(what));
        }
        self.copied_out(&name);
        self.retain(name.len())?;
        self.table.get_mut(&this)?.values.push((name, sum, weight));
        Ok(())
    }

    fn label(
        &mut self,
        this: Resource<Observed>,
        name: String,
        expected: String,
        predicted: String,
    ) -> Result<()> {
        self.copied_out(&[&name, &expected, &predicted][..]);
        self.retain(name.len() + expected.len() + predicted.len())?;
        let labels = &mut self.table.get_mut(&this)?.labels;
        labels.push((name, expected, predicted));
        Ok(())
    }

    fn note(&mut self, this: Resource<Observed>, name: String, text: String) -> Result<()> {
        self.copied_out(&[&name, &text][..]);
        self.retain(name.len() + text.len())?;
        self.table.get_mut(&this)?.notes.push((name, text));
        Ok(())
    }

    fn names(&mut self, this: Resource<Observed>) -> Result<Vec<String>> {
        let observed = self.table.get(&this)?;
        let values = observed.values.iter().map(|own| &own.0);
        let names = values.chain(observed.labels.iter().map(|own| &own.0));
        let names: BTreeSet<String> = names.cloned().collect();
        self.answer(names.into_iter().collect())
    }

    fn values(&mut self, this: Resource<Observed>, name: String) -> Result<Vec<(f64, f64)>> {
        let values = self.table.get(&this)?.values.iter();
        let own = values.filter(|own| own.0 == name);
        let own = own.map(|own| (own.1, own.2)).collect();
        self.copied_out(&name);
        self.answer(own)
    }

    fn labels(&mut self, this: Resource<Observed>, name: String) -> Result<Vec<(String, String)>> {
        let labels = self.table.get(&this)?.labels.iter();
        let own = labels.filter(|own| own.0 == name);
        let own = own.map(|own| (own.1.clone(), own.2.clone())).collect();
        self.copied_out(&name);
        self.answer(own)
    }

    fn drop(&mut self, this: Resource<Observed>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl evaluation::HostScores for Host {
    fn add(
        &mut self,
        this: Resource<Scored>,
        name: String,
        value: f64,
        higher_is_better: bool,
        standard_error: Option<f64>,
    ) -> Result<()> {
        self.copied_out(&name);
        if name.len() > SCORE || name.contains(char::is_control) {
            let (bytes, name) = (name.len(), plain(&name, 80));
            return Err(refuse(format!(
                "`scores.add`: `{name}`, of {bytes} bytes, is no name: there may be {SCORE} bytes and no control characters"
            )));
        }
        self.retain(name.len())?;
        self.table.get_mut(&this)?.0.push(Score {
            name,
            value,
            higher_is_better,
            standard_error,
        });
        Ok(())
    }

    fn drop(&mut self, this: Resource<Scored>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl evaluation::Host for Host {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Sandbox};
    use folkmoot_params::Seed;
    use std::sync::Arc;

    #[test]
    fn names_of_scores_are_short_and_plain() {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::new(Limits::default(), folder.path(), Arc::new(|_| {})).unwrap();
        let mut host = Host::new(&sandbox, "metric", "summarize", Seed(0));
        let scores = host.table.push(Scored::default()).unwrap();
        let mut add = |name: &str| {
            let this = Resource::new_borrow(scores.rep());
            let name = name.to_owned();
            let added = evaluation::HostScores::add(&mut host, this, name, 1.0, true, None);
            added.map_err(|error| error.to_string())
        };
        assert_eq!(add(&"ä".repeat(SCORE / 2)), Ok(()));
        let no_name = "is no name: there may be 256 bytes and no control characters";
        let long = "x".repeat(SCORE + 1);
        for name in ["\u{1b}[2J", "a\nb", long.as_str()] {
            let said = add(name).unwrap_err();
            assert!(
                said.ends_with(no_name) && !said.contains('\u{1b}'),
                "{said:?}"
            );
        }
    }

    /// Every text counts, and that there is one: a list of empty ones is not free.
    #[test]
    fn questions_are_as_large_as_what_they_hold() {
        let how = Generation::parse("call", r#"{"stop":["ab","c"],"samples":3}"#).unwrap();
        let stops = 2 * TEXT + 3;
        let prompt = Prompt::Text("12345".into());
        let generate = Question::Generate {
            prompt,
            how: how.clone(),
        };
        assert_eq!(generate.size(), (5 + stops, 3));
        let messages = messages(
            "call",
            r#"[{"role":"user","content":""},{"role":"user","content":"x"}]"#,
        );
        let messages = messages.unwrap();
        let turns = 2 * TEXT + 2 * "user".len() + 1;
        let prompt = Prompt::Chat(messages.clone());
        let chat = Question::Generate {
            prompt,
            how: how.clone(),
        };
        assert_eq!(chat.size(), (turns + stops, 3));
        let judge = Question::Judge { messages, how };
        assert_eq!(judge.size(), (turns + stops, 3));
        let many = format!(r#"{{"stop":["{}"]}}"#, "x".repeat(OPTIONS));
        let error = Generation::parse("call", &many)
            .err()
            .map(|own| own.to_string());
        let expected = "`call`: options of 65549 bytes, where there may be 65536";
        assert_eq!(error.as_deref(), Some(expected));
    }
}
