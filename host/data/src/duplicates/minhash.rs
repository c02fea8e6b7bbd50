//! Shingles of a text, their minima under permutations, and the choice of bands.

/// Number of permutations, and so of minima of a text.
pub const PERMUTATIONS: usize = 128;
/// Number of bands `b` and of rows `r` of each, with `b·r ≤ 128`, for a threshold `t`: those with the
/// least `(1 − w) ∫₀ᵗ 1 − (1 − sʳ)ᵇ ds + w ∫ₜ¹ (1 − sʳ)ᵇ ds`, the false positives and the false
/// negatives of weight `w` over all indices `s`. It is what `datasketch` computes for its
/// `MinHashLSH(threshold, weights=(1 − w, w))`.
pub fn banding(threshold: f64, misses: f64) -> (usize, usize) {
    // Simpson's rule over 200 pieces, far more than the choice needs.
    let integral = |from: f64, to: f64, f: &dyn Fn(f64) -> f64| {
        let step = (to - from) / 200.0;
        let inner = (1..200).map(|i| [2.0, 4.0][i % 2] * f(from + step * i as f64));
        (f(from) + inner.sum::<f64>() + f(to)) * step / 3.0
    };
    let (mut least, mut best) = (f64::INFINITY, (1, 1));
    for bands in 1..=PERMUTATIONS {
        for rows in 1..=PERMUTATIONS / bands {
            let missed = |s: f64| (1.0 - s.powi(rows as i32)).powi(bands as i32);
            let negatives = integral(threshold, 1.0, &missed);
            let positives = integral(0.0, threshold, &|s| 1.0 - missed(s));
            let error = (1.0 - misses) * positives + misses * negatives;
            if error < least {
                (least, best) = (error, (bands, rows));
            }
        }
    }
    best
}

/// Jaccard index of two texts' sets of shingles of `shingle` words, at least 1: what
/// [`Settings::threshold`](super::Settings::threshold) is compared with.
pub fn resemblance(a: &str, b: &str, shingle: usize) -> f64 {
    let set = |text: &str| shingles(&words(text), shingle.max(1));
    jaccard(&set(a), &set(b))
}

/// Jaccard index `|A ∩ B| / |A ∪ B|` of two sets, each sorted and without repetition; 1 for two
/// empty ones.
pub(super) fn jaccard(a: &[u64], b: &[u64]) -> f64 {
    let (mut i, mut j, mut common) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        common += usize::from(a[i] == b[j]);
        let (x, y) = (a[i], b[j]);
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
    let union = a.len() + b.len() - common;
    if union == 0 {
        1.0
    } else {
        common as f64 / union as f64
    }
}

/// Hash of each word of a text, lower-cased.
pub(super) fn words(text: &str) -> Vec<u64> {
    let hash = |word: &str| {
        let chunks = word.as_bytes().chunks(8).map(|chunk| {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(bytes)
        });
        chunks.fold(word.len() as u64, mix)
    };
    text.to_lowercase().split_whitespace().map(hash).collect()
}

/// Hashes of the distinct runs of `length` words, sorted; one of all words where there are fewer.
pub(super) fn shingles(words: &[u64], length: usize) -> Vec<u64> {
    if words.is_empty() {
        return Vec::new();
    }
    let runs = words.windows(length.min(words.len()));
    let mut hashes: Vec<u64> = runs.map(|r| r.iter().fold(0, |h, &w| mix(h, w))).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// A value mixed into a hash: both halves of a 128-bit product, so that every bit of both counts.
/// Never 0, which is left for a text without words.
pub(super) fn mix(hash: u64, value: u64) -> u64 {
    let product = u128::from(hash ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(u128::from(
        value ^ 0xd1b5_4a32_d192_ed03 ^ hash.rotate_left(29),
    ));
    ((product as u64) ^ (product >> 64) as u64).max(1)
}

/// Permutations of 32-bit values, `π(x) = ⌊((a·x + b) mod 2⁶⁴) / 2³²⌋` with 64-bit `a` and `b`: the
/// strongly universal multiply-shift of Thorup, "High Speed Hashing for Integers and Strings", 2015.
/// `a` and `b` are fixed, the output of SplitMix64 from state 0.
pub(super) struct Permutations {
    a: [u64; PERMUTATIONS],
    b: [u64; PERMUTATIONS],
}

impl Permutations {
    pub(super) fn new() -> Self {
        let mut state = 0u64;
        let mut next = |_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        let a = std::array::from_fn(&mut next);
        let b = std::array::from_fn(&mut next);
        Self { a, b }
    }

    /// Least value of a set under each permutation.
    pub(super) fn minima(&self, set: &[u64]) -> [u32; PERMUTATIONS] {
        let mut minima = [u32::MAX; PERMUTATIONS];
        for x in set {
            let x = x >> 32;
            for ((minimum, &a), &b) in minima.iter_mut().zip(&self.a).zip(&self.b) {
                let value = (a.wrapping_mul(x).wrapping_add(b) >> 32) as u32;
                *minimum = value.min(*minimum);
            }
        }
        minima
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_by_hand() {
        // {ab, bc, cd} and {bc, cd, de}.
        assert_eq!(resemblance("a b c d", "B  c d e", 2), 0.5);
        assert_eq!(resemblance("a b", "a b", 5), 1.0);
        assert_eq!(resemblance("a b", "a b c", 5), 0.0);
        assert_eq!(resemblance("a", "", 5), 0.0);
        assert_eq!(resemblance("", " ", 5), 1.0);
        // A run that is repeated counts once.
        assert_eq!(resemblance("a a a a", "a a", 2), 1.0);
    }

    #[test]
    fn equal_minima_estimate_the_index() {
        let permutations = Permutations::new();
        let text = |from: usize| {
            (from..from + 400)
                .map(|i| format!("{i} "))
                .collect::<String>()
        };
        for shift in [0, 20, 50, 100, 200, 400] {
            let sets = [0, shift].map(|from| shingles(&words(&text(from)), 1));
            let minima = sets.each_ref().map(|set| permutations.minima(set));
            let equal = minima[0].iter().zip(&minima[1]).filter(|(a, b)| a == b);
            let estimate = equal.count() as f64 / PERMUTATIONS as f64;
            let exact = jaccard(&sets[0], &sets[1]);
            // Four standard errors of 128 draws.
            let error = 4.0 * (exact * (1.0 - exact) / PERMUTATIONS as f64).sqrt();
            assert!((estimate - exact).abs() <= error, "{estimate} for {exact}");
        }
    }
}
