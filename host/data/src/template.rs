//! How a conversation becomes one text, and which of its tokens are trained. Which tokens those are is decided by
//! position in the text, never by looking for ids.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, context};
use sha2::{Digest, Sha256};

use crate::dataset::{Role, Turn};
use crate::digest::hexadecimal;
use crate::nearest::{listed, nearest};
use crate::tokenizer::Tokenizer;
use rendered::{Rendered, mark_generation};

mod rendered;

/// Around what is trained in a rendered text; characters of a private-use area, so that no data has them.
const OPEN: char = '\u{e000}';
const CLOSE: char = '\u{e001}';

/// Steps that a template may take for one conversation.
const FUEL: u64 = 10_000_000;

macro_rules! shipped {
    ($($name:literal $spells_bos:literal,)*) => {
        /// Name, source, and whether the template alone decides on a beginning-of-text token, as in transformers'
        /// chat templates; before the text of the others the tokenizer puts its own.
        const SHIPPED: &[(&str, &str, bool)] =
            &[$(($name, include_str!(concat!("../templates/", $name, ".jinja")), $spells_bos),)*];
    };
}

shipped! {
    "plain" false,
    "alpaca" false,
    "vicuna" false,
    "chatml" true,
    "llama-2" true,
    "llama-3" true,
    "mistral" true,
    "gemma" true,
    "zephyr" true,
}

/// The form of the text around what is said: a minijinja template over `messages`, `bos_token` and `eos_token`.
#[derive(Debug)]
pub struct Template {
    name: String,
    source: String,
    environment: Environment<'static>,
    /// Whether it marks what is trained, by `trained(text)` or by the tags `generation` of transformers.
    marks: bool,
    /// Whether it has a place for an instruction's input.
    takes_input: bool,
    spells_bos: bool,
}

/// The tokens of one example.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tokenized {
    /// The token ids.
    pub ids: Vec<u32>,
    /// For each, whether the model learns to produce it.
    pub trained: Vec<bool>,
}

impl Tokenized {
    /// Keeps the first `length` tokens.
    pub fn cut(&mut self, length: usize) {
        self.ids.truncate(length);
        self.trained.truncate(length);
    }
}

/// Whose turns are trained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Learnt {
    /// All of the assistant's.
    Every,
    /// The last.
    Last,
}

impl Template {
    /// The names of the templates that come with this program, and `model`, which is the model's own.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|(name, ..)| *name).chain(["model"])
    }

    /// The template called `name`, or the minijinja file at `path` where the name is that of a file.
    pub fn find(name: &str, path: &Path, tokenizer: &Tokenizer) -> Result<Self> {
        if let Some((name, source, spells_bos)) = SHIPPED.iter().find(|(own, ..)| *own == name) {
            return Self::new(name, source, *spells_bos);
        }
        if name == "model" {
            let source = tokenizer.chat_template().context(
                "the model has no chat template\nhint: use another, such as `plain`, `alpaca` or `vicuna`",
            )?;
            return Self::new(name, source, true);
        }
        if !name.contains(['/', '\\', '.']) {
            bail!(
                "no template is called `{name}`, known are {}{}\nhint: a file of your own ends in `.jinja`",
                listed(Self::names()),
                nearest(name, Self::names())
            );
        }
        let source = std::fs::read_to_string(path)
            .with_context(|| format!("reading the template `{}`", path.display()))?;
        Self::new(name, &source, source.contains("bos_token"))
    }

    fn new(name: &str, source: &str, spells_bos: bool) -> Result<Self> {
        let marked = mark_generation(source);
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?;
        environment.set_syntax(syntax);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        // Templates come with models, from strangers; no conversation needs so many steps.
        environment.set_fuel(Some(FUEL));
        if name != "model" {
            // Models' own templates count on what is not defined being nothing.
            environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        }
        environment.add_function("trained", |text: String| format!("{OPEN}{text}{CLOSE}"));
        environment.add_function("raise_exception", |said: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, said))
        });
        environment.add_function("strftime_now", |_: String| -> Result<String, Error> {
            let why = "it asks for today's date (`strftime_now`), so that runs would differ from day to day";
            Err(Error::new(ErrorKind::InvalidOperation, why))
        });
        environment
            .add_template_owned("template", marked.clone())
            .map_err(|error| anyhow!("template `{name}`: {error}"))?;
        Ok(Self {
            name: name.to_owned(),
            marks: marked.contains("trained(") || marked.contains(OPEN),
            takes_input: source.contains(".input") || source.contains("['input']"),
            source: source.to_owned(),
            environment,
            spells_bos,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Of what it does to texts: equal templates have equal digests.
    pub(crate) fn digest(&self) -> String {
        let spells = if self.spells_bos { "alone" } else { "" };
        hexadecimal(&Sha256::digest(format!("{spells}\0{}", self.source)))
    }

    /// The text up to where the answer starts. Templates leave the space before an answer to the answer: most
    /// vocabularies have it in the word's token, so that only then the tokens of this text are the first ones of
    /// the whole text's.
    pub fn prompt(&self, tokenizer: &Tokenizer, prompt: &[Turn]) -> Result<String> {
        let rendered = self.render(tokenizer, &answered(prompt, "a"))?;
        let start = rendered.last().start;
        let mut text = rendered.text;
        text.truncate(start);
        Ok(text)
    }

    /// The ids of the prompt.
    pub fn prompt_ids(&self, tokenizer: &Tokenizer, prompt: &[Turn]) -> Result<Vec<u32>> {
        let mut ids = tokenizer.encode(&self.prompt(tokenizer, prompt)?)?;
        if let Some(bos) = self.missing_bos(tokenizer, &ids) {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// The token that ends an answer under this template; the end of text where the template ends it with none.
    pub fn end_of_response(&self, tokenizer: &Tokenizer) -> Result<u32> {
        let turns = answered(&[Turn::new(Role::User, "a")], "b");
        let tokenized = self.tokenize(tokenizer, &turns, Learnt::Last)?;
        let last = tokenized.trained.iter().rposition(|trained| *trained);
        let last =
            tokenized.ids[last.expect("some token is trained, or tokenize would have failed")];
        // An end that is spelt in pieces is none to stop at.
        let special = tokenizer.is_special(last);
        Ok(if special { last } else { tokenizer.eos() })
    }

    /// Whether an answer ends with a token that stands for nothing else; not so where the template's end is no token
    /// of this model, which then learns to spell it.
    pub fn ends_with_token(&self, tokenizer: &Tokenizer) -> Result<bool> {
        let turns = answered(&[Turn::new(Role::User, "a")], "b");
        let tokenized = self.tokenize(tokenizer, &turns, Learnt::Last)?;
        let last = tokenized.trained.iter().rposition(|trained| *trained);
        Ok(last.is_some_and(|last| tokenizer.is_special(tokenized.ids[last])))
    }

    /// The tokens of the whole text. Trained are those that overlap what the assistant says, up to and with the token that ends a turn; what a template puts after that is not.
    pub fn tokenize(
        &self,
        tokenizer: &Tokenizer,
        turns: &[Turn],
        learnt: Learnt,
    ) -> Result<Tokenized> {
        let rendered = self.render(tokenizer, turns)?;
        let (mut ids, offsets) = tokenizer.encode_with_offsets(&rendered.text)?;
        let ranges = rendered.trained_bytes(tokenizer, &ids, &offsets);
        let ranges = match learnt {
            Learnt::Every => &ranges[..],
            Learnt::Last => &ranges[ranges.len() - 1..],
        };
        // Where spaces are left out of the ranges, the range of a lone space is empty: it counts as one byte.
        let overlaps = |&(from, to): &(usize, usize)| {
            let own = |range: &Range<usize>| from < range.end && to.max(from + 1) > range.start;
            ranges.iter().any(own)
        };
        let mut trained: Vec<bool> = offsets.iter().map(overlaps).collect();
        if let Some(bos) = self.missing_bos(tokenizer, &ids) {
            ids.insert(0, bos);
            trained.insert(0, false);
        }
        ensure!(
            trained.contains(&true),
            "template `{}`: no token is trained",
            self.name
        );
        Ok(Tokenized { ids, trained })
    }

    /// The whole text, without what the tokenizer puts before it, and the bytes of it that are trained.
    pub fn text(
        &self,
        tokenizer: &Tokenizer,
        turns: &[Turn],
        learnt: Learnt,
    ) -> Result<(String, Vec<Range<usize>>)> {
        let rendered = self.render(tokenizer, turns)?;
        let (ids, offsets) = tokenizer.encode_with_offsets(&rendered.text)?;
        let mut trained = rendered.trained_bytes(tokenizer, &ids, &offsets);
        if learnt == Learnt::Last {
            trained.drain(..trained.len().saturating_sub(1));
        }
        Ok((rendered.text, trained))
    }

    /// The text that follows the prompt, up to and with what ends the response: the tokens of the prompt with it
    /// are those of the whole text up to the last one that is trained.
    pub fn continuation(
        &self,
        tokenizer: &Tokenizer,
        prompt: &[Turn],
        response: &str,
    ) -> Result<String> {
        let rendered = self.render(tokenizer, &answered(prompt, response))?;
        let (ids, offsets) = tokenizer.encode_with_offsets(&rendered.text)?;
        let trained = rendered.trained_bytes(tokenizer, &ids, &offsets);
        let last = trained.into_iter().next_back();
        Ok(rendered.text[last.unwrap_or_default()].to_owned())
    }

    /// The beginning-of-text token, where it goes before this template's texts and the text does not spell it.
    pub fn missing_bos(&self, tokenizer: &Tokenizer, ids: &[u32]) -> Option<u32> {
        let bos = tokenizer.bos().filter(|_| !self.spells_bos);
        bos.filter(|bos| ids.first() != Some(bos))
    }

    /// The text of a conversation that ends with the assistant's turn.
    fn render(&self, tokenizer: &Tokenizer, turns: &[Turn]) -> Result<Rendered> {
        let private = |turn: &Turn| {
            let texts = [Some(&turn.content), turn.input.as_ref()];
            texts
                .into_iter()
                .flatten()
                .any(|text| text.contains([OPEN, CLOSE]))
        };
        ensure!(
            !turns.iter().any(private),
            "a text holds U+E000 or U+E001, which mark what is trained"
        );
        let turns: Vec<Turn> = turns.iter().map(|turn| self.fitted(turn)).collect();
        match self.marks {
            true => self.marked(tokenizer, &turns),
            false => self.found(tokenizer, &turns),
        }
    }

    /// A turn as the template gets it: an input that it has no place for goes after the content.
    fn fitted(&self, turn: &Turn) -> Turn {
        let mut turn = turn.clone();
        if let Some(input) = turn.input.take_if(|_| !self.takes_input) {
            turn.content = format!("{}\n{input}", turn.content);
        }
        turn
    }

    /// What a template that marks what is trained makes of the turns.
    fn marked(&self, tokenizer: &Tokenizer, turns: &[Turn]) -> Result<Rendered> {
        let marked = self.fill(tokenizer, turns)?;
        let (mut text, mut trained, mut open) =
            (String::with_capacity(marked.len()), Vec::new(), None);
        for piece in marked.split_inclusive([OPEN, CLOSE]) {
            text.push_str(piece.trim_end_matches([OPEN, CLOSE]));
            match piece.chars().next_back() {
                Some(OPEN) => open = Some(text.len()),
                Some(CLOSE) => trained.extend(open.take().map(|from| from..text.len())),
                _ => {}
            }
        }
        let answers = turns
            .iter()
            .filter(|turn| turn.role == Role::Assistant)
            .count();
        ensure!(
            trained.len() == answers,
            "template `{}` marks {} parts as trained, where {answers} answers were given",
            self.name,
            trained.len()
        );
        Ok(Rendered {
            text,
            trained,
            and_end_of_turn: false,
        })
    }

    /// What a template that marks nothing makes of the turns: where the answers are is found by rendering the same
    /// conversation with other answers.
    fn found(&self, tokenizer: &Tokenizer, turns: &[Turn]) -> Result<Rendered> {
        let name = &self.name;
        let stand_in = |index: usize| format!("{OPEN}{index}{CLOSE}");
        let mut strange = turns.to_vec();
        let answers = strange
            .iter_mut()
            .filter(|turn| turn.role == Role::Assistant);
        for (index, turn) in answers.enumerate() {
            turn.content = stand_in(index);
        }
        let strange = self.fill(tokenizer, &strange)?;
        let mut text = self.fill(tokenizer, turns)?;
        let (mut rest, mut at, mut trained) = (strange.as_str(), 0, Vec::new());
        let answers: Vec<&Turn> = turns
            .iter()
            .filter(|turn| turn.role == Role::Assistant)
            .collect();
        for (index, answer) in answers.iter().enumerate() {
            let mark = stand_in(index);
            let (before, after) = rest.split_once(&mark).with_context(|| {
                format!(
                    "template `{name}` does not show the assistant's message {}\nhint: `{{{{ trained(message.content ~ \
                     eos_token) }}}}` shows it and marks it as learnt",
                    index + 1
                )
            })?;
            ensure!(
                !after.contains(&mark),
                "template `{name}` shows the assistant's message more than once"
            );
            let changes =
                || anyhow!("template `{name}` changes with what the assistant's message says");
            ensure!(text[at..].starts_with(before), changes());
            let start = at + before.len();
            // Up to the next answer, or to the end.
            let next = stand_in(index + 1);
            let between = after
                .split_once(&next)
                .map_or(after, |(between, _)| between);
            let said = answer.content.as_str();
            let shown = [said, said.trim(), said.trim_start(), said.trim_end()].into_iter();
            let mut shown = shown.filter(|shown| {
                let rest = text[start..].strip_prefix(shown);
                match index + 1 == answers.len() {
                    true => rest == Some(between),
                    false => rest.is_some_and(|rest| rest.starts_with(between)),
                }
            });
            let shown = shown.next().ok_or_else(changes)?;
            let spaces = before.len() - before.trim_end_matches(' ').len();
            trained.push(start - spaces..start + shown.len());
            (rest, at) = (after, start + shown.len());
        }
        let end = trained.last().map(|range| range.end).with_context(|| {
            format!("template `{name}`: the conversation has no turn of the assistant")
        })?;
        let tail = tokenizer.encode(&text[end..])?;
        if tail.into_iter().any(|id| tokenizer.is_special(id)) {
            return Ok(Rendered {
                text,
                trained,
                and_end_of_turn: true,
            });
        }
        // The template ends the turn with no token of its own, and generation has to stop somewhere.
        text.insert_str(end, tokenizer.eos_text());
        if let Some(last) = trained.last_mut() {
            last.end += tokenizer.eos_text().len();
        }
        Ok(Rendered {
            text,
            trained,
            and_end_of_turn: false,
        })
    }

    fn fill(&self, tokenizer: &Tokenizer, messages: &[Turn]) -> Result<String> {
        let template = self.environment.get_template("template");
        let values = context! {
            messages => Serde(messages),
            add_generation_prompt => false,
            bos_token => tokenizer.bos_text().unwrap_or_default(),
            eos_token => tokenizer.eos_text(),
            tools => (),
            documents => (),
        };
        let text = template.and_then(|template| template.render(values));
        text.map_err(|error| anyhow!("template `{}`: {error}", self.name))
    }
}

/// `prompt` and an answer to it.
fn answered(prompt: &[Turn], answer: &str) -> Vec<Turn> {
    let mut turns = prompt.to_vec();
    turns.push(Turn::new(Role::Assistant, answer));
    turns
}

#[cfg(test)]
mod tests;
