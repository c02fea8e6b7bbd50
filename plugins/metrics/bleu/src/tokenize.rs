//! The tokenizers of sacrebleu that need no model.

use folkmoot_sdk::text::python;
use schemars::JsonSchema;
use serde::Deserialize;
use unicode_general_category::{GeneralCategory, get_general_category};

/// How text is cut into tokens.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Tokenizer {
    /// As mteval-v13a, the tokenizer of WMT, does: for Western languages.
    #[default]
    #[serde(rename = "13a")]
    V13a,
    /// At white space only.
    None,
    /// Every character.
    Char,
    /// As mteval-v14 with `--international-tokenization` does: by Unicode's punctuation and symbols.
    Intl,
    /// Every Chinese character, and the rest as `13a`.
    Zh,
}

impl Tokenizer {
    /// The tokens, with white space between them.
    pub(crate) fn cut(self, text: &str) -> String {
        match self {
            Self::None => text.into(),
            Self::Char => text.chars().flat_map(|c| [c, ' ']).collect(),
            Self::V13a => western(&format!(" {} ", unescape(text))),
            Self::Zh => western(&apart(python::strip(text).chars(), is_chinese)),
            Self::Intl => international(text),
        }
    }
}

/// What mteval does before it tokenizes, whatever the language.
fn unescape(text: &str) -> String {
    let mut text = text.replace("<skipped>", "");
    for (from, to) in [
        ("-\n", ""),
        ("\n", " "),
        ("&quot;", "\""),
        ("&amp;", "&"),
        ("&lt;", "<"),
        ("&gt;", ">"),
    ] {
        text = text.replace(from, to);
    }
    text
}

/// Punctuation apart, but periods and commas within numbers and dashes after letters.
fn western(text: &str) -> String {
    let digit = |c: char| c.is_ascii_digit();
    let stop = |c: char| c == '.' || c == ',';
    let text = apart(
        text.chars(),
        |c| matches!(c, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/'),
    );
    let text = pairs(&text, |c| !digit(c), stop, [false, true, true]);
    let text = pairs(&text, stop, |c| !digit(c), [true, true, false]);
    pairs(&text, digit, |c| c == '-', [false, true, true])
}

fn international(text: &str) -> String {
    let number = |c| class(c) == Class::Number;
    let punctuation = |c| class(c) == Class::Punctuation;
    let text = pairs(text, |c| !number(c), punctuation, [false, true, true]);
    let text = pairs(&text, punctuation, |c| !number(c), [true, true, false]);
    apart(text.chars(), |c| class(c) == Class::Symbol)
}

/// A blank on both sides of every character that is `alone`.
fn apart(text: impl Iterator<Item = char>, alone: impl Fn(char) -> bool) -> String {
    let mut spaced = String::new();
    for c in text {
        match alone(c) {
            true => spaced.extend([' ', c, ' ']),
            false => spaced.push(c),
        }
    }
    spaced
}

/// Blanks before, between and after the characters of each pair, as asked. As with a regular
/// expression, what is in one pair is in no further one.
fn pairs(
    text: &str,
    first: impl Fn(char) -> bool,
    second: impl Fn(char) -> bool,
    blanks: [bool; 3],
) -> String {
    let mut spaced = String::with_capacity(text.len() * 2);
    let mut chars = text.chars().peekable();
    while let Some(a) = chars.next() {
        let Some(b) = chars.next_if(|&b| first(a) && second(b)) else {
            spaced.push(a);
            continue;
        };
        let blank = blanks.map(|blank| blank.then_some(' '));
        let parts = [blank[0], Some(a), blank[1], Some(b), blank[2]];
        spaced.extend(parts.into_iter().flatten());
    }
    spaced
}

#[derive(PartialEq, Eq)]
enum Class {
    Number,
    Punctuation,
    Symbol,
    Other,
}

fn class(c: char) -> Class {
    use GeneralCategory as G;
    match get_general_category(c) {
        G::DecimalNumber | G::LetterNumber | G::OtherNumber => Class::Number,
        G::ConnectorPunctuation
        | G::DashPunctuation
        | G::OpenPunctuation
        | G::ClosePunctuation
        | G::InitialPunctuation
        | G::FinalPunctuation
        | G::OtherPunctuation => Class::Punctuation,
        G::MathSymbol | G::CurrencySymbol | G::ModifierSymbol | G::OtherSymbol => Class::Symbol,
        _ => Class::Other,
    }
}

/// sacrebleu's ranges. One of them means to be of a supplementary plane, but is written such that Python
/// reads U+2001 to U+2A6D: these count here too.
fn is_chinese(c: char) -> bool {
    matches!(c,
        '\u{2001}'..='\u{2a6d}' | '\u{2e80}'..='\u{2fdf}' | '\u{2ff0}'..='\u{303f}'
        | '\u{3100}'..='\u{312f}' | '\u{31a0}'..='\u{31bf}' | '\u{31c0}'..='\u{31ef}'
        | '\u{3200}'..='\u{4db5}' | '\u{4e00}'..='\u{9fbb}' | '\u{f900}'..='\u{fa2d}'
        | '\u{fa30}'..='\u{fa6a}' | '\u{fa70}'..='\u{fad9}' | '\u{fe10}'..='\u{fe1f}'
        | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ffef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(tokenizer: Tokenizer, text: &str, expected: &str) {
        let cut = tokenizer.cut(text);
        assert_eq!(python::split(&cut).collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn cuts_as_sacrebleu() {
        check(
            Tokenizer::V13a,
            "It's 1,000.5, no-one&amp;x (a).",
            "It's 1,000.5 , no-one & x ( a ) .",
        );
        check(Tokenizer::V13a, "up-\nper 3-4 a.,b", "upper 3 - 4 a . , b");
        check(Tokenizer::Char, "a b\u{301}", "a b \u{301}");
        check(Tokenizer::Zh, "我们 say hi。", "我 们 say hi 。");
        check(Tokenizer::Intl, "€5,5 «x», 3.", "€ 5,5 « x » , 3.");
    }
}
