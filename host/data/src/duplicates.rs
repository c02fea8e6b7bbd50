//! Texts that occur more than once, exactly or nearly, and what they mean for a federation.
//!
//! A text is read as its words: lower-cased, split at white space. Two texts are exact duplicates if
//! their words are the same, and near duplicates if the Jaccard index of their sets of shingles (runs
//! of `n` words; a shorter text is one shingle) is at least a threshold. Candidates come from MinHash
//! and banding and are then compared exactly, so every pair joined is a true one; a true pair with
//! index `s` is missed with the probability `(1 − sʳ)ᵇ` of [`banding`]. Clusters are the connected
//! components of these pairs. Nothing depends on chance, on the order of work or on threads.
//!
//! Broder, "On the resemblance and containment of documents", 1997: `min π(A) = min π(B)` with
//! probability `|A ∩ B| / |A ∪ B|`. Banding: Leskovec, Rajaraman and Ullman, "Mining of Massive
//! Datasets", section 3.4. Runs of 5 words and 0.8 as the similarity sought are those of Lee et al.,
//! "Deduplicating Training Data Makes Language Models Better", 2022.

use minhash::{Permutations, jaccard, mix, shingles, words};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::VecDeque;

mod minhash;
mod report;

pub use minhash::{PERMUTATIONS, banding, resemblance};
pub use report::{Found, NOBODY, Removal, Report, keep};

/// Weight of false negatives beside false positives in the choice of bands. Candidates are compared
/// exactly: a false positive costs a comparison only, a false negative is a duplicate not found.
const MISSES: f64 = 0.9;
/// Most texts of a bucket, the latest before it, that a text is compared with: bounds the time and
/// the memory for buckets of very many texts, as one long template in all of them makes.
const COMPARED: usize = 200;

/// What counts as a near duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Words of a shingle, at least 1.
    pub shingle: usize,
    /// Least Jaccard index of near duplicates, above 0 and at most 1.
    pub threshold: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shingle: 5,
            threshold: 0.8,
        }
    }
}

/// What is remembered of the texts: 8 bytes for a text and 4 for each of its bands (14 for a threshold
/// of 0.8, 32 for 0.5).
#[derive(Clone, Debug, PartialEq)]
pub struct Signatures {
    settings: Settings,
    bands: usize,
    /// Hash of each text's words. Of 64 bits: that any two of a million texts that differ have the
    /// same has a chance of 1 in 37 million.
    exact: Vec<u64>,
    /// Hash of each band, `[text][band]`. 32 bits do: a chance meeting is only one more comparison.
    keys: Vec<u32>,
}

/// The cluster of each text, named by its smallest index.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    /// First text with the same words.
    pub exact: Vec<u32>,
    /// First text of the near duplicates, exact ones included.
    pub near: Vec<u32>,
}

impl Signatures {
    /// Signatures of `count` texts, each of which is read once.
    ///
    /// # Errors
    /// The settings are out of range, or there are more than 2³² − 1 texts.
    pub fn of<'t, F>(count: usize, text: F, settings: Settings) -> Result<Self, String>
    where
        F: Fn(usize) -> Cow<'t, str> + Sync,
    {
        let Settings { shingle, threshold } = settings;
        if shingle == 0 {
            return Err("a shingle has at least one word, not 0".into());
        }
        if !(threshold > 0.0 && threshold <= 1.0) {
            return Err(format!("the threshold {threshold} is not in (0, 1]"));
        }
        if u32::try_from(count).is_err() {
            return Err(format!("{count} texts are more than can be numbered"));
        }
        let (bands, rows) = banding(threshold, MISSES);
        let permutations = Permutations::new();
        let (mut exact, mut keys) = (vec![0; count], vec![0; count * bands]);
        exact
            .par_iter_mut()
            .zip(keys.par_chunks_mut(bands))
            .enumerate()
            .for_each(|(i, (exact, keys))| {
                let words = words(&text(i));
                *exact = words.iter().fold(0, |hash, &word| mix(hash, word));
                let minima = permutations.minima(&shingles(&words, shingle));
                for (key, band) in keys.iter_mut().zip(minima.chunks_exact(rows)) {
                    *key = (band.iter().fold(0, |h, &m| mix(h, m.into())) >> 32) as u32;
                }
            });
        Ok(Self {
            settings,
            bands,
            exact,
            keys,
        })
    }

    /// Clusters of the texts; `text` must give the texts that the signatures were made of, and is
    /// called for candidates only.
    pub fn clusters<'t, F>(&self, text: F) -> Clusters
    where
        F: Fn(usize) -> Cow<'t, str> + Sync,
    {
        let count = self.exact.len();
        let mut near = Union((0..count as u32).collect());
        let mut order: Vec<u32> = (0..count as u32).collect();
        order.par_sort_unstable_by_key(|&i| (self.exact[i as usize], i));
        for same in order.chunk_by(|&a, &b| self.exact[a as usize] == self.exact[b as usize]) {
            for &i in &same[1..] {
                near.join(same[0], i);
            }
        }
        let exact = near.0.clone();
        // Equal texts have equal bands: the first stands for all. No words means no shingles.
        order.retain(|&i| exact[i as usize] == i && self.exact[i as usize] != 0);
        for band in 0..self.bands {
            let key = |i: u32| u64::from(self.keys[i as usize * self.bands + band]) << 32;
            let mut keyed: Vec<u64> = order.iter().map(|&i| key(i) | u64::from(i)).collect();
            keyed.par_sort_unstable();
            let buckets: Vec<&[u64]> = keyed
                .chunk_by(|a, b| a >> 32 == b >> 32)
                .filter(|bucket| bucket.len() > 1)
                .collect();
            let joined: Vec<Vec<(u32, u32)>> = buckets
                .par_iter()
                .map(|bucket| self.alike(bucket, &near, &text))
                .collect();
            for (a, b) in joined.into_iter().flatten() {
                near.join(a, b);
            }
            near.flatten();
        }
        let Union(near) = near;
        Clusters { exact, near }
    }

    /// Pairs of one bucket that are near duplicates, without those that are together already.
    fn alike<'t, F>(&self, bucket: &[u64], near: &Union, text: &F) -> Vec<(u32, u32)>
    where
        F: Fn(usize) -> Cow<'t, str>,
    {
        // The low half of an entry is the text's index.
        let index = |entry: &u64| *entry as u32;
        let first = near.name(index(&bucket[0]));
        let mut found = Vec::new();
        if bucket.iter().all(|entry| near.name(index(entry)) == first) {
            return found;
        }
        // The latest texts: index, cluster as far as known, shingles.
        let mut window: VecDeque<(u32, u32, Vec<u64>)> = VecDeque::new();
        for i in bucket.iter().map(index) {
            let name = near.name(i);
            let set = shingles(&words(&text(i as usize)), self.settings.shingle);
            for earlier in (0..window.len()).rev() {
                let (j, other, ref its) = window[earlier];
                if other != name && jaccard(its, &set) >= self.settings.threshold {
                    found.push((j, i));
                    for entry in window.iter_mut().filter(|entry| entry.1 == other) {
                        entry.1 = name;
                    }
                }
            }
            if window.len() == COMPARED {
                window.pop_front();
            }
            window.push_back((i, name, set));
        }
        found
    }
}

/// Disjoint sets, each named by its smallest member: the parent of a text is never after it.
struct Union(Vec<u32>);

impl Union {
    /// Name of a text's set, after [`Self::flatten`].
    fn name(&self, i: u32) -> u32 {
        self.0[i as usize]
    }

    fn join(&mut self, a: u32, b: u32) {
        let [a, b] = [a, b].map(|mut i| {
            while self.name(i) != i {
                let above = self.name(self.name(i));
                self.0[i as usize] = above;
                i = above;
            }
            i
        });
        self.0[a.max(b) as usize] = a.min(b);
    }

    /// Makes the name of each set the parent of all its members.
    fn flatten(&mut self) {
        for i in 0..self.0.len() {
            self.0[i] = self.name(self.0[i]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters(texts: &[&str], settings: Settings) -> Clusters {
        let text = |i: usize| Cow::Borrowed(texts[i]);
        let signatures = Signatures::of(texts.len(), text, settings).unwrap();
        signatures.clusters(text)
    }

    #[test]
    fn case_and_space_do_not_count() {
        let found = clusters(
            &[
                "Ein Haus",
                "",
                "ein \n HAUS ",
                "Haus ein",
                " \t",
                "ÄRGER",
                "ärger",
            ],
            Settings::default(),
        );
        assert_eq!(found.exact, [0, 1, 0, 3, 1, 5, 5]);
        assert_eq!(found.near, found.exact);
    }

    #[test]
    fn chains_are_one_cluster() {
        let line = |from: usize| {
            (from..from + 40)
                .map(|i| format!("w{i} "))
                .collect::<String>()
        };
        // Neighbours share 33 of 39 shingles (0.85), the ends 30 of 42 (0.71).
        let texts = [line(100), line(6), line(3), line(0), line(3)];
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let found = clusters(&texts, Settings::default());
        assert_eq!(found.near, [0, 1, 1, 1, 1]);
        assert_eq!(found.exact, [0, 1, 2, 3, 2]);
        let strict = clusters(
            &texts,
            Settings {
                threshold: 1.0,
                ..Settings::default()
            },
        );
        assert_eq!(strict.near, strict.exact);
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for (shingle, threshold) in [(0, 0.8), (5, 0.0), (5, 1.1), (5, f64::NAN)] {
            let settings = Settings { shingle, threshold };
            assert!(Signatures::of(0, |_| Cow::Borrowed(""), settings).is_err());
        }
    }
}
