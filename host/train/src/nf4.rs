//! 4-bit NormalFloat (Dettmers et al. 2023, QLoRA): each scalar is one of 16 quantiles of a normal
//! distribution, times the largest magnitude of its block of 64, which is kept in 8 bits beside a scale
//! and a mean of 256 blocks ("double quantisation").

use std::ops::Range;

use rayon::prelude::*;

const BLOCK: usize = 64;
/// Blocks that share the scale of their magnitudes.
const GROUP: usize = 256;

/// The code book of the paper, appendix E.
const QUANTILES: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// A matrix in NF4; a block does not end with a row.
pub(crate) struct Nf4 {
    /// Two scalars a byte, the first in the low half.
    codes: Vec<u8>,
    /// The magnitude of each block, in 255ths of its group's range.
    magnitudes: Vec<u8>,
    /// (least magnitude, step) of each group.
    groups: Vec<(f32, f32)>,
}

impl Nf4 {
    /// Quantises `values`.
    pub(crate) fn new(values: &[f32]) -> Self {
        let largest = |block: &[f32]| block.iter().fold(0f32, |max, x| max.max(x.abs()));
        let exact: Vec<f32> = values.par_chunks(BLOCK).map(largest).collect();
        let groups: Vec<(f32, f32)> = exact
            .chunks(GROUP)
            .map(|group| {
                let least = group.iter().copied().fold(f32::INFINITY, f32::min);
                let most = group.iter().copied().fold(0f32, f32::max);
                (least, (most - least) / 255.0)
            })
            .collect();
        let code = |(index, magnitude): (usize, &f32)| {
            let (least, step) = groups[index / GROUP];
            match step > 0.0 {
                // Rounded up, so that no scalar lies outside of the code book.
                true => ((magnitude - least) / step).ceil().clamp(0.0, 255.0) as u8,
                false => 0,
            }
        };
        let magnitudes: Vec<u8> = exact.iter().enumerate().map(code).collect();
        let mut own = Self {
            codes: Vec::new(),
            magnitudes,
            groups,
        };
        let blocks = values.par_chunks(BLOCK).enumerate();
        own.codes = blocks
            .flat_map_iter(|(index, block)| {
                let magnitude = own.magnitude(index);
                let scale = if magnitude > 0.0 {
                    1.0 / magnitude
                } else {
                    0.0
                };
                block.chunks(2).map(move |pair| {
                    let low = nearest(pair[0] * scale);
                    let high = pair.get(1).map_or(0, |x| nearest(x * scale));
                    low | high << 4
                })
            })
            .collect();
        own
    }

    pub(crate) fn bytes(&self) -> usize {
        self.codes.len() + self.magnitudes.len() + 8 * self.groups.len()
    }

    fn magnitude(&self, block: usize) -> f32 {
        let (least, step) = self.groups[block / GROUP];
        least + step * f32::from(self.magnitudes[block])
    }

    /// Writes scalars `range`.
    pub(crate) fn write(&self, range: Range<usize>, out: &mut [f32]) {
        let mut at = range.start;
        let mut out = out;
        while at < range.end {
            let block = at / BLOCK;
            let count = ((block + 1) * BLOCK).min(range.end) - at;
            let magnitude = self.magnitude(block);
            let (now, rest) = out.split_at_mut(count);
            let book = QUANTILES.map(|quantile| quantile * magnitude);
            for (offset, out) in now.iter_mut().enumerate() {
                let index = at + offset;
                let pair = self.codes[index / 2];
                *out = book[usize::from((pair >> (index % 2 * 4)) & 15)];
            }
            (at, out) = (at + count, rest);
        }
    }
}

/// The code of the quantile that is nearest to `x`; the lower one of two.
fn nearest(x: f32) -> u8 {
    let after = QUANTILES.partition_point(|quantile| *quantile < x);
    match after {
        0 => 0,
        16 => 15,
        _ if x - QUANTILES[after - 1] <= QUANTILES[after] - x => after as u8 - 1,
        _ => after as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use folkmoot_params::Seed;
    use rand::RngExt;

    #[test]
    fn scalars_come_back_as_their_nearest_quantile() {
        let mut rng = Seed(1).rng();
        let values: Vec<f32> = (0..1000)
            .map(|at| rng.random_range(-1.0..1.0) * (1.0 + at as f32 / 100.0))
            .collect();
        let own = Nf4::new(&values);
        let mut back = vec![0f32; 1000];
        own.write(0..1000, &mut back);
        let mut part = vec![0f32; 100];
        own.write(137..237, &mut part);
        assert_eq!(part, back[137..237]);
        for (index, (value, back)) in values.iter().zip(&back).enumerate() {
            let scale = own.magnitude(index / BLOCK);
            let best = QUANTILES.map(|quantile| (quantile * scale - value).abs());
            let best = best.into_iter().fold(f32::INFINITY, f32::min);
            assert!(
                (back - value).abs() <= best + 1e-6,
                "{index}: {value} {back}"
            );
        }
        // 4 bits, 8 bits a block of 64, 64 bits a group of 256 blocks.
        assert_eq!(own.bytes(), 500 + 16 + 8);
    }
}
