//! The rules of Minerva (Lewkowycz et al. 2022, appendix D), as lm-eval 0.4.13 has them.

use folkmoot_sdk::Result;
use folkmoot_sdk::extract::{Match, Pattern, strip};

/// The answer of a text that does not say which it is.
const INVALID: &str = "[invalidanswer]";

const SUBSTITUTIONS: [(&str, &str); 10] = [
    ("an ", ""),
    ("a ", ""),
    (".$", "$"),
    ("\\$", ""),
    ("\\ ", ""),
    (" ", ""),
    ("mbox", "text"),
    (",\\text{and}", ","),
    ("\\text{and}", ","),
    ("\\text{m}", "\\text{}"),
];

/// Units and the like that are taken out, words first.
const REMOVED: [&str; 42] = [
    "square",
    "ways",
    "integers",
    "dollars",
    "mph",
    "inches",
    "ft",
    "hours",
    "km",
    "units",
    "\\ldots",
    "sue",
    "points",
    "feet",
    "minutes",
    "digits",
    "cents",
    "degrees",
    "cm",
    "gm",
    "pounds",
    "meters",
    "meals",
    "edges",
    "students",
    "childrentickets",
    "multiples",
    "\\text{s}",
    "\\text{.}",
    "\\text{\ns}",
    "\\text{}^2",
    "\\text{}^3",
    "\\text{\n}",
    "\\text{}",
    "\\mathrm{th}",
    "^\\circ",
    "^{\\circ}",
    "\\;",
    ",\\!",
    "{,}",
    "\"",
    "\\dots",
];

/// What a text must hold, a pattern, and what takes the place of its matches.
type Rule = (&'static str, &'static str, fn(&Match) -> String);

/// What follows "Final Answer: The final answer is".
pub(crate) fn final_answer(text: &str) -> Result<String> {
    let text = format!("{text}I hope it is correct.");
    let sentence = r"Final Answer: The final answer is(.*?). I hope it is correct.";
    let found = Pattern::new(sentence)?;
    let found = found.search(&text)?;
    Ok(found
        .map_or(INVALID, |found| strip(found.group(1)))
        .to_owned())
}

/// The normal form of an answer.
pub(crate) fn normalize(answer: &str) -> Result<String> {
    let mut text = answer.rsplit('=').next().unwrap_or_default().to_owned();
    let word = |expression: &str| expression.chars().all(char::is_alphabetic);
    // Words while spaces still set them apart.
    for unit in REMOVED {
        if word(unit) && text.contains(unit) {
            text = Pattern::new(&format!(r"(?<!\\)\b{unit}\b"))?.delete(&text)?;
        }
    }
    for (from, to) in SUBSTITUTIONS {
        text = text.replace(from, to);
    }
    let command = Pattern::new(r"\\[a-zA-Z]+")?;
    for unit in REMOVED {
        if !text.contains(unit) {
            continue;
        }
        if !word(unit) {
            text = text.replace(unit, "");
            continue;
        }
        // Not within a command, such as `ft` in `\left`.
        let (mut kept, mut at) = (String::new(), 0);
        for found in command.matches(&text)? {
            kept.push_str(&text[at..found.range().start].replace(unit, ""));
            kept.push_str(found.group(0));
            at = found.range().end;
        }
        kept.push_str(&text[at..].replace(unit, ""));
        text = kept;
    }
    // Where the first text does not occur, the pattern cannot match and need not be read.
    let rules: [Rule; 8] = [
        ("$", r"(.*?)(\$)(.*?)(\$)(.*)", |m| {
            format!("${}$", m.group(3))
        }),
        ("\\text{", r"(\\text\{)(.*?)(\})", |m| m.group(2).into()),
        ("\\textbf{", r"(\\textbf\{)(.*?)(\})", |m| m.group(2).into()),
        ("\\overline{", r"(\\overline\{)(.*?)(\})", |m| {
            m.group(2).into()
        }),
        ("\\boxed{", r"(\\boxed\{)(.*)(\})", |m| m.group(2).into()),
        ("frac", r"(frac)([^{])(.)", |m| {
            format!("frac{{{}}}{{{}}}", m.group(2), m.group(3))
        }),
        ("sqrt", r"(sqrt)(\[[^\]]*\])(\w)", |m| {
            format!("sqrt{}{{{}}}", m.group(2), m.group(3))
        }),
        ("sqrt", r"(sqrt)(?!\[)([^{])", |m| {
            format!("sqrt{{{}}}", m.group(2))
        }),
    ];
    for (needed, pattern, with) in rules {
        if text.contains(needed) {
            text = Pattern::new(pattern)?.replace(&text, with)?;
        }
    }
    text = text.replace('$', "");
    // The commas of thousands, but not those of "0,1".
    if text.contains(',')
        && Pattern::new(r"\A(?:-?\d{1,3}(,\d{3})+)\Z")?
            .search(&text)?
            .is_some()
    {
        text = text.replace(',', "");
    }
    Ok(text)
}
