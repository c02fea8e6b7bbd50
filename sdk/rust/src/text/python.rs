//! White space as Python's `str` has it.

/// Whether `str.isspace` holds: Unicode's White_Space, and the four information separators besides.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `text.split()`: the parts between runs of white space, none of them empty.
pub fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|part| !part.is_empty())
}

/// `text.strip()`.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `text.rstrip()`.
pub fn strip_end(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_white_space() {
        let text = "\u{85}a\u{1c}b\u{1f}\u{a0}c\u{200b}d\u{3000}";
        assert_eq!(split(text).collect::<Vec<_>>(), ["a", "b", "c\u{200b}d"]);
        assert_eq!(strip(" \u{1d}x \u{1e}"), "x");
        assert_eq!(strip_end(" x\u{2028}\n"), " x");
        assert_eq!(split(" \n").count(), 0);
    }
}
