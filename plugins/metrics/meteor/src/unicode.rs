//! Classes of characters as Python's `re` and module `regex`, which NLTK uses, have them.

use unicode_general_category::{GeneralCategory, get_general_category};

/// `\w` of module `regex`: letters and their like, marks, decimal digits, connectors, joiners.
pub(crate) fn is_word(c: char) -> bool {
    use GeneralCategory as G;
    let category = || {
        matches!(
            get_general_category(c),
            G::NonspacingMark | G::SpacingMark | G::EnclosingMark | G::ConnectorPunctuation
        )
    };
    c.is_alphabetic() || is_decimal(c) || matches!(c, '\u{200c}' | '\u{200d}') || category()
}

/// `\d`: decimal digits of any script.
pub(crate) fn is_decimal(c: char) -> bool {
    c.is_ascii_digit() || !c.is_ascii() && get_general_category(c) == GeneralCategory::DecimalNumber
}

/// `str.isalnum`: letters and numbers; `\w` of `re` is these and `_`.
pub(crate) fn is_alphanumeric(c: char) -> bool {
    use GeneralCategory as G;
    c.is_ascii_alphanumeric()
        || matches!(
            get_general_category(c),
            G::UppercaseLetter
                | G::LowercaseLetter
                | G::TitlecaseLetter
                | G::ModifierLetter
                | G::OtherLetter
                | G::DecimalNumber
                | G::LetterNumber
                | G::OtherNumber
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_differ_in_marks_and_fractions() {
        let of = |c| (is_word(c), is_decimal(c), is_alphanumeric(c));
        assert_eq!(of('ñ'), (true, false, true));
        assert_eq!(of('\u{301}'), (true, false, false));
        assert_eq!(of('½'), (false, false, true));
        assert_eq!(of('٣'), (true, true, true));
        assert_eq!(of('_'), (true, false, false));
        assert_eq!(of('ⓐ'), (true, false, false));
        assert_eq!(of('Ⅷ'), (true, false, true));
    }
}
