//! N-grams as hashes, and hashes as text.

/// The distinct hashes, in order, of the n-grams of `words` that are at most `limit`.
pub(crate) fn ngrams(words: &[&str], n: usize, limit: u64) -> Vec<u64> {
    let words: Vec<u64> = words.iter().map(|word| hash(word)).collect();
    let grams = words.windows(n).map(|gram| {
        // Seeded by n's own start, so that order and number of the words matter.
        gram.iter()
            .fold(n as u64, |so_far, word| mix(so_far.rotate_left(23) ^ word))
    });
    let mut grams: Vec<u64> = grams.filter(|gram| *gram <= limit).collect();
    grams.sort_unstable();
    grams.dedup();
    grams
}

/// FNV-1a.
fn hash(word: &str) -> u64 {
    let bytes = word.bytes();
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The finaliser of SplitMix64: a bijection in which every bit of the input reaches every bit of the output.
fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Characters of one hash, of six bits each.
const WIDTH: usize = 11;

/// The character of six zero bits; the others follow it in ASCII.
const ZERO: u8 = b'0';

/// Hashes as text, eleven characters each.
pub(crate) fn pack(hashes: &[u64]) -> String {
    let mut text = String::with_capacity(WIDTH * hashes.len());
    for hash in hashes {
        let digit = |place: usize| char::from(ZERO + ((hash >> (6 * place)) & 63) as u8);
        text.extend((0..WIDTH).map(digit));
    }
    text
}

/// What [`pack`] packed.
pub(crate) fn unpack(text: &str) -> impl Iterator<Item = u64> {
    let hash = |digits: &[u8]| {
        let digits = digits.iter().rev();
        digits.fold(0, |hash, digit| {
            hash << 6 | u64::from(digit.wrapping_sub(ZERO))
        })
    };
    text.as_bytes().chunks_exact(WIDTH).map(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back() {
        let hashes = [0, 1, u64::MAX, 0x0123_4567_89ab_cdef, mix(5)];
        assert!(unpack(&pack(&hashes)).eq(hashes));
    }

    #[test]
    fn order_and_bounds_of_words_matter() {
        let grams = |words: &[&str]| ngrams(words, 2, u64::MAX);
        assert_ne!(grams(&["a", "b"]), grams(&["b", "a"]));
        assert_ne!(grams(&["ab", "c"]), grams(&["a", "bc"]));
        assert_ne!(grams(&["a", "a"]), grams(&["b", "b"]));
        assert_eq!(grams(&["a", "a", "a"]).len(), 1);
    }
}
