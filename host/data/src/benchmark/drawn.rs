//! Numbers of rows that are drawn: by our own generator, and as Hugging Face's `datasets` draws a test part.

use folkmoot_params::Seed;
use rand::seq::SliceRandom;

/// `count` of the numbers below `rows`, ascending; all where there are not as many.
pub(super) fn some(count: usize, rows: usize, seed: Seed) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    order.shuffle(&mut seed.rng());
    order.truncate(count);
    order.sort_unstable();
    order
}

/// How many of `limit` each group of these sizes gets: in proportion, the largest remainders rounded up, and one of
/// each as long as there are as many.
pub(super) fn shares(limit: usize, sizes: &[usize]) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    if total <= limit {
        return sizes.to_vec();
    }
    let at_least = usize::from(limit >= sizes.iter().filter(|size| **size > 0).count());
    let mut shares: Vec<usize> = sizes
        .iter()
        .map(|size| (limit * size / total).max(at_least.min(*size)))
        .collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&group| (std::cmp::Reverse(limit * sizes[group] % total), group));
    // What rounding down left over goes to the largest remainders; what the ones for the smallest took too much comes
    // from the largest.
    for &group in order.iter().cycle().take(order.len() * (limit + 1)) {
        if shares.iter().sum::<usize>() >= limit {
            break;
        }
        if shares[group] < sizes[group] {
            shares[group] += 1;
        }
    }
    while shares.iter().sum::<usize>() > limit {
        let largest = (0..shares.len()).max_by_key(|&group| (shares[group], group));
        let Some(largest) = largest else { break };
        shares[largest] -= 1;
    }
    shares
}

/// The rows of the test part that `train_test_split(test_size=share, seed=seed)` of Hugging Face's `datasets` makes of
/// `rows` rows, ascending: the first ceil(share · rows) of `numpy.random.default_rng(seed).permutation(rows)`.
pub(super) fn test_part(share: f64, rows: usize, seed: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    let mut generator = Pcg64::new(seed);
    for last in (1..rows).rev() {
        order.swap(last, generator.up_to(last as u32) as usize);
    }
    order.truncate((share * rows as f64).ceil() as usize);
    order.sort_unstable();
    order
}

/// numpy's `default_rng`: PCG64 (XSL-RR) seeded by `SeedSequence`.
struct Pcg64 {
    state: u128,
    increment: u128,
    /// The upper half of a number whose lower half was given out.
    half: Option<u32>,
}

impl Pcg64 {
    fn new(seed: u32) -> Self {
        let words = entropy(seed);
        let wide = |high: usize| u128::from(words[high]) << 64 | u128::from(words[high + 1]);
        let mut generator = Self {
            state: 0,
            increment: wide(2) << 1 | 1,
            half: None,
        };
        generator.step();
        generator.state = generator.state.wrapping_add(wide(0));
        generator.step();
        generator
    }

    fn step(&mut self) {
        const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
        self.state = self
            .state
            .wrapping_mul(MULTIPLIER)
            .wrapping_add(self.increment);
    }

    fn next(&mut self) -> u32 {
        if let Some(half) = self.half.take() {
            return half;
        }
        self.step();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        let number = folded.rotate_right((self.state >> 122) as u32);
        self.half = Some((number >> 32) as u32);
        number as u32
    }

    /// A number from 0 to `most`: the first whose lowest bits, as many as `most` has, are not more.
    fn up_to(&mut self, most: u32) -> u32 {
        let mask = u32::MAX.checked_shr(most.leading_zeros()).unwrap_or(0);
        loop {
            let number = self.next() & mask;
            if number <= most {
                return number;
            }
        }
    }
}

/// `SeedSequence(seed).generate_state(4, uint64)`.
fn entropy(seed: u32) -> [u64; 4] {
    const MIX_LEFT: u32 = 0xca01_f9dd;
    const MIX_RIGHT: u32 = 0x4973_f715;
    let mut constant = 0x43b0_d7e5_u32;
    let mut hashed = |value: u32| {
        let value = value ^ constant;
        constant = constant.wrapping_mul(0x931e_8875);
        let value = value.wrapping_mul(constant);
        value ^ value >> 16
    };
    let mut pool = [seed, 0, 0, 0].map(&mut hashed);
    for from in 0..4 {
        for to in 0..4 {
            if from != to {
                let left = pool[to].wrapping_mul(MIX_LEFT);
                let mixed = left.wrapping_sub(hashed(pool[from]).wrapping_mul(MIX_RIGHT));
                pool[to] = mixed ^ mixed >> 16;
            }
        }
    }
    let mut constant = 0x8b51_f9dd_u32;
    let mut words = (0..8).map(|index| {
        let value = pool[index % 4] ^ constant;
        constant = constant.wrapping_mul(0x58f3_8ded);
        let value = value.wrapping_mul(constant);
        u64::from(value ^ value >> 16)
    });
    std::array::from_fn(|_| words.next().unwrap_or(0) | words.next().unwrap_or(0) << 32)
}
