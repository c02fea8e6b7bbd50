//! Arithmetic on one block. Compiled for several instruction sets, chosen when the program runs; a product
//! and a sum are rounded one after the other, never fused, so every set gives the same bits.

use multiversion::multiversion;

use crate::expression::{Binary, Unary};

/// Scalars of a block: what is evaluated at once, and the unit in which reductions are grouped.
pub(crate) const BLOCK: usize = 2048;
/// Partial sums of a reduction within a block.
const LANES: usize = 16;

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn unary(op: Unary, a: &[f32], out: &mut [f32]) {
    #[inline(always)]
    fn each(a: &[f32], out: &mut [f32], op: impl Fn(f32) -> f32) {
        for (out, &a) in out.iter_mut().zip(a) {
            *out = op(a);
        }
    }
    match op {
        Unary::Scale(factor) => each(a, out, |a| factor * a),
        Unary::Offset(addend) => each(a, out, |a| a + addend),
        Unary::Clamp(low, high) => each(a, out, |a| a.clamp(low, high)),
        Unary::Sqrt => each(a, out, f32::sqrt),
        Unary::Square => each(a, out, |a| a * a),
        Unary::Abs => each(a, out, f32::abs),
        Unary::Sign => each(a, out, |a| {
            if a > 0.0 {
                1.0
            } else if a < 0.0 {
                -1.0
            } else {
                a
            }
        }),
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn binary(op: Binary, a: &[f32], b: &[f32], out: &mut [f32]) {
    #[inline(always)]
    fn each(a: &[f32], b: &[f32], out: &mut [f32], op: impl Fn(f32, f32) -> f32) {
        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *out = op(a, b);
        }
    }
    match op {
        Binary::Add => each(a, b, out, |a, b| a + b),
        Binary::Sub => each(a, b, out, |a, b| a - b),
        Binary::Mul => each(a, b, out, |a, b| a * b),
        Binary::Div => each(a, b, out, |a, b| a / b),
        // NaN where either is.
        Binary::Minimum => each(a, b, out, |a, b| if a < b || a.is_nan() { a } else { b }),
        Binary::Maximum => each(a, b, out, |a, b| if a > b || a.is_nan() { a } else { b }),
        Binary::AddScaled(factor) => each(a, b, out, |a, b| a + factor * b),
    }
}

/// sum ← sum + Σ weight · item, one item after the other, in f64; from 0 where `first`.
pub(crate) fn accumulate(first: bool, items: &[(&[f32], f64)], sum: &mut [f64]) {
    let mut first = first;
    let mut rest = items;
    while !rest.is_empty() {
        let taken = match rest.len() {
            4.. => 4,
            few => few,
        };
        let (now, later) = rest.split_at(taken);
        match *now {
            [a, b, c, d] => accumulate4(first, [a, b, c, d], sum),
            _ => now.iter().enumerate().for_each(|(index, item)| {
                accumulate1(first && index == 0, *item, sum);
            }),
        }
        (first, rest) = (false, later);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn accumulate1(first: bool, (x, weight): (&[f32], f64), sum: &mut [f64]) {
    match first {
        // 0 + weight · x, lest -0 stay -0.
        true => sum
            .iter_mut()
            .zip(x)
            .for_each(|(sum, &x)| *sum = 0.0 + weight * f64::from(x)),
        false => sum
            .iter_mut()
            .zip(x)
            .for_each(|(sum, &x)| *sum += weight * f64::from(x)),
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn accumulate4(first: bool, items: [(&[f32], f64); 4], sum: &mut [f64]) {
    let [(a, wa), (b, wb), (c, wc), (d, wd)] = items;
    let count = sum.len();
    let (a, b, c, d) = (&a[..count], &b[..count], &c[..count], &d[..count]);
    for i in 0..count {
        let before = if first { 0.0 } else { sum[i] };
        sum[i] = (((before + wa * f64::from(a[i])) + wb * f64::from(b[i])) + wc * f64::from(c[i]))
            + wd * f64::from(d[i]);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn round(sum: &[f64], out: &mut [f32]) {
    for (out, sum) in out.iter_mut().zip(sum) {
        *out = *sum as f32;
    }
}

#[inline(always)]
fn fold(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f64) -> f64 {
    let mut lanes = [0f64; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_blocks.remainder().iter().zip(b_blocks.remainder());
    for (a, b) in a_blocks.zip(b_blocks) {
        for lane in 0..LANES {
            lanes[lane] += term(a[lane], b[lane]);
        }
    }
    for (lane, (a, b)) in rest.enumerate() {
        lanes[lane] += term(*a, *b);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Σ a over a block.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn sum(a: &[f32]) -> f64 {
    fold(a, a, |a, _| f64::from(a))
}

/// Σ a · b over a block.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    fold(a, b, |a, b| f64::from(a) * f64::from(b))
}

/// Σ (a - b)² over a block; the difference in f32, its square and the sum in f64.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn distance(a: &[f32], b: &[f32]) -> f64 {
    fold(a, b, |a, b| {
        let difference = f64::from(a - b);
        difference * difference
    })
}

/// How many scalars of a block are not finite.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn not_finite(a: &[f32]) -> f64 {
    let mut count = 0u32;
    for a in a {
        // All ones in the exponent.
        count += u32::from(a.to_bits() & 0x7f80_0000 == 0x7f80_0000);
    }
    f64::from(count)
}
