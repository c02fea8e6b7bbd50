//! RMSNorm, gated activations, softmax and cross-entropy, with their gradients.

use multiversion::multiversion;
use rayon::prelude::*;

use super::{dot, exp, tanh};
use crate::Activation;

/// Rows or scalars that one thread takes at a time.
const ROWS: usize = 32;
const SCALARS: usize = 16 * 1024;

/// yᵢ = wᵢ · xᵢ / √(mean(x²) + ε) for each row of `weight.len()` scalars (Zhang & Sennrich 2019).
pub(crate) fn rms_norm(y: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
    let width = weight.len();
    let blocks = y
        .par_chunks_mut(width * ROWS)
        .zip(x.par_chunks(width * ROWS));
    blocks.for_each(|(y, x)| rms_norm_rows(y, x, weight, eps));
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn rms_norm_rows(y: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
    let width = weight.len();
    for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        let r = inverse_rms(x, eps);
        for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
            *y = x * r * w;
        }
    }
}

/// dx = r·(w∘g) - x·r³·⟨w∘g, x⟩/width, with r = 1/√(mean(x²) + ε).
pub(crate) fn rms_norm_backward(dx: &mut [f32], g: &[f32], x: &[f32], weight: &[f32], eps: f32) {
    let width = weight.len();
    let block = width * ROWS;
    let blocks = dx
        .par_chunks_mut(block)
        .zip(x.par_chunks(block))
        .zip(g.par_chunks(block));
    blocks.for_each(|((dx, x), g)| rms_norm_backward_rows(dx, g, x, weight, eps));
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn rms_norm_backward_rows(dx: &mut [f32], g: &[f32], x: &[f32], weight: &[f32], eps: f32) {
    let width = weight.len();
    let rows = dx.chunks_exact_mut(width).zip(x.chunks_exact(width));
    for ((dx, x), g) in rows.zip(g.chunks_exact(width)) {
        let r = inverse_rms(x, eps);
        for ((dx, g), w) in dx.iter_mut().zip(g).zip(weight) {
            *dx = g * w;
        }
        let along = dot(dx, x) * r * r * r / width as f32;
        for (dx, x) in dx.iter_mut().zip(x) {
            *dx = *dx * r - x * along;
        }
    }
}

#[inline(always)]
fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    1.0 / (dot(x, x) / x.len() as f32 + eps).sqrt()
}

/// dw += Σ over rows of g∘x·r: the gradient of the weight of [`rms_norm`].
pub(crate) fn rms_norm_weight(dw: &mut [f32], g: &[f32], x: &[f32], eps: f32) {
    let width = dw.len();
    for (g, x) in g.chunks_exact(width).zip(x.chunks_exact(width)) {
        let r = inverse_rms(x, eps);
        for ((dw, g), x) in dw.iter_mut().zip(g).zip(x) {
            *dw += g * x * r;
        }
    }
}

/// φ(x) and φ'(x).
#[inline(always)]
fn silu(x: f32) -> (f32, f32) {
    let sigmoid = 1.0 / (1.0 + exp(-x));
    let y = x * sigmoid;
    (y, sigmoid + y * (1.0 - sigmoid))
}

/// The same of ½x(1 + tanh u) = x·σ(2u), u = √(2/π)(x + 0.044715x³).
#[inline(always)]
fn gelu_tanh(x: f32) -> (f32, f32) {
    const TWICE: f32 = 1.595_769;
    const CUBE: f32 = 0.044_715;
    let square = x * x;
    let sigmoid = 1.0 / (1.0 + exp(-TWICE * x * (1.0 + CUBE * square)));
    let slope = TWICE * (1.0 + 3.0 * CUBE * square);
    (x * sigmoid, sigmoid + x * sigmoid * (1.0 - sigmoid) * slope)
}

/// y = φ(gate)·up (Shazeer 2020).
pub(crate) fn gated(activation: Activation, y: &mut [f32], gate: &[f32], up: &[f32]) {
    let rows = match activation {
        Activation::Silu => silu_gate,
        Activation::GeluTanh => gelu_gate,
    };
    let inputs = gate.par_chunks(SCALARS).zip(up.par_chunks(SCALARS));
    let blocks = y.par_chunks_mut(SCALARS).zip(inputs);
    blocks.for_each(|(y, (gate, up))| rows(y, gate, up));
}

/// dup = g·φ(gate); dgate = g·up·φ'(gate).
pub(crate) fn gated_backward(
    activation: Activation,
    (dgate, dup): (&mut [f32], &mut [f32]),
    g: &[f32],
    gate: &[f32],
    up: &[f32],
) {
    let rows = match activation {
        Activation::Silu => silu_gate_backward,
        Activation::GeluTanh => gelu_gate_backward,
    };
    let outputs = dgate
        .par_chunks_mut(SCALARS)
        .zip(dup.par_chunks_mut(SCALARS));
    let inputs = gate
        .par_chunks(SCALARS)
        .zip(up.par_chunks(SCALARS))
        .zip(g.par_chunks(SCALARS));
    outputs
        .zip(inputs)
        .for_each(|((dgate, dup), ((gate, up), g))| rows(dgate, dup, g, gate, up));
}

macro_rules! gates {
    ($($phi:ident $gate:ident $backward:ident;)*) => {$(
        #[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
        fn $gate(y: &mut [f32], gate: &[f32], up: &[f32]) {
            for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
                *y = $phi(*gate).0 * up;
            }
        }

        #[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
        fn $backward(dgate: &mut [f32], dup: &mut [f32], g: &[f32], gate: &[f32], up: &[f32]) {
            let outputs = dgate.iter_mut().zip(dup);
            for ((dgate, dup), ((g, gate), up)) in outputs.zip(g.iter().zip(gate).zip(up)) {
                let (y, slope) = $phi(*gate);
                *dup = g * y;
                *dgate = g * up * slope;
            }
        }
    )*};
}

gates! {
    silu silu_gate silu_gate_backward;
    gelu_tanh gelu_gate gelu_gate_backward;
}

/// Softmax in place.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn softmax(row: &mut [f32]) {
    let max = max(row);
    let sum = exp_in_place(row, max);
    let scale = 1.0 / sum;
    row.iter_mut().for_each(|x| *x *= scale);
}

/// -ln softmax(row)[target]; leaves the gradient (softmax - onehot)·`weight` in `row`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn cross_entropy_row(row: &mut [f32], target: usize, weight: f32) -> f64 {
    let max = max(row);
    let right = row[target];
    let sum = exp_in_place(row, max);
    let scale = weight / sum;
    row.iter_mut().for_each(|x| *x *= scale);
    row[target] -= weight;
    f64::from(sum.ln() + max - right)
}

/// The same of c·tanh(row/c), through the cap.
pub(crate) fn capped_cross_entropy_row(
    row: &mut [f32],
    target: usize,
    weight: f32,
    cap: f32,
) -> f64 {
    cap_row(row, cap);
    let inverse = 1.0 / cap;
    let slopes: Vec<f32> = row
        .iter()
        .map(|x| 1.0 - (x * inverse) * (x * inverse))
        .collect();
    let loss = cross_entropy_row(row, target, weight);
    for (x, slope) in row.iter_mut().zip(slopes) {
        *x *= slope;
    }
    loss
}

/// x ← c·tanh(x/c)
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn cap_row(row: &mut [f32], cap: f32) {
    let inverse = 1.0 / cap;
    row.iter_mut().for_each(|x| *x = cap * tanh(*x * inverse));
}

#[inline(always)]
fn max(row: &[f32]) -> f32 {
    let (blocks, rest) = row.as_chunks::<16>();
    let mut lanes = [f32::NEG_INFINITY; 16];
    for block in blocks {
        for (lane, x) in lanes.iter_mut().zip(block) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    let all = lanes.iter().chain(rest);
    all.fold(f32::NEG_INFINITY, |max, x| max.max(*x))
}

/// Replaces x by e^(x - max); gives the sum, over sixteen lanes.
#[inline(always)]
fn exp_in_place(row: &mut [f32], max: f32) -> f32 {
    let mut sums = [0f32; 16];
    let (blocks, rest) = row.as_chunks_mut::<16>();
    for block in blocks {
        for (x, sum) in block.iter_mut().zip(&mut sums) {
            *x = exp(*x - max);
            *sum += *x;
        }
    }
    for (x, sum) in rest.iter_mut().zip(&mut sums) {
        *x = exp(*x - max);
        *sum += *x;
    }
    sums.iter().sum()
}
