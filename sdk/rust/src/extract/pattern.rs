//! Regular expressions with Python's meaning.

use std::cell::OnceCell;
use std::ops::Range;

use fancy_regex::{Captures, Regex, RegexBuilder};

use super::translate::translate;
use crate::Result;

/// Steps back at most while one match is sought, so that a text cannot hold up an evaluation.
const BACKTRACKS: usize = 1_000_000;

/// A regular expression as Python's `re` reads it: look-around, references to groups, `\w` and `\b` by
/// Python's own classes, `$` also before a last newline.
pub struct Pattern {
    source: String,
    regex: Regex,
    /// The same, but not empty where the search began: what Python looks for after an empty match. Its
    /// source, and itself once it was needed.
    onwards: (String, OnceCell<Regex>),
}

/// One match: where it is, and where its groups are.
pub struct Match<'t> {
    text: &'t str,
    groups: Vec<Option<Range<usize>>>,
}

impl<'t> Match<'t> {
    /// Where the whole match is.
    pub fn range(&self) -> Range<usize> {
        self.groups[0].clone().unwrap_or_default()
    }

    /// A group, of which 0 is the whole match; empty where it took no part, as `findall` has it.
    pub fn group(&self, index: usize) -> &'t str {
        match self.groups.get(index) {
            Some(Some(range)) => &self.text[range.clone()],
            _ => "",
        }
    }

    /// What `findall` gives: the groups, or the whole match where there are none.
    pub fn found(&self) -> Vec<&'t str> {
        let first = usize::from(self.groups.len() > 1);
        (first..self.groups.len())
            .map(|index| self.group(index))
            .collect()
    }
}

impl Pattern {
    /// Reads a regular expression in Python's syntax.
    pub fn new(source: &str) -> Result<Self> {
        let refuse = |why: String| format!("pattern `{source}`: {why}");
        let (flags, body) = translate(source).map_err(refuse)?;
        Ok(Self {
            source: source.to_owned(),
            regex: build(&format!("{flags}{body}")).map_err(refuse)?,
            onwards: (format!("{flags}(?:{body})(?!\\G)"), OnceCell::new()),
        })
    }

    /// Any punctuation of Unicode, which Python's syntax has no name for.
    pub(super) fn punctuation() -> Result<Self> {
        Ok(Self {
            source: r"\p{P}".into(),
            regex: build(r"\p{P}")?,
            onwards: Default::default(),
        })
    }

    /// A text as the pattern that finds it alone, `re.escape`.
    pub fn escape(text: &str) -> String {
        let mut escaped = String::with_capacity(text.len());
        for c in text.chars() {
            if "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}".contains(c) {
                escaped.push('\\');
            }
            escaped.push(c);
        }
        escaped
    }

    /// All matches that do not overlap, in Python's order: an empty one may follow another at once.
    pub fn matches<'t>(&self, text: &'t str) -> Result<Vec<Match<'t>>> {
        let mut matches: Vec<Match<'t>> = Vec::new();
        let (mut from, mut empty) = (0, false);
        while from <= text.len() {
            let regex = if empty { self.onwards()? } else { &self.regex };
            let captures = regex.captures_from_pos(text, from);
            let captures = captures.map_err(|_| self.too_long(text))?;
            let Some(captures) = captures else { break };
            let found = groups(text, &captures);
            let range = found.range();
            (from, empty) = (range.end, range.is_empty());
            matches.push(found);
        }
        Ok(matches)
    }

    /// The first match, `re.search`.
    pub fn search<'t>(&self, text: &'t str) -> Result<Option<Match<'t>>> {
        let captures = self.regex.captures(text);
        let captures = captures.map_err(|_| self.too_long(text))?;
        Ok(captures.map(|captures| groups(text, &captures)))
    }

    /// `re.sub` with a function.
    pub fn replace(&self, text: &str, mut with: impl FnMut(&Match) -> String) -> Result<String> {
        let (mut replaced, mut at) = (String::with_capacity(text.len()), 0);
        for found in self.matches(text)? {
            replaced.push_str(&text[at..found.range().start]);
            replaced.push_str(&with(&found));
            at = found.range().end;
        }
        replaced.push_str(&text[at..]);
        Ok(replaced)
    }

    /// `re.sub` with nothing.
    pub fn delete(&self, text: &str) -> Result<String> {
        self.replace(text, |_| String::new())
    }

    fn onwards(&self) -> Result<&Regex> {
        let (source, regex) = &self.onwards;
        if let Some(regex) = regex.get() {
            return Ok(regex);
        }
        let built = build(source).map_err(|why| format!("pattern `{}`: {why}", self.source))?;
        Ok(regex.get_or_init(|| built))
    }

    fn too_long(&self, text: &str) -> String {
        format!(
            "pattern `{}` needs more than {BACKTRACKS} steps back on a text of {} characters",
            self.source,
            text.chars().count()
        )
    }
}

fn build(pattern: &str) -> Result<Regex> {
    let mut builder = RegexBuilder::new(pattern);
    let regex = builder.backtrack_limit(BACKTRACKS).build();
    regex.map_err(|error| error.to_string())
}

fn groups<'t>(text: &'t str, captures: &Captures<'t, str>) -> Match<'t> {
    let range = |index| captures.get(index).map(|found| found.range());
    Match {
        text,
        groups: (0..captures.len()).map(range).collect(),
    }
}
