//! RMSNorm, SwiGLU, softmax and cross-entropy, with their gradients.

use rayon::prelude::*;

use super::{dot, exp};

/// Rows or scalars that one thread takes at a time.
const ROWS: usize = 32;
const SCALARS: usize = 16 * 1024;

/// yᵢ = wᵢ · xᵢ / √(mean(x²) + ε) for each row of `weight.len()` scalars (Zhang & Sennrich 2019).
pub(crate) fn rms_norm(y: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
    let width = weight.len();
    let blocks = y
        .par_chunks_mut(width * ROWS)
        .zip(x.par_chunks(width * ROWS));
    blocks.for_each(|(y, x)| {
        for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let r = inverse_rms(x, eps);
            for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
                *y = x * r * w;
            }
        }
    });
}

/// dx = r·(w∘g) - x·r³·⟨w∘g, x⟩/width, with r = 1/√(mean(x²) + ε).
pub(crate) fn rms_norm_backward(dx: &mut [f32], g: &[f32], x: &[f32], weight: &[f32], eps: f32) {
    let width = weight.len();
    let block = width * ROWS;
    let blocks = dx
        .par_chunks_mut(block)
        .zip(x.par_chunks(block))
        .zip(g.par_chunks(block));
    blocks.for_each(|((dx, x), g)| {
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
    });
}

fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    1.0 / (dot(x, x) / x.len() as f32 + eps).sqrt()
}

/// y = gate·σ(gate) · up (Shazeer 2020).
pub(crate) fn swiglu(y: &mut [f32], gate: &[f32], up: &[f32]) {
    let inputs = gate.par_chunks(SCALARS).zip(up.par_chunks(SCALARS));
    y.par_chunks_mut(SCALARS)
        .zip(inputs)
        .for_each(|(y, (gate, up))| {
            for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
                *y = gate / (1.0 + exp(-gate)) * up;
            }
        });
}

/// dup = g·silu(gate); dgate = g·up·(σ + silu(gate)·(1 - σ)).
pub(crate) fn swiglu_backward(
    dgate: &mut [f32],
    dup: &mut [f32],
    g: &[f32],
    gate: &[f32],
    up: &[f32],
) {
    let outputs = dgate
        .par_chunks_mut(SCALARS)
        .zip(dup.par_chunks_mut(SCALARS));
    let inputs = gate
        .par_chunks(SCALARS)
        .zip(up.par_chunks(SCALARS))
        .zip(g.par_chunks(SCALARS));
    outputs
        .zip(inputs)
        .for_each(|((dgate, dup), ((gate, up), g))| {
            for index in 0..g.len() {
                let sigmoid = 1.0 / (1.0 + exp(-gate[index]));
                let silu = gate[index] * sigmoid;
                dup[index] = g[index] * silu;
                dgate[index] = g[index] * up[index] * (sigmoid + silu * (1.0 - sigmoid));
            }
        });
}

/// Softmax in place.
pub(crate) fn softmax(row: &mut [f32]) {
    let max = max(row);
    let sum = exp_in_place(row, max);
    let scale = 1.0 / sum;
    row.iter_mut().for_each(|x| *x *= scale);
}

/// -ln softmax(row)[target]; leaves the gradient (softmax - onehot)·`weight` in `row`.
pub(crate) fn cross_entropy_row(row: &mut [f32], target: usize, weight: f32) -> f64 {
    let max = max(row);
    let right = row[target];
    let sum = exp_in_place(row, max);
    let scale = weight / sum;
    row.iter_mut().for_each(|x| *x *= scale);
    row[target] -= weight;
    f64::from(sum.ln() + max - right)
}

fn max(row: &[f32]) -> f32 {
    row.iter().fold(f32::NEG_INFINITY, |max, x| max.max(*x))
}

/// Replaces x by e^(x - max); gives the sum, over sixteen lanes.
fn exp_in_place(row: &mut [f32], max: f32) -> f32 {
    let mut sums = [0f32; 16];
    for block in row.chunks_mut(16) {
        for (x, sum) in block.iter_mut().zip(&mut sums) {
            *x = exp(*x - max);
            *sum += *x;
        }
    }
    sums.iter().sum()
}
