//! TF-IDF vectors of texts.

use std::collections::HashMap;

/// Sparse vectors of length 1, or 0 for a text without a word that counts.
pub(crate) struct Vectors {
    /// Where each vector's entries begin, and where the last one's end.
    starts: Vec<usize>,
    /// Features, ascending within a vector, with their values.
    entries: Vec<(u32, f32)>,
    /// Number of features.
    pub(crate) features: usize,
}

impl Vectors {
    /// Number of vectors.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The entries of vector `at`.
    pub(crate) fn row(&self, at: usize) -> &[(u32, f32)] {
        &self.entries[self.starts[at]..self.starts[at + 1]]
    }
}

/// The vectors of `texts` over the `max_features` words that occur most often, of equals the first in
/// the alphabet. A word is a run of at least two letters, digits or underscores, in lower case.
pub(crate) fn vectors(texts: impl Iterator<Item = String>, max_features: u32) -> Vectors {
    // Words by number in order of appearance. The map is only looked up, never walked.
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let mut words: Vec<(String, u32)> = Vec::new();
    let (mut ends, mut all) = (Vec::new(), Vec::new());
    for text in texts {
        let text = text.to_lowercase();
        let between = |letter: char| !letter.is_alphanumeric() && letter != '_';
        for word in text
            .split(between)
            .filter(|word| word.chars().nth(1).is_some())
        {
            let number = match numbers.get(word) {
                Some(&number) => number,
                None => {
                    let number = words.len() as u32;
                    numbers.insert(word.to_owned(), number);
                    words.push((word.to_owned(), 0));
                    number
                }
            };
            words[number as usize].1 += 1;
            all.push(number);
        }
        ends.push(all.len());
    }
    let mut order: Vec<u32> = (0..words.len() as u32).collect();
    order.sort_unstable_by(|&one, &other| {
        let ((one, often), (other, oftener)) = (&words[one as usize], &words[other as usize]);
        oftener.cmp(often).then(one.cmp(other))
    });
    order.truncate(max_features as usize);
    let mut features = vec![None; words.len()];
    for (feature, &word) in order.iter().enumerate() {
        features[word as usize] = Some(feature as u32);
    }
    weigh(&all, &ends, &features, order.len())
}

/// The vectors of the words `all`, which texts end at `ends` and some of which are `features`.
fn weigh(all: &[u32], ends: &[usize], features: &[Option<u32>], count: usize) -> Vectors {
    let (mut starts, mut entries) = (vec![0], Vec::<(u32, f32)>::new());
    let mut texts_with = vec![0u32; count];
    let mut from = 0;
    for &end in ends {
        let mut own: Vec<u32> = all[from..end]
            .iter()
            .filter_map(|&word| features[word as usize])
            .collect();
        own.sort_unstable();
        for same in own.chunk_by(|one, other| one == other) {
            texts_with[same[0] as usize] += 1;
            entries.push((same[0], same.len() as f32));
        }
        starts.push(entries.len());
        from = end;
    }
    let texts = ends.len() as f64;
    let idf = |&with: &u32| ((1.0 + texts) / (1.0 + f64::from(with))).ln() + 1.0;
    let idf: Vec<f64> = texts_with.iter().map(idf).collect();
    for text in starts.windows(2) {
        let own = &mut entries[text[0]..text[1]];
        let weight = |&(feature, times): &(u32, f32)| f64::from(times) * idf[feature as usize];
        let length = own
            .iter()
            .map(|entry| weight(entry).powi(2))
            .sum::<f64>()
            .sqrt();
        for entry in own {
            entry.1 = (weight(entry) / length) as f32;
        }
    }
    Vectors {
        starts,
        entries,
        features: count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_those_of_scikit_learn() {
        let texts = ["The cat sat, the CAT!", "a dog sat", "x"].map(str::to_owned);
        let vectors = vectors(texts.into_iter(), 3);
        // The most frequent words: cat, sat, the, twice each. `a` and `x` are too short to be words.
        let close = |own: &[(u32, f32)], expected: &[(u32, f32)]| {
            assert_eq!(own.len(), expected.len());
            for (own, expected) in own.iter().zip(expected) {
                assert_eq!(own.0, expected.0);
                assert!((own.1 - expected.1).abs() < 1e-6, "{own:?}");
            }
        };
        // By hand: idf = ln(4 / 2) + 1 of cat and the, ln(4 / 3) + 1 of sat.
        let (rare, common) = (2.0 * (2f32.ln() + 1.0), (4f32 / 3.0).ln() + 1.0);
        let length = (2.0 * rare * rare + common * common).sqrt();
        let (rare, common) = (rare / length, common / length);
        close(vectors.row(0), &[(0, rare), (1, common), (2, rare)]);
        close(vectors.row(1), &[(1, 1.0)]);
        close(vectors.row(2), &[]);
        assert_eq!((vectors.len(), vectors.features), (3, 3));
    }
}
