//! Sentences as `nltk.sent_tokenize` finds them: the English model of Punkt (Kiss and Strunk 2006).

use folkmoot_sdk::text::python;

use crate::table::Table;
use crate::unicode::{is_decimal, is_word};

/// Abbreviations, sentence starters, collocations and orthographic contexts: see data/tables.py.
static MODEL: Table = Table::new(include_bytes!("../data/punkt.bin"));

const ABBREVIATION: u8 = 1;
const STARTER: u8 = 2;
const COLLOCATION: u8 = 4;

// In what places a word was met in training: in upper case at the beginning of a sentence, within one,
// or either; the same in lower case.
const WITHIN_UPPER: u8 = 1 << 2;
const UPPER: u8 = 1 << 1 | WITHIN_UPPER | 1 << 3;
const BEGIN_LOWER: u8 = 1 << 4;
const LOWER: u8 = BEGIN_LOWER | 1 << 5 | 1 << 6;

fn context(word: &str) -> u8 {
    MODEL.find(word).map_or(0, |(_, record)| record[0])
}

fn is(word: &str, kind: u8) -> bool {
    MODEL
        .find(word)
        .is_some_and(|(_, record)| record[1] & kind != 0)
}

/// What cannot be in a word, and ends the sentence before it if a period stands there.
fn is_outside(c: char) -> bool {
    ")\";}]*:@'({[‘’“”«»?!".contains(c)
}

/// A place where a sentence may end: that of its mark, what follows (its end), and where the next
/// sentence would start.
struct Candidate {
    mark: usize,
    after: usize,
    next: usize,
}

/// The sentences of a text, with the white space within them.
pub(crate) fn sentences(text: &str) -> Vec<String> {
    let text: Vec<char> = text.chars().collect();
    let mut spans = Vec::new();
    let mut start = 0;
    for (word, candidate) in contexts(&text) {
        let context: String = text[word..candidate.after].iter().collect();
        if breaks(&context) {
            spans.push((start, candidate.mark + 1));
            start = candidate.next;
        }
    }
    let blank = text
        .iter()
        .rev()
        .take_while(|&&c| python::is_space(c))
        .count();
    spans.push((start, text.len() - blank));
    let spans = realigned(&text, &spans).into_iter();
    let sentences = spans.filter(|(start, end)| start < end);
    sentences
        .map(|(start, end)| text[start..end].iter().collect())
        .collect()
}

/// Candidates, each with the place where the word before it starts. Of those whose words overlap only
/// the last one is kept.
fn contexts(text: &[char]) -> Vec<(usize, Candidate)> {
    let mut kept = Vec::new();
    let mut last: Option<(usize, Candidate)> = None;
    for mark in 0..text.len() {
        let Some(candidate) = candidate(text, mark) else {
            continue;
        };
        let (start, end) = last.as_ref().map_or((0, 0), |last| (last.0, last.1.mark));
        let before = &text[end..mark];
        let ascii = |c: &char| matches!(c, ' ' | '\t'..='\r');
        // White space at the very start is not seen.
        let word = match before.iter().rposition(ascii) {
            None | Some(0) => start,
            Some(space) => end + space + 1,
        };
        if let Some(last) = last.take_if(|last| last.1.mark <= word) {
            kept.push(last);
        }
        last = Some((word, candidate));
    }
    kept.extend(last);
    kept
}

fn candidate(text: &[char], mark: usize) -> Option<Candidate> {
    let (end, &after) = (mark + 1, text.get(mark + 1)?);
    if !".?!".contains(text[mark]) {
        return None;
    }
    if is_outside(after) {
        return Some(Candidate {
            mark,
            after: end + 1,
            next: end,
        });
    }
    let next = end + text[end..].iter().take_while(|c| c.is_whitespace()).count();
    let after = next
        + text[next..]
            .iter()
            .take_while(|c| !c.is_whitespace())
            .count();
    (next > end && after > next).then_some(Candidate { mark, after, next })
}

/// Closing quotes and brackets go to the sentence before them.
fn realigned(text: &[char], spans: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut kept = Vec::new();
    let mut moved = 0;
    for (number, &(start, end)) in spans.iter().enumerate() {
        let start = start + moved;
        moved = 0;
        let Some(&(next, next_end)) = spans.get(number + 1) else {
            kept.push((start, end));
            continue;
        };
        let rest = text.get(next..next_end).unwrap_or_default();
        let closing = rest
            .iter()
            .take_while(|c| "\"')]}‘’“”«»".contains(**c))
            .count();
        let tail = &rest[closing..];
        let blank = tail.iter().take_while(|c| c.is_whitespace()).count();
        match closing > 0 && (blank > 0 || tail.is_empty() || tail.starts_with(&['-', '-'])) {
            true => {
                kept.push((start, next + closing));
                moved = closing + blank;
            }
            false => kept.push((start, end)),
        }
    }
    kept
}

/// Whether a sentence ends within a context, before its last token.
fn breaks(context: &str) -> bool {
    let lines = context
        .split('\n')
        .filter(|line| !python::strip(line).is_empty());
    let tokens: Vec<Token> = lines
        .flat_map(|line| words(&line.chars().collect::<Vec<_>>()))
        .collect();
    tokens
        .windows(2)
        .any(|pair| pair[0].breaks_before(&pair[1]))
}

/// The words of a line, with the periods that end them.
fn words(line: &[char]) -> Vec<Token> {
    let mut words = Vec::new();
    let mut at = 0;
    while at < line.len() {
        if line[at].is_whitespace() {
            at += 1;
            continue;
        }
        let length = match repeated(&line[at..]) {
            0 if "(\"`{[:;&#*@)}]-,".contains(line[at]) => 1,
            0 => (1..).find(|length| ends(&line[at + length..])).unwrap_or(1),
            length => length,
        };
        words.push(Token::new(line[at..at + length].iter().collect()));
        at += length;
    }
    words
}

/// Whether a word ends before `rest`.
fn ends(rest: &[char]) -> bool {
    let outside = |rest: &[char]| match rest.first() {
        Some(&c) => c.is_whitespace() || is_outside(c) || repeated(rest) > 0,
        None => true,
    };
    outside(rest) || rest[0] == ',' && outside(&rest[1..])
}

/// The length of the dashes or dots, with or without blanks between, that `text` starts with.
fn repeated(text: &[char]) -> usize {
    for mark in ['-', '.'] {
        let length = text.iter().take_while(|&&c| c == mark).count();
        if length > 1 {
            return length;
        }
    }
    let spaced = |pair: &&[char]| pair[0] == '.' && pair.get(1).is_some_and(|c| c.is_whitespace());
    let mut pairs = text.chunks(2).take_while(spaced).count();
    if text.get(2 * pairs) != Some(&'.') {
        pairs = pairs.saturating_sub(1);
    }
    if pairs > 1 { 2 * pairs + 1 } else { 0 }
}

struct Token {
    text: String,
    /// In lower case, all numbers alike.
    kind: String,
    abbreviation: bool,
    ellipsis: bool,
    ends_sentence: bool,
}

impl Token {
    /// With what the word alone says of it.
    fn new(text: String) -> Self {
        let lower = text.to_lowercase();
        let ellipsis = text.len() > 1 && text.bytes().all(|byte| byte == b'.');
        let marks = matches!(text.as_str(), "." | "?" | "!");
        let period = !marks && text.ends_with('.') && !text.ends_with("..");
        let known = |word: &str| is(word, ABBREVIATION);
        let stem = &text[..text.len() - usize::from(period)];
        let stem = stem.to_lowercase();
        let abbreviation = period && (known(&stem) || stem.rsplit('-').next().is_some_and(known));
        Self {
            kind: if is_number(&lower) {
                "##number##".into()
            } else {
                lower
            },
            text,
            abbreviation,
            ellipsis: ellipsis && !marks,
            ends_sentence: marks || period && !abbreviation,
        }
    }

    /// Without the period that ends it.
    fn bare(&self) -> &str {
        match self.kind.strip_suffix('.') {
            Some(bare) if !bare.is_empty() => bare,
            _ => &self.kind,
        }
    }

    /// Without the period if that ends a sentence.
    fn word(&self) -> &str {
        if self.ends_sentence {
            self.bare()
        } else {
            &self.kind
        }
    }

    fn starts(&self, such: fn(char) -> bool) -> bool {
        self.text.chars().next().is_some_and(such)
    }

    /// Whether it ends a sentence, given the token after it.
    fn breaks_before(&self, next: &Self) -> bool {
        if !self.text.ends_with('.') {
            return self.ends_sentence;
        }
        let mut chars = self.text.chars();
        let initial = chars.next().is_some_and(|c| is_word(c) && !is_decimal(c)) && chars.eq(['.']);
        if is(&format!("{}\t{}", self.bare(), next.word()), COLLOCATION) {
            return false;
        }
        let starter = next.is_starter();
        if (self.abbreviation || self.ellipsis) && !initial {
            let frequent = next.starts(char::is_uppercase) && is(next.word(), STARTER);
            if starter == Some(true) || frequent {
                return true;
            }
        }
        if initial || self.bare() == "##number##" {
            let always_upper = starter.is_none()
                && initial
                && next.starts(char::is_uppercase)
                && context(next.word()) & LOWER == 0;
            if starter == Some(false) || always_upper {
                return false;
            }
        }
        self.ends_sentence
    }

    /// Whether its case tells that a sentence starts with it, if it tells anything.
    fn is_starter(&self) -> Option<bool> {
        if matches!(self.text.as_str(), ";" | ":" | "," | "." | "!" | "?") {
            return Some(false);
        }
        let context = context(self.word());
        if self.starts(char::is_uppercase) && context & LOWER != 0 && context & WITHIN_UPPER == 0 {
            return Some(true);
        }
        let never = context & UPPER != 0 || context & BEGIN_LOWER == 0;
        (self.starts(char::is_lowercase) && never).then_some(false)
    }
}

/// `-?[.,]?\d[\d,.-]*\.?`, all of it.
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let text = text.strip_prefix(['.', ',']).unwrap_or(text);
    let rest = |c: char| is_decimal(c) || ",.-".contains(c);
    text.starts_with(is_decimal) && text.chars().all(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_nltk() {
        let check = |text, expected: &[&str]| assert_eq!(sentences(text), expected, "{text}");
        check(
            "Mr. Smith paid $3.88 to J. Bach.  Thanks (a lot.) So?",
            &["Mr. Smith paid $3.88 to J. Bach.", "Thanks (a lot.)", "So?"],
        );
        check(" \n", &[]);
        check("", &[]);
    }
}
