//! NLTK's word tokenizer, `nltk.tokenize.NLTKWordTokenizer`: an offspring of the Penn Treebank's sed
//! script. It is a chain of substitutions; each function here is one of its regular expressions.

use folkmoot_sdk::text::python;

use crate::unicode::{is_alphanumeric, is_decimal, is_word};

/// The tokens of a sentence.
pub(crate) fn tokens(sentence: &str) -> Vec<String> {
    let mut text: Vec<char> = sentence.chars().collect();
    starting_quotes(&mut text);
    punctuation(&mut text);
    pad(&mut text, |c| "][(){}<>".contains(c));
    pad_text(&mut text, "--", " -- ");
    text.insert(0, ' ');
    text.push(' ');
    ending_quotes(&mut text);
    for (first, second, rule) in CONTRACTIONS {
        contraction(&mut text, first, second, *rule);
    }
    let text: String = text.into_iter().collect();
    python::split(&text).map(str::to_owned).collect()
}

/// Puts what `found` says in place of what it finds: of the text and a place, the length of a match
/// there and its replacement. From left to right, never within a match.
fn replace(text: &mut Vec<char>, found: impl Fn(&[char], usize) -> Option<(usize, String)>) {
    let mut replaced = Vec::with_capacity(text.len() + 16);
    let mut at = 0;
    while at < text.len() {
        match found(text, at) {
            Some((length, replacement)) => {
                replaced.extend(replacement.chars());
                at += length;
            }
            None => {
                replaced.push(text[at]);
                at += 1;
            }
        }
    }
    *text = replaced;
}

/// A blank on both sides of such characters.
fn pad(text: &mut Vec<char>, such: impl Fn(char) -> bool) {
    replace(text, |text, at| {
        such(text[at]).then(|| (1, format!(" {} ", text[at])))
    });
}

fn pad_text(text: &mut Vec<char>, from: &str, to: &str) {
    replace(text, |text, at| {
        starts(&text[at..], from).then(|| (from.len(), to.into()))
    });
}

/// Whether `text` starts with these characters of ASCII.
fn starts(text: &[char], start: &str) -> bool {
    text.len() >= start.len() && start.chars().zip(text).all(|(a, b)| a == *b)
}

/// How many characters from `at` on are `such`.
fn run(text: &[char], at: usize, such: impl Fn(char) -> bool) -> usize {
    text[at..].iter().take_while(|&&c| such(c)).count()
}

fn starting_quotes(text: &mut Vec<char>) {
    replace(text, |text, at| {
        let backticks = run(text, at, |c| c == '`');
        let length = backticks.max(usize::from("«“‘„".contains(text[at])));
        let quote: String = text[at..at + length].iter().collect();
        (length > 0).then(|| (length, format!(" {quote} ")))
    });
    if text.first() == Some(&'"') {
        text.splice(..1, ['`', '`']);
    }
    pad_text(text, "``", " `` ");
    replace(text, |text, at| {
        let opens = " ([{<".contains(text[at]);
        let quote = ["\"", "''"]
            .into_iter()
            .find(|quote| starts(&text[at + 1..], quote));
        quote
            .filter(|_| opens)
            .map(|quote| (1 + quote.len(), format!("{} `` ", text[at])))
    });
    // An apostrophe that opens a word which is no clitic.
    replace(text, |text, at| {
        let opens = text[at] == '\'' && !(at > 0 && is_word(text[at - 1]));
        let rest = &text[at + 1..];
        let ends = |length: usize| !rest.get(length).is_some_and(|&c| is_word(c));
        let clitic = ["re", "ve", "ll", "m", "t", "s", "d", "n"]
            .into_iter()
            .any(|clitic| starts_folded(rest, clitic, false) && ends(clitic.len()));
        (opens && !clitic && !ends(0)).then(|| (1, "' ".into()))
    });
}

/// Whether `text` starts so, whatever the case; ſ is an s. With `dots`, an i may lack its dot or keep it
/// in upper case, as Python's own `re` has it but module `regex` has not.
fn starts_folded(text: &[char], start: &str, dots: bool) -> bool {
    let same = |a: char, b: char| match a {
        's' => matches!(b, 's' | 'S' | 'ſ'),
        'i' if dots => matches!(b, 'i' | 'I' | 'İ' | 'ı'),
        _ => a == b.to_ascii_lowercase(),
    };
    text.len() >= start.len() && start.chars().zip(text).all(|(a, b)| same(a, *b))
}

fn punctuation(text: &mut Vec<char>) {
    final_period(text, "])}>\"'»”’ ", " ");
    replace(text, |text, at| {
        let next = *text.get(at + 1)?;
        let apart = ":,".contains(text[at]) && !is_decimal(next);
        apart.then(|| (2, format!(" {} {next}", text[at])))
    });
    replace(text, |text, at| {
        let last = at + 1 == text.len() || at + 2 == text.len() && text[at + 1] == '\n';
        (last && ":,".contains(text[at])).then(|| (1, format!(" {} ", text[at])))
    });
    replace(text, |text, at| {
        let dots = run(text, at, |c| c == '.');
        (dots > 1).then(|| (dots, format!(" {} ", ".".repeat(dots))))
    });
    pad(text, |c| ";@#$%&".contains(c));
    pad(text, |c| ('\u{2012}'..='\u{2015}').contains(&c));
    final_period(text, "])}>\"'", "");
    pad(text, |c| "?!".contains(c));
    replace(text, |text, at| {
        let quote = text[at] != '\'' && starts(&text[at + 1..], "' ");
        quote.then(|| (3, format!("{} ' ", text[at])))
    });
    pad(text, |c| c == '*');
}

/// The last period apart, if nothing but these and white space follow it and no period is before it.
/// `between` goes between the period and what follows.
fn final_period(text: &mut Vec<char>, closing: &str, between: &str) {
    let Some(at) = text.iter().rposition(|&c| c == '.') else {
        return;
    };
    let closed = run(text, at + 1, |c| closing.contains(c));
    let blank = run(text, at + 1 + closed, char::is_whitespace);
    if at == 0 || text[at - 1] == '.' || at + 1 + closed + blank < text.len() {
        return;
    }
    let closing: String = text[at + 1..at + 1 + closed].iter().collect();
    text.truncate(at);
    text.extend(format!(" .{between}{closing} ").chars());
}

fn ending_quotes(text: &mut Vec<char>) {
    pad(text, |c| "»”’".contains(c));
    pad_text(text, "''", " '' ");
    pad_text(text, "\"", " '' ");
    replace(text, |text, at| {
        let blank = run(text, at, char::is_whitespace);
        (blank > 0).then(|| (blank, " ".into()))
    });
    clitics(text, &["'s", "'S", "'m", "'M", "'d", "'D", "'"]);
    clitics(
        text,
        &["'ll", "'LL", "'re", "'RE", "'ve", "'VE", "n't", "N'T"],
    );
}

/// One of these apart, which follows neither a blank nor an apostrophe and is followed by a blank.
fn clitics(text: &mut Vec<char>, clitics: &[&str]) {
    replace(text, |text, at| {
        let rest = &text[at + 1..];
        let is = |clitic: &&&str| starts(rest, clitic) && rest.get(clitic.len()) == Some(&' ');
        let clitic = clitics
            .iter()
            .find(is)
            .filter(|_| !"' ".contains(text[at]))?;
        Some((clitic.len() + 2, format!("{} {clitic} ", text[at])))
    });
}

/// What must be around a contraction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    /// Boundaries of a word on both sides.
    Word,
    /// A boundary before it, white space after it.
    Space,
    /// A blank before it, which goes with it, and a boundary after it.
    Blank,
}

const CONTRACTIONS: &[(&str, &str, Around)] = &[
    ("can", "not", Around::Word),
    ("d", "'ye", Around::Word),
    ("gim", "me", Around::Word),
    ("gon", "na", Around::Word),
    ("got", "ta", Around::Word),
    ("lem", "me", Around::Word),
    ("more", "'n", Around::Word),
    ("wan", "na", Around::Space),
    ("'t", "is", Around::Blank),
    ("'t", "was", Around::Blank),
];

/// A contraction in two, whatever its case.
fn contraction(text: &mut Vec<char>, first: &str, second: &str, around: Around) {
    replace(text, |text, at| {
        let word = |at: Option<usize>| {
            at.and_then(|at| text.get(at))
                .is_some_and(|&c| c == '_' || is_alphanumeric(c))
        };
        let start = at + usize::from(around == Around::Blank);
        let middle = start + first.len();
        let end = middle + second.len();
        let here = text
            .get(start..)
            .is_some_and(|text| starts_folded(text, first, true))
            && text
                .get(middle..)
                .is_some_and(|text| starts_folded(text, second, true));
        let fits = here
            && match around {
                Around::Word => !word(at.checked_sub(1)) && !word(Some(end)),
                Around::Space => {
                    !word(at.checked_sub(1)) && text.get(end).is_some_and(|&c| python::is_space(c))
                }
                Around::Blank => text[at] == ' ' && !word(Some(end)),
            };
        fits.then(|| {
            let part = |from, to| text[from..to].iter().collect::<String>();
            (
                end - at,
                format!(" {} {} ", part(start, middle), part(middle, end)),
            )
        })
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_as_nltk() {
        let check = |text, expected: &[&str]| assert_eq!(tokens(text), expected, "{text}");
        check(
            "They'll save $3.88 (or 3,36), won't they?",
            &[
                "They", "'ll", "save", "$", "3.88", "(", "or", "3,36", ")", ",", "wo", "n't",
                "they", "?",
            ],
        );
        check(
            "\"I cannot,\" he said... 'tis -- gimme.\"",
            &[
                "``", "I", "can", "not", ",", "''", "he", "said", "...", "'", "tis", "--", "gim",
                "me", ".", "''",
            ],
        );
        check("", &[]);
    }
}
