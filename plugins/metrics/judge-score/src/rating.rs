//! The rating in a judge's words.

/// The first `[[number]]`, else the first `[number]`, a number being of the digits 0 to 9 with at most one
/// point after the first of them: FastChat's patterns. None where that number is no literal of Python (an
/// integer with leading zeros), on which FastChat fails.
pub(crate) fn rating(words: &str) -> Option<f64> {
    let number = find(words, "[[", "]]").or_else(|| find(words, "[", "]"))?;
    let leading_zero = number.starts_with('0') && !number.contains('.');
    let literal = !leading_zero || number.bytes().all(|digit| digit == b'0');
    let value = number.parse().ok().filter(|value: &f64| value.is_finite());
    value.filter(|_| literal)
}

/// The first number between the brackets, which may overlap what was no number.
fn find<'a>(words: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let mut starts = words.match_indices('[').map(|(at, _)| &words[at..]);
    starts.find_map(|start| {
        let rest = start.strip_prefix(open)?;
        let (number, end) = rest.split_at(number(rest));
        (!number.is_empty() && end.starts_with(close)).then_some(number)
    })
}

/// The length of the number at the start of a text.
fn number(text: &str) -> usize {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(text);
    match text[whole..].strip_prefix('.') {
        Some(fraction) if whole > 0 => whole + 1 + digits(fraction),
        _ => whole,
    }
}
