//! What Python's strings and floats do, where Rust's differ.

use unicode_general_category::{GeneralCategory, get_general_category};

/// `str.isspace`, which is also `\s`: Rust's white space and the four information separators.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// `str.split()`.
pub(crate) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// `" ".join(text.split())`.
pub(crate) fn single_spaces(text: &str) -> String {
    split(text).collect::<Vec<_>>().join(" ")
}

/// `\w`: a letter or number by its general category, or `_`. Marks are none, unlike in Rust's
/// `is_alphanumeric`.
fn is_word(c: char) -> bool {
    use GeneralCategory::{
        DecimalNumber, LetterNumber, LowercaseLetter, ModifierLetter, OtherLetter, OtherNumber,
        TitlecaseLetter, UppercaseLetter,
    };
    match c.is_ascii() {
        true => c.is_ascii_alphanumeric() || c == '_',
        false => matches!(
            get_general_category(c),
            UppercaseLetter
                | LowercaseLetter
                | TitlecaseLetter
                | ModifierLetter
                | OtherLetter
                | DecimalNumber
                | LetterNumber
                | OtherNumber
        ),
    }
}

/// `re.sub(r"\b(a|an|the)\b", " ", text)`.
pub(crate) fn without_articles(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        out.push_str(match &rest[..end] {
            "a" | "an" | "the" => " ",
            word => word,
        });
        rest = &rest[end..];
    }
    out + rest
}

/// `float(text)`, or nothing where Python raises. The information separators are no space to it.
pub(crate) fn float(text: &str) -> Option<f64> {
    let mut digits = String::with_capacity(text.len());
    for c in text.trim().chars() {
        digits.push(match c.is_ascii() {
            true => c,
            false => decimal(c)?,
        });
    }
    // Underscores may stand between digits only.
    let bytes = digits.as_bytes();
    let digit = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_digit)
    };
    let misplaced = |at: &usize| !(digit(at.checked_sub(1)) && digit(Some(at + 1)));
    let mut underscores = (0..bytes.len()).filter(|at| bytes[*at] == b'_');
    if underscores.any(|at| misplaced(&at)) {
        return None;
    }
    // Beyond that Rust takes what Python takes: signs, exponents, `inf`, `infinity` and `nan`.
    digits.replace('_', "").parse().ok()
}

/// The ASCII digit of a decimal digit: they come in runs of ten from 0 to 9.
fn decimal(c: char) -> Option<char> {
    let is_decimal = |c: char| get_general_category(c) == GeneralCategory::DecimalNumber;
    if !is_decimal(c) {
        return None;
    }
    let lower = (0..u32::from(c)).rev().map_while(char::from_u32);
    let value = lower.take_while(|c| is_decimal(*c)).count() % 10;
    char::from_digit(value as u32, 10)
}

/// `str(float)`: the fewest digits that read back as the same number, of two such the even one; with an
/// exponent from 1e16 on and below 1e-4.
pub(crate) fn show(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    }
    let sign = if number.is_sign_negative() { "-" } else { "" };
    let number = number.abs();
    if number.is_infinite() {
        return format!("{sign}inf");
    }
    // Rust takes the upper one of two that are equally near, unless told how many digits it may have.
    let mut text = format!("{number:e}");
    let digits = text.bytes().take_while(|c| *c != b'e');
    let decimals = digits.count().saturating_sub(2);
    let even = format!("{number:.decimals$e}");
    if even.parse() == Ok(number) {
        text = even;
    }
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..16).contains(&exponent) {
        let way = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{digits}e{way}{:02}", exponent.abs());
    }
    let digits = digits.replace('.', "");
    match usize::try_from(exponent) {
        Ok(exponent) => {
            let whole = exponent + 1;
            let digits = format!("{digits:0<0$}", whole + 1);
            let (whole, part) = digits.split_at(whole);
            format!("{sign}{whole}.{part}")
        }
        Err(_) => {
            let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
            format!("{sign}0.{zeros}{digits}")
        }
    }
}
