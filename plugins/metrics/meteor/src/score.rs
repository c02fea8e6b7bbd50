//! METEOR of one text against one reference: `nltk.translate.meteor_score.single_meteor_score`.

use std::collections::HashMap;
use std::hash::Hash;

use folkmoot_sdk::text::porter;

use crate::wordnet;

/// The weights of the score.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights {
    /// Of precision against recall.
    pub(crate) alpha: f64,
    /// Exponent of the fragmentation.
    pub(crate) beta: f64,
    /// Of the penalty.
    pub(crate) gamma: f64,
}

/// A token's place, and what is compared of it.
type Place = (usize, String);

impl Weights {
    /// (1 - γ·(chunks/matches)^β) · P·R/(α·P + (1 - α)·R), P being the share of the text's tokens that
    /// match, and R of the reference's. 0 where none matches. Tokens are in lower case.
    pub(crate) fn score(&self, text: &[String], reference: &[String]) -> f64 {
        let matches = align(text, reference);
        if matches.is_empty() {
            return 0.0;
        }
        let n = matches.len() as f64;
        let (precision, recall) = (n / text.len() as f64, n / reference.len() as f64);
        let mean = precision * recall / (self.alpha * precision + (1.0 - self.alpha) * recall);
        let follow = |pair: &[(usize, usize)]| (pair[0].0 + 1, pair[0].1 + 1) == pair[1];
        let chunks = matches.len() - matches.windows(2).filter(|pair| follow(pair)).count();
        let penalty = self.gamma * (chunks as f64 / n).powf(self.beta);
        (1.0 - penalty) * mean
    }
}

/// Places that match, in the order of the text: equal words, of the rest equal stems, and of the rest
/// stems that are synonyms.
fn align(text: &[String], reference: &[String]) -> Vec<(usize, usize)> {
    let places = |words: &[String]| words.iter().cloned().enumerate().collect::<Vec<Place>>();
    let (mut text, mut reference) = (places(text), places(reference));
    let mut matches = Vec::new();
    matched(
        &mut matches,
        &mut text,
        &mut reference,
        |word| Some(word.to_owned()),
        |word| vec![word.to_owned()],
    );
    // From here on the stems stand for the words, also when synonyms are looked up.
    for (_, word) in text.iter_mut().chain(&mut reference) {
        *word = porter::stem(word);
    }
    matched(
        &mut matches,
        &mut text,
        &mut reference,
        |word| Some(word.to_owned()),
        |word| vec![word.to_owned()],
    );
    // NLTK also takes a word for a synonym of itself, but of equal words none is left.
    matched(
        &mut matches,
        &mut text,
        &mut reference,
        wordnet::number,
        wordnet::synonyms,
    );
    matches.sort_unstable();
    matches
}

/// Matches each word of the text, the last first, with the last free word of the reference whose `key`
/// is among the word's `keys`, and takes both away.
fn matched<K: Eq + Hash>(
    matches: &mut Vec<(usize, usize)>,
    text: &mut Vec<Place>,
    reference: &mut Vec<Place>,
    key: impl Fn(&str) -> Option<K>,
    keys: impl Fn(&str) -> Vec<K>,
) {
    let mut free: HashMap<K, Vec<usize>> = HashMap::new();
    for (index, (_, word)) in reference.iter().enumerate() {
        if let Some(key) = key(word) {
            free.entry(key).or_default().push(index);
        }
    }
    let mut taken = vec![false; reference.len()];
    let mut kept = Vec::with_capacity(text.len());
    for (place, word) in std::mem::take(text).into_iter().rev() {
        let keys = keys(&word).into_iter();
        let last = keys.filter_map(|key| Some((*free.get(&key)?.last()?, key)));
        let Some((index, key)) = last.max_by_key(|(index, _)| *index) else {
            kept.push((place, word));
            continue;
        };
        free.entry(key).or_default().pop();
        taken[index] = true;
        matches.push((place, reference[index].0));
    }
    kept.reverse();
    *text = kept;
    let mut taken = taken.into_iter();
    reference.retain(|_| taken.next() == Some(false));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_words_stems_and_synonyms() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let aligned = |a, b| align(&words(a), &words(b));
        assert_eq!(
            aligned("the car runs", "running automobiles car the"),
            [(0, 3), (1, 2), (2, 0)]
        );
        // Of equals the last ones go together.
        assert_eq!(aligned("a a", "a b a a"), [(0, 2), (1, 3)]);
        assert_eq!(aligned("sofa", "couch"), [(0, 0)]);
    }
}
