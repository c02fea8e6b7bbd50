//! Median: median(Δ₁, …, Δₙ), coordinate by coordinate, as a block kernel.
//!
//! Up to sixteen updates go through Batcher's odd-even merge network. Its comparators are literals and each
//! coordinate is on its own, so that the compiler keeps the values in registers and does four coordinates at
//! once: `min` and `max` as written here are single instructions.

use folkmoot_sdk::{BlockKernel, Result, export_block_kernel};
use schemars::JsonSchema;
use serde::Deserialize;

/// The coordinate-wise median of the clients' updates, as a block kernel.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MedianByBlock {}
export_block_kernel!(MedianByBlock);

/// Comparators in order; those that reach beyond `N` inputs would meet only +∞ and fall away.
macro_rules! sort {
    ($v:ident: $(($a:literal, $b:literal))*) => {
        $(if $b < N {
            let (a, b) = ($v[$a], $v[$b]);
            $v[$a] = if b < a { b } else { a };
            $v[$b] = if a < b { b } else { a };
        })*
    };
}

/// The medians of `N` updates, `N` at most 16.
#[cfg_attr(target_family = "wasm", target_feature(enable = "simd128"))]
fn by_network<const N: usize>(deltas: &[Vec<f32>], medians: &mut [f32]) {
    let deltas: [&[f32]; N] = std::array::from_fn(|k| &deltas[k][..medians.len()]);
    for (at, median) in medians.iter_mut().enumerate() {
        let mut v: [f32; N] = std::array::from_fn(|k| deltas[k][at]);
        sort!(v:
            (0, 1) (2, 3) (4, 5) (6, 7) (8, 9) (10, 11) (12, 13) (14, 15) (0, 2) (1, 3) (4, 6) (5, 7)
            (8, 10) (9, 11) (12, 14) (13, 15) (1, 2) (5, 6) (9, 10) (13, 14) (0, 4) (1, 5) (2, 6) (3, 7)
            (8, 12) (9, 13) (10, 14) (11, 15) (2, 4) (3, 5) (10, 12) (11, 13) (1, 2) (3, 4) (5, 6)
            (9, 10) (11, 12) (13, 14) (0, 8) (1, 9) (2, 10) (3, 11) (4, 12) (5, 13) (6, 14) (7, 15)
            (4, 8) (5, 9) (6, 10) (7, 11) (2, 4) (3, 5) (6, 8) (7, 9) (10, 12) (11, 13) (1, 2) (3, 4)
            (5, 6) (7, 8) (9, 10) (11, 12) (13, 14)
        );
        *median = between(v[(N - 1) / 2], v[N / 2]);
    }
}

/// The medians of any number of updates.
fn by_selection(deltas: &[Vec<f32>], medians: &mut [f32]) {
    let mut column = vec![0.0; deltas.len()];
    for (at, median) in medians.iter_mut().enumerate() {
        for (value, delta) in column.iter_mut().zip(deltas) {
            *value = delta[at];
        }
        let (lower, &mut upper, _) =
            column.select_nth_unstable_by(deltas.len() / 2, f32::total_cmp);
        *median = match deltas.len() % 2 {
            1 => upper,
            _ => between(
                lower.iter().copied().fold(f32::NEG_INFINITY, f32::max),
                upper,
            ),
        };
    }
}

#[inline(always)]
fn between(a: f32, b: f32) -> f32 {
    ((f64::from(a) + f64::from(b)) / 2.0) as f32
}

impl BlockKernel for MedianByBlock {
    const REFERENCES: &'static [&'static str] = &[
        "Yin et al. 2018, Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates, https://arxiv.org/abs/1803.01498",
        "Batcher 1968, Sorting Networks and Their Applications, https://doi.org/10.1145/1468075.1468121",
    ];

    fn reduce(&self, deltas: &[Vec<f32>], _: &[f64]) -> Result<Vec<f32>> {
        let mut medians = vec![0.0; deltas.first().map_or(0, Vec::len)];
        macro_rules! by_count {
            ($($n:literal)*) => {
                match deltas.len() {
                    $($n => by_network::<$n>(deltas, &mut medians),)*
                    _ => by_selection(deltas, &mut medians),
                }
            };
        }
        by_count!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
        Ok(medians)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medians(deltas: &[Vec<f32>]) -> Vec<f32> {
        MedianByBlock {}.reduce(deltas, &[]).unwrap()
    }

    #[test]
    fn odd_and_even_cohorts() {
        let deltas = [
            vec![1.0, -3.0],
            vec![9.0, 0.0],
            vec![2.0, 5.0],
            vec![4.0, 6.0],
        ];
        assert_eq!(medians(&deltas[..1]), [1.0, -3.0]);
        assert_eq!(medians(&deltas[..3]), [2.0, 0.0]);
        assert_eq!(medians(&deltas), [3.0, 2.5]);
    }

    #[test]
    fn the_network_agrees_with_selection() {
        for n in 1..=18u32 {
            let value = |k: u32, at: u32| {
                (k * 7919 + at * 104_729).wrapping_mul(2_654_435_761) as i32 as f32
            };
            let delta = |k| (0..501).map(|at| value(k, at)).collect();
            let deltas: Vec<Vec<f32>> = (0..n).map(delta).collect();
            let mut expected = vec![0.0; 501];
            by_selection(&deltas, &mut expected);
            assert_eq!(medians(&deltas), expected, "{n} updates");
        }
    }
}
