//! Synonyms of WordNet 3.0, found as `nltk.corpus.wordnet.synsets` finds them.

use crate::table::{Table, varint};

static WORDNET: Table = Table::new(include_bytes!("../data/wordnet.bin"));

/// How a form may be inflected, by part of speech: noun, verb, adjective, adverb.
const ENDINGS: [&[(&str, &str)]; 4] = [
    &[
        ("s", ""),
        ("ses", "s"),
        ("ves", "f"),
        ("xes", "x"),
        ("zes", "z"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("men", "man"),
        ("ies", "y"),
    ],
    &[
        ("s", ""),
        ("ies", "y"),
        ("es", "e"),
        ("es", ""),
        ("ed", "e"),
        ("ed", ""),
        ("ing", "e"),
        ("ing", ""),
    ],
    &[("er", ""), ("est", ""), ("er", "e"), ("est", "e")],
    &[],
];

/// The number of a word that may be a synonym.
pub(crate) fn number(word: &str) -> Option<u32> {
    WORDNET.find(word).map(|(number, _)| number)
}

/// Numbers of the words that the synsets of `word` name, as any part of speech and under any base form
/// that WordNet's morphology gives it: those it lists, or else those that its endings leave.
pub(crate) fn synonyms(word: &str) -> Vec<u32> {
    let mut found = Vec::new();
    let listed = WORDNET.find(word).map(|(_, record)| lists(record));
    for (part, endings) in ENDINGS.iter().enumerate() {
        let list = |bit: usize| listed.as_ref().and_then(|lists| lists[bit].clone());
        found.extend(list(part).into_iter().flatten());
        if let Some(irregular) = list(part + 4) {
            found.extend(irregular);
            continue;
        }
        for (ending, replacement) in *endings {
            let Some(stem) = word.strip_suffix(ending) else {
                continue;
            };
            if let Some((_, record)) = WORDNET.find(&format!("{stem}{replacement}")) {
                found.extend(lists(record)[part].clone().into_iter().flatten());
            }
        }
    }
    found
}

/// The lists of a record: four of the form's own synsets and four of its irregular bases'.
fn lists(mut record: &[u8]) -> [Option<Vec<u32>>; 8] {
    let flags = record.first().copied().unwrap_or_default();
    record = record.get(1..).unwrap_or_default();
    std::array::from_fn(|bit| {
        (flags >> bit & 1 == 1).then(|| {
            let count = varint(&mut record);
            let mut last = 0;
            let next = |_| {
                last += varint(&mut record);
                last
            };
            (0..count).map(next).collect()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_synonyms_and_irregular_forms() {
        let check = |word, other, expected| {
            let number = number(other).unwrap();
            assert_eq!(synonyms(word).contains(&number), expected, "{word} {other}");
        };
        check("car", "automobile", true);
        check("cars", "automobile", true);
        check("mice", "mouse", true);
        check("better", "good", true);
        check("car", "mouse", false);
        assert!(synonyms("qwxz").is_empty());
        assert!(synonyms("").is_empty());
        assert_eq!(number(""), None);
        assert_eq!(number("\u{10ffff}"), None);
    }
}
