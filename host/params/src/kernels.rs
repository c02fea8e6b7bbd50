//! Arithmetic on one block. Compiled for several instruction sets, chosen when the program runs; a product
//! and a sum are rounded one after the other, never fused, so every set gives the same bits.

use multiversion::multiversion;

use crate::expression::{Binary, Unary};

/// Scalars of a block: what is evaluated at once, and the unit in which reductions are grouped.
pub(crate) const BLOCK: usize = 4096;
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
        Unary::SqrtOffset(addend) => each(a, out, |a| a.sqrt() + addend),
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
        Binary::Combine(first, second) => each(a, b, out, |a, b| first * a + second * b),
        Binary::AddScaled(factor) => each(a, b, out, |a, b| a + factor * b),
    }
}

/// Items that one pass over a block adds.
pub(crate) const TOGETHER: usize = 8;

/// sum ← sum + Σ weight · item, one item after the other, in f64; from 0 where `first`.
pub(crate) fn accumulate(first: bool, items: &[(&[f32], f64)], sum: &mut [f64]) {
    match *items {
        [a] => accumulate1(first, [a], sum),
        [a, b] => accumulate2(first, [a, b], sum),
        [a, b, c] => accumulate3(first, [a, b, c], sum),
        [a, b, c, d] => accumulate4(first, [a, b, c, d], sum),
        [a, b, c, d, e] => accumulate5(first, [a, b, c, d, e], sum),
        [a, b, c, d, e, f] => accumulate6(first, [a, b, c, d, e, f], sum),
        [a, b, c, d, e, f, g] => accumulate7(first, [a, b, c, d, e, f, g], sum),
        [a, b, c, d, e, f, g, h, ref rest @ ..] => {
            accumulate8(first, [a, b, c, d, e, f, g, h], sum);
            if !rest.is_empty() {
                accumulate(false, rest, sum);
            }
        }
        [] => {}
    }
}

const AHEAD: usize = 512;
/// Scalars of one cache line.
const LINE: usize = 16;

/// Asks the processor to have the line at hand that lies one block after `here`. Many inputs are read in
/// turn, which is more streams than it recognises by itself; asked between the arithmetic, memory and
/// arithmetic overlap. What lies past the end of an input is asked for in vain.
#[inline(always)]
fn prefetch(here: &[f32; LINE]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_NTA, _mm_prefetch};
        let ahead = here.as_ptr().wrapping_add(AHEAD);
        // SAFETY: a prefetch reads nothing that the program could see, whatever the address.
        #[allow(unsafe_code, reason = "the only way to prefetch")]
        unsafe {
            _mm_prefetch::<_MM_HINT_NTA>(ahead.cast());
        }
    }
}

/// One pass over the sums for `$n` items.
macro_rules! accumulate_together {
    ($($name:ident $n:literal)*) => {$(
        #[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
        fn $name(first: bool, items: [(&[f32], f64); $n], sum: &mut [f64]) {
            let count = sum.len();
            let weights = items.map(|(_, weight)| weight);
            let items = items.map(|(item, _)| item[..count].as_chunks::<LINE>());
            let (lines, rest) = sum.as_chunks_mut::<LINE>();
            for (line, sum) in lines.iter_mut().enumerate() {
                let mut own = if first { [0.0; LINE] } else { *sum };
                for (&weight, (item, _)) in weights.iter().zip(&items) {
                    prefetch(&item[line]);
                    for (own, value) in own.iter_mut().zip(&item[line]) {
                        *own += weight * f64::from(*value);
                    }
                }
                *sum = own;
            }
            for (index, sum) in rest.iter_mut().enumerate() {
                let mut own = if first { 0.0 } else { *sum };
                for (&weight, (_, item)) in weights.iter().zip(&items) {
                    own += weight * f64::from(item[index]);
                }
                *sum = own;
            }
        }
    )*};
}

accumulate_together! {
    accumulate1 1 accumulate2 2 accumulate3 3 accumulate4 4
    accumulate5 5 accumulate6 6 accumulate7 7 accumulate8 8
}

/// The rounded sums, added to `base`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn round_onto(sum: &[f64], base: &[f32], out: &mut [f32]) {
    for ((out, sum), base) in out.iter_mut().zip(sum).zip(base) {
        *out = base + *sum as f32;
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

/// Copies a block past the caches, where the result as a whole does not fit into them: a line that is
/// written as a whole need not be read first.
pub(crate) fn stream(a: &[f32], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_mm_loadu_ps, _mm_sfence, _mm_stream_ps};
        assert_eq!(a.len(), out.len(), "a block and its place are of one size");
        // SAFETY: f32 and four of them in a vector have no invalid values.
        #[allow(unsafe_code, reason = "the only way to write past the caches")]
        let (head, body, tail) = unsafe { out.align_to_mut::<[f32; 4]>() };
        let (a_head, rest) = a.split_at(head.len());
        let (a_body, a_tail) = rest.split_at(4 * body.len());
        // A vector of four has the alignment of its scalars, so the store's own is checked.
        if body.as_ptr().addr().is_multiple_of(16) {
            head.copy_from_slice(a_head);
            tail.copy_from_slice(a_tail);
            for (out, a) in body.iter_mut().zip(a_body.chunks_exact(4)) {
                // SAFETY: `a` has four scalars to read, `out` has place for four, aligned to 16 bytes as
                // was checked; every x86-64 processor has SSE. The fence below orders the stores.
                #[allow(unsafe_code, reason = "the only way to write past the caches")]
                unsafe {
                    _mm_stream_ps(out.as_mut_ptr(), _mm_loadu_ps(a.as_ptr()));
                }
            }
            // SAFETY: a fence touches no memory.
            #[allow(unsafe_code, reason = "the only way to write past the caches")]
            #[allow(unused_unsafe, reason = "safe in later versions")]
            unsafe {
                _mm_sfence();
            }
            return;
        }
    }
    out.copy_from_slice(a);
}
