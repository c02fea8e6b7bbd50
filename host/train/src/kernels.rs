//! The arithmetic of a decoder on plain slices, forward and backward.
//!
//! Everything is f32 and row-major. Every sum has a fixed order: lanes and blocks have fixed sizes,
//! and threads share out whole rows or heads, never a sum.

pub(crate) mod attention;
pub(crate) mod bf16;
mod elementwise;
mod matmul;
pub(crate) mod shared;

pub(crate) use elementwise::{
    cap_row, capped_cross_entropy_row, cross_entropy_row, gated, gated_backward, rms_norm,
    rms_norm_backward, rms_norm_weight, softmax,
};
pub(crate) use matmul::{Lay, matmul, matmul_alone};

/// Σ aᵢ·bᵢ over sixteen lanes that are added at the end.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0f32; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_blocks.remainder().iter().zip(b_blocks.remainder());
    let rest: f32 = rest.map(|(a, b)| a * b).sum();
    for (a, b) in a_blocks.zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// e^x to about 1e-7 relative, in operations that vectorise (Cephes' polynomial; libm's call does not).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // Adding and subtracting 1.5·2²³ rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let n = (x * LOG2_E + ROUND) - ROUND;
    // ln 2 in two parts, so that the remainder keeps its low bits.
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    for c in [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        p = p * r + c;
    }
    let y = p * r * r + r + 1.0;
    y * f32::from_bits(((n as i32 + 127) << 23) as u32)
}

/// tanh x to about 2e-7 relative, in operations that vectorise.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let square = x * x;
    // Near 0 the quotient below would lose its low bits: there the series x - x³/3 + 2x⁵/15 - 17x⁷/315.
    let series = x * (1.0 + square * (-1.0 / 3.0 + square * (2.0 / 15.0 - square * 17.0 / 315.0)));
    let quotient = 1.0 - 2.0 / (exp(2.0 * x) + 1.0);
    if square < 0.04 { series } else { quotient }
}

#[cfg(test)]
mod tests {
    use super::{exp, tanh};

    #[test]
    fn tanh_is_close_to_the_library() {
        for step in -4000..4000 {
            let x = (step as f32 + 0.5) * 0.005;
            let (found, expected) = (f64::from(tanh(x)), f64::from(x).tanh());
            assert!(
                (found / expected - 1.0).abs() < 2e-6,
                "{x}: {found} {expected}"
            );
        }
    }

    #[test]
    fn exp_is_close_to_the_library() {
        for step in -8600..8700 {
            let x = step as f32 * 0.01;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(
                (found / expected - 1.0).abs() < 5e-7,
                "{x}: {found} {expected}"
            );
        }
    }
}
