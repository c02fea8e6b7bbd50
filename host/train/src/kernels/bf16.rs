//! Products of matrices rounded to bf16, with sums in f32: AVX512-BF16's `vdpbf16ps`.
//!
//! The left factor is packed in blocks of `MR` rows, the right one in panels of `NR` columns, both as pairs
//! of neighbours along the inner dimension, which the instruction multiplies and adds two at a time. Every
//! sum runs along the inner dimension in order, so that neither threads nor the other rows of a batch matter.

use half::bf16;
use half::slice::HalfFloatSliceExt;
use multiversion::multiversion;
use rayon::prelude::*;

/// Rows of a block, columns of a panel: 24 of 32 registers hold sums.
const MR: usize = 12;
const NR: usize = 32;
/// Rows that one thread takes at a time, a multiple of `MR`.
const ROWS: usize = 48;

/// Whether this processor has the instruction.
pub(crate) fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Which way a stored (rows, cols) matrix is the right factor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Its transpose: x·Wᵀ.
    Transposed,
    /// Itself: g·W.
    Plain,
}

/// A right factor in panels.
pub(crate) struct Panels {
    /// Pairs along the inner dimension.
    pairs: usize,
    cols: usize,
    data: Vec<u32>,
}

impl Panels {
    /// Of `values`, (rows, cols).
    pub(crate) fn new(values: &[bf16], rows: usize, cols: usize, side: Side) -> Self {
        let values: &[u16] = values.reinterpret_cast();
        assert_eq!(values.len(), rows * cols, "a factor of its size");
        let (inner, outer) = match side {
            Side::Transposed => (cols, rows),
            Side::Plain => (rows, cols),
        };
        let pairs = inner.div_ceil(2);
        let mut data = vec![0u32; outer.div_ceil(NR) * pairs * NR];
        let panels = data.par_chunks_exact_mut((pairs * NR).max(1)).enumerate();
        panels.for_each(|(panel, out)| {
            let first = panel * NR;
            let count = NR.min(outer - first);
            match side {
                Side::Transposed => {
                    pack_transposed(out, &values[first * cols..(first + count) * cols], cols);
                }
                Side::Plain => pack_plain(out, &values[first..], rows, cols, count),
            }
        });
        Self {
            pairs,
            cols: outer,
            data,
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn pack_transposed(out: &mut [u32], values: &[u16], cols: usize) {
    for (column, row) in values.chunks_exact(cols).enumerate() {
        let (pairs, last) = row.as_chunks::<2>();
        for (pair, out) in pairs.iter().zip(out[column..].iter_mut().step_by(NR)) {
            *out = u32::from(pair[0]) | u32::from(pair[1]) << 16;
        }
        if let [last] = last {
            out[pairs.len() * NR + column] = u32::from(*last);
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn pack_plain(out: &mut [u32], values: &[u16], rows: usize, cols: usize, count: usize) {
    for (pair, out) in out.chunks_exact_mut(NR).enumerate() {
        let row = |row: usize| &values[row * cols..][..count];
        let even = row(2 * pair);
        if 2 * pair + 1 < rows {
            for ((out, a), b) in out.iter_mut().zip(even).zip(row(2 * pair + 1)) {
                *out = u32::from(*a) | u32::from(*b) << 16;
            }
        } else {
            for (out, a) in out.iter_mut().zip(even) {
                *out = u32::from(*a);
            }
        }
    }
}

/// x to the nearest bf16, ties to even, as its bits.
#[inline(always)]
fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = (bits.wrapping_add(0x7FFF + ((bits >> 16) & 1))) >> 16;
    if x.is_nan() { 0x7FC0 } else { rounded }
}

/// `x` rounded.
pub(crate) fn to_bf16(x: &[f32]) -> Vec<bf16> {
    const CHUNK: usize = 1 << 16;
    let mut out = vec![bf16::ZERO; x.len()];
    let own: &mut [u16] = out.reinterpret_cast_mut();
    let chunks = own.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK));
    chunks.for_each(|(out, x)| round_all(out, x));
    out
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn round_all(out: &mut [u16], x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = round(*x) as u16;
    }
}

/// A left factor in blocks.
pub(crate) struct Blocks {
    rows: usize,
    pairs: usize,
    data: Vec<u32>,
}

impl Blocks {
    /// Of the first `cols` columns of `x`, whose rows lie `stride` apart.
    pub(crate) fn new(x: &[f32], rows: usize, cols: usize, stride: usize) -> Self {
        let pairs = cols.div_ceil(2);
        let mut data = vec![0u32; rows.div_ceil(MR) * pairs * MR];
        let blocks = data.par_chunks_exact_mut((pairs * MR).max(1)).enumerate();
        blocks.for_each(|(block, out)| {
            for row in 0..MR.min(rows - block * MR) {
                let at = (block * MR + row) * stride;
                pack_row(&mut out[row..], &x[at..at + cols]);
            }
        });
        Self { rows, pairs, data }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn pack_row(out: &mut [u32], x: &[f32]) {
    let (pairs, last) = x.as_chunks::<2>();
    for (pair, out) in pairs.iter().zip(out.iter_mut().step_by(MR)) {
        *out = round(pair[0]) | round(pair[1]) << 16;
    }
    if let [last] = last {
        out[pairs.len() * MR] = round(*last);
    }
}

/// out (+)= a·b, into columns from `first` on of rows that lie `stride` apart.
pub(crate) fn product(
    out: &mut [f32],
    stride: usize,
    first: usize,
    accumulate: bool,
    a: &Blocks,
    b: &Panels,
) {
    assert_eq!(a.pairs, b.pairs, "inner sizes of a product");
    assert!(
        first + b.cols <= stride && out.len() >= a.rows * stride,
        "a product stays inside"
    );
    let blocks = a.data.par_chunks((ROWS * a.pairs).max(1));
    let rows = out[..a.rows * stride].par_chunks_mut(ROWS * stride);
    rows.zip(blocks).for_each(|(out, blocks)| {
        let mut tile = [0f32; MR * NR];
        for (panel, columns) in b.data.chunks_exact(b.pairs * NR).enumerate() {
            let from = first + panel * NR;
            let count = NR.min(b.cols - panel * NR);
            let blocks = blocks.chunks_exact(b.pairs * MR);
            for (out, block) in out.chunks_mut(MR * stride).zip(blocks) {
                multiply(block, columns, &mut tile);
                for (out, tile) in out.chunks_exact_mut(stride).zip(tile.chunks_exact(NR)) {
                    let out = &mut out[from..from + count];
                    match accumulate {
                        true => out.iter_mut().zip(tile).for_each(|(out, x)| *out += x),
                        false => out.copy_from_slice(&tile[..count]),
                    }
                }
            }
        }
    });
}

/// tile = block·panel.
fn multiply(block: &[u32], panel: &[u32], tile: &mut [f32; MR * NR]) {
    #[cfg(target_arch = "x86_64")]
    if available() {
        // SAFETY: the processor has the features that the function is compiled for.
        #[allow(unsafe_code, reason = "a function of a processor's features")]
        unsafe {
            x86::multiply(block, panel, tile);
        }
        return;
    }
    plain(block, panel, tile);
}

/// The same in ordinary operations, for tests of what the instruction does.
fn plain(block: &[u32], panel: &[u32], tile: &mut [f32; MR * NR]) {
    let low = |pair: u32| f32::from_bits(pair << 16);
    let high = |pair: u32| f32::from_bits(pair & 0xFFFF_0000);
    tile.fill(0.0);
    for (a, b) in block.chunks_exact(MR).zip(panel.chunks_exact(NR)) {
        for (a, tile) in a.iter().zip(tile.chunks_exact_mut(NR)) {
            for (b, sum) in b.iter().zip(tile) {
                *sum += high(*a) * high(*b) + low(*a) * low(*b);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32,
        _mm512_setzero_ps, _mm512_storeu_ps,
    };
    use std::mem::transmute;

    use super::{MR, NR};

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn multiply(block: &[u32], panel: &[u32], tile: &mut [f32; MR * NR]) {
        let mut sums: [[__m512; 2]; MR] = [[_mm512_setzero_ps(); 2]; MR];
        let (rows, _) = block.as_chunks::<MR>();
        let (columns, _) = panel.as_chunks::<NR>();
        for (a, b) in rows.iter().zip(columns) {
            let b: [__m512bh; 2] = [load(&b[..NR / 2]), load(&b[NR / 2..])];
            for row in 0..MR {
                let a = bits(_mm512_set1_epi32(a[row].cast_signed()));
                sums[row][0] = _mm512_dpbf16_ps(sums[row][0], a, b[0]);
                sums[row][1] = _mm512_dpbf16_ps(sums[row][1], a, b[1]);
            }
        }
        let (tile, _) = tile.as_chunks_mut::<16>();
        for (out, sum) in tile.iter_mut().zip(sums.as_flattened()) {
            // SAFETY: `out` is sixteen scalars.
            #[allow(unsafe_code, reason = "a store through a pointer")]
            unsafe {
                _mm512_storeu_ps(out.as_mut_ptr(), *sum);
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn load(pairs: &[u32]) -> __m512bh {
        assert_eq!(pairs.len(), 16, "a register of pairs");
        // SAFETY: the slice is sixteen pairs, as was just asserted.
        #[allow(unsafe_code, reason = "a load through a pointer")]
        let register = unsafe { _mm512_loadu_si512(pairs.as_ptr().cast()) };
        bits(register)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn bits(register: __m512i) -> __m512bh {
        // SAFETY: both are 512 bits that mean what the instruction takes them for.
        #[allow(unsafe_code, reason = "there is no cast between the two types")]
        unsafe {
            transmute(register)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use folkmoot_params::Seed;
    use rand::RngExt;

    /// Products of odd sizes beside f64 sums of the rounded factors, both ways round, added and not.
    #[test]
    fn products_are_those_of_rounded_factors() {
        let mut rng = Seed(4).rng();
        for (rows, inner, cols) in [(1, 1, 1), (13, 7, 33), (60, 130, 64), (49, 24, 31)] {
            let mut draw = |count| -> Vec<f32> {
                std::iter::repeat_with(|| rng.random_range(-1.0..1.0))
                    .take(count)
                    .collect()
            };
            let (x, w) = (draw(rows * inner), to_bf16(&draw(cols * inner)));
            let rounded = to_bf16(&x);
            let turned: Vec<bf16> = (0..inner * cols)
                .map(|at| w[at % cols * inner + at / cols])
                .collect();
            let panels = [
                Panels::new(&w, cols, inner, Side::Transposed),
                Panels::new(&turned, inner, cols, Side::Plain),
            ];
            for panels in panels {
                for accumulate in [false, true] {
                    let mut out = vec![0.5f32; rows * (cols + 3)];
                    let a = Blocks::new(&x, rows, inner, inner);
                    product(&mut out, cols + 3, 2, accumulate, &a, &panels);
                    for row in 0..rows {
                        for col in 0..cols {
                            let sum: f64 = (0..inner)
                                .map(|k| {
                                    rounded[row * inner + k].to_f64() * w[col * inner + k].to_f64()
                                })
                                .sum();
                            let expected = sum + if accumulate { 0.5 } else { 0.0 };
                            let found = f64::from(out[row * (cols + 3) + 2 + col]);
                            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
                        }
                        assert_eq!(out[row * (cols + 3)], 0.5, "beside the product");
                    }
                }
            }
        }
    }

    #[test]
    fn rounding_is_to_nearest_even() {
        for x in [
            1.0,
            -2.5,
            1.003_906_3,
            1.011_718_8,
            f32::MAX,
            f32::INFINITY,
            1e-40,
            -0.0,
        ] {
            assert_eq!(round(x), u32::from(bf16::from_f32(x).to_bits()), "{x}");
        }
        assert!(f32::from_bits(round(f32::NAN) << 16).is_nan());
    }

    #[test]
    fn the_instruction_does_what_plain_operations_do() {
        let block: Vec<u32> = (0..MR * 5)
            .map(|i| round((i as f32).sin()) << 16 | round(0.5))
            .collect();
        let panel: Vec<u32> = (0..NR * 5)
            .map(|i| round((i as f32).cos()) | round(0.25) << 16)
            .collect();
        let (mut one, mut other) = ([0f32; MR * NR], [0f32; MR * NR]);
        multiply(&block, &panel, &mut one);
        plain(&block, &panel, &mut other);
        for (a, b) in one.iter().zip(other) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}
