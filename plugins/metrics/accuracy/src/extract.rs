//! Labels in text.

/// The label whose whole-word occurrence comes earliest in `text`, whatever its case; of labels that start
/// at the same place the longest is meant.
pub(crate) fn first_word<'a>(labels: &'a [String], text: &str) -> Option<&'a str> {
    let text = text.to_lowercase();
    let first = |label: &str| {
        let label = label.to_lowercase();
        let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
        let mut from = 0;
        while let Some(found) = text[from..].find(&label) {
            let at = from + found;
            let before = text[..at].chars().next_back();
            let after = text[at + label.len()..].chars().next();
            if ![before, after].into_iter().flatten().any(part_of_word) {
                return Some(at);
            }
            // The next one may overlap this one.
            from = at + text[at..].chars().next()?.len_utf8();
        }
        None
    };
    let found = labels
        .iter()
        .filter_map(|label| Some((first(label)?, label)));
    let earliest = found.min_by_key(|(at, label)| (*at, usize::MAX - label.len()));
    earliest.map(|(_, label)| label.as_str())
}

/// The first of `labels` that `text` contains, as it is or with its first letter in upper case.
pub(crate) fn contained<'a>(labels: &'a [String], text: &str) -> Option<&'a str> {
    let holds = |label: &str| {
        let mut letters = label.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        let capital: String = first.chain(letters).collect();
        text.contains(label) || text.contains(&capital)
    };
    labels.iter().map(String::as_str).find(|label| holds(label))
}
