//! Rotary positions and causal grouped-query attention over rows of different lengths that lie one
//! after another without padding.
//!
//! q: (tokens, query heads · dim), k and v: (tokens, key heads · dim). No row sees another.

use rayon::prelude::*;

use super::{Lay, dot, matmul_alone, softmax};

/// Query rows whose scores are held at once.
const BLOCK: usize = 64;

/// Numbers of heads, and their size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    pub(crate) query: usize,
    pub(crate) key: usize,
    pub(crate) dim: usize,
}

impl Heads {
    /// Query heads that share a key head.
    pub(crate) fn group(self) -> usize {
        self.query / self.key
    }
}

/// cos and sin of position · θ^(-2j/dim), j < dim/2 (Su et al. 2021, in the half-split form of Llama's
/// Hugging Face checkpoints).
#[derive(Debug)]
pub(crate) struct Rotary {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl Rotary {
    pub(crate) fn new(positions: usize, dim: usize, theta: f32) -> Self {
        let half = dim / 2;
        let angles = (0..positions).flat_map(|position| {
            // In f32 like the reference implementation, whose rounding is part of the model.
            let frequency = move |j| 1.0 / theta.powf((2 * j) as f32 / dim as f32);
            (0..half).map(move |j| position as f32 * frequency(j))
        });
        let angles: Vec<f32> = angles.collect();
        Self {
            cos: angles.iter().map(|a| a.cos()).collect(),
            sin: angles.iter().map(|a| a.sin()).collect(),
            half,
        }
    }

    /// Turns one head's vector by its position, in place; back again where `inverse`.
    pub(crate) fn turn(&self, head: &mut [f32], position: usize, inverse: bool) {
        let half = self.half;
        let cos = &self.cos[position * half..(position + 1) * half];
        let sin = &self.sin[position * half..(position + 1) * half];
        let (low, high) = head.split_at_mut(half);
        for j in 0..half {
            let s = if inverse { -sin[j] } else { sin[j] };
            let (a, b) = (low[j], high[j]);
            low[j] = a * cos[j] - b * s;
            high[j] = b * cos[j] + a * s;
        }
    }
}

/// softmax(rotate(q)·rotate(k)ᵀ/√dim, causal)·v: (tokens, query heads · dim).
pub(crate) fn attention(
    heads: Heads,
    rotary: &Rotary,
    lengths: &[usize],
    q: &[f32],
    k: &[f32],
    v: &[f32],
) -> Vec<f32> {
    let width = heads.query * heads.dim;
    let mut out = vec![0f32; q.len()];
    let done: Vec<_> = tasks(lengths, heads.key)
        .into_par_iter()
        .map(|task| (task, task.forward(heads, rotary, q, k, v)))
        .collect();
    for (task, own) in done {
        // own: (group, length, dim)
        for (member, values) in own.chunks_exact(task.length * heads.dim).enumerate() {
            let head = task.key_head * heads.group() + member;
            task.scatter(values, &mut out, width, head, heads.dim);
        }
    }
    out
}

/// Gradients of [`attention`] with respect to q, k and v, given its output `o` and the gradient `g` of that.
#[allow(clippy::too_many_arguments, reason = "what the formula needs")]
pub(crate) fn attention_backward(
    heads: Heads,
    rotary: &Rotary,
    lengths: &[usize],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    o: &[f32],
    g: &[f32],
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (width, key_width) = (heads.query * heads.dim, heads.key * heads.dim);
    let (mut dq, mut dk, mut dv) = (
        vec![0f32; q.len()],
        vec![0f32; k.len()],
        vec![0f32; v.len()],
    );
    let done: Vec<_> = tasks(lengths, heads.key)
        .into_par_iter()
        .map(|task| (task, task.backward(heads, rotary, q, k, v, o, g)))
        .collect();
    for (task, (own_q, own_k, own_v)) in done {
        for (member, values) in own_q.chunks_exact(task.length * heads.dim).enumerate() {
            let head = task.key_head * heads.group() + member;
            task.scatter(values, &mut dq, width, head, heads.dim);
        }
        task.scatter(&own_k, &mut dk, key_width, task.key_head, heads.dim);
        task.scatter(&own_v, &mut dv, key_width, task.key_head, heads.dim);
    }
    (dq, dk, dv)
}

/// One row's tokens and one key head: what a thread works on.
#[derive(Clone, Copy)]
struct Task {
    first: usize,
    length: usize,
    key_head: usize,
}

fn tasks(lengths: &[usize], key_heads: usize) -> Vec<Task> {
    let mut first = 0;
    let mut tasks = Vec::with_capacity(lengths.len() * key_heads);
    for &length in lengths {
        tasks.extend((0..key_heads).map(|key_head| Task {
            first,
            length,
            key_head,
        }));
        first += length;
    }
    tasks
}

impl Task {
    /// One head of this row, (length, dim), rotated and scaled.
    fn gather(
        &self,
        x: &[f32],
        width: usize,
        head: usize,
        dim: usize,
        turn: Option<(&Rotary, f32)>,
    ) -> Vec<f32> {
        let mut own = Vec::with_capacity(self.length * dim);
        for position in 0..self.length {
            let at = (self.first + position) * width + head * dim;
            own.extend_from_slice(&x[at..at + dim]);
            if let Some((rotary, scale)) = turn {
                let head = &mut own[position * dim..];
                rotary.turn(head, position, false);
                head.iter_mut().for_each(|x| *x *= scale);
            }
        }
        own
    }

    fn scatter(&self, own: &[f32], x: &mut [f32], width: usize, head: usize, dim: usize) {
        for (position, values) in own.chunks_exact(dim).enumerate() {
            let at = (self.first + position) * width + head * dim;
            x[at..at + dim].copy_from_slice(values);
        }
    }

    fn forward(&self, heads: Heads, rotary: &Rotary, q: &[f32], k: &[f32], v: &[f32]) -> Vec<f32> {
        let (n, dim) = (self.length, heads.dim);
        let (width, key_width) = (heads.query * dim, heads.key * dim);
        let k = self.gather(k, key_width, self.key_head, dim, Some((rotary, 1.0)));
        let v = self.gather(v, key_width, self.key_head, dim, None);
        let mut out = vec![0f32; heads.group() * n * dim];
        let mut scores = vec![0f32; BLOCK.min(n) * n];
        for (member, out) in out.chunks_exact_mut(n * dim).enumerate() {
            let head = self.key_head * heads.group() + member;
            let q = self.gather(q, width, head, dim, Some((rotary, scale(dim))));
            for first in (0..n).step_by(BLOCK) {
                let (rows, seen) = block(first, n);
                probabilities(&mut scores, &q[first * dim..], &k, first, rows, seen, dim);
                let out = &mut out[first * dim..];
                let (p, v) = (
                    (&scores[..], Lay::rows(rows, seen)),
                    (&v[..], Lay::rows(seen, dim)),
                );
                matmul_alone((out, Lay::rows(rows, dim)), false, 1.0, p, v);
            }
        }
        out
    }

    #[allow(clippy::too_many_arguments, reason = "what the formula needs")]
    fn backward(
        &self,
        heads: Heads,
        rotary: &Rotary,
        q: &[f32],
        k: &[f32],
        v: &[f32],
        o: &[f32],
        g: &[f32],
    ) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let (n, dim) = (self.length, heads.dim);
        let (width, key_width) = (heads.query * dim, heads.key * dim);
        let k = self.gather(k, key_width, self.key_head, dim, Some((rotary, 1.0)));
        let v = self.gather(v, key_width, self.key_head, dim, None);
        let mut dq = vec![0f32; heads.group() * n * dim];
        let (mut dk, mut dv) = (vec![0f32; n * dim], vec![0f32; n * dim]);
        let (mut p, mut dp) = (vec![0f32; BLOCK.min(n) * n], vec![0f32; BLOCK.min(n) * n]);
        for (member, dq) in dq.chunks_exact_mut(n * dim).enumerate() {
            let head = self.key_head * heads.group() + member;
            let q = self.gather(q, width, head, dim, Some((rotary, scale(dim))));
            let o = self.gather(o, width, head, dim, None);
            let g = self.gather(g, width, head, dim, None);
            for first in (0..n).step_by(BLOCK) {
                let (rows, seen) = block(first, n);
                let (from, to) = (first * dim, (first + rows) * dim);
                let (q, o, g) = (&q[from..to], &o[from..to], &g[from..to]);
                probabilities(&mut p, q, &k, first, rows, seen, dim);
                let square = Lay::rows(rows, seen);
                let (tall, keys) = (Lay::rows(rows, dim), Lay::rows(seen, dim));
                // dv += pᵀ·g; dp = g·vᵀ
                matmul_alone(
                    (&mut dv, keys),
                    true,
                    1.0,
                    (&p, square.transposed()),
                    (g, tall),
                );
                matmul_alone(
                    (&mut dp, square),
                    false,
                    1.0,
                    (g, tall),
                    (&v, keys.transposed()),
                );
                // ds = p∘(dp - ⟨o, g⟩)
                for row in 0..rows {
                    let mean = dot(
                        &o[row * dim..(row + 1) * dim],
                        &g[row * dim..(row + 1) * dim],
                    );
                    let own = row * seen..(row + 1) * seen;
                    for (dp, p) in dp[own.clone()].iter_mut().zip(&p[own]) {
                        *dp = p * (*dp - mean);
                    }
                }
                // dq = ds·k; dk += dsᵀ·q (q carries the scale)
                matmul_alone(
                    (&mut dq[from..to], tall),
                    false,
                    1.0,
                    (&dp, square),
                    (&k, keys),
                );
                matmul_alone(
                    (&mut dk, keys),
                    true,
                    1.0,
                    (&dp, square.transposed()),
                    (q, tall),
                );
            }
            for (position, dq) in dq.chunks_exact_mut(dim).enumerate() {
                dq.iter_mut().for_each(|x| *x *= scale(dim));
                rotary.turn(dq, position, true);
            }
        }
        for (position, dk) in dk.chunks_exact_mut(dim).enumerate() {
            rotary.turn(dk, position, true);
        }
        (dq, dk, dv)
    }
}

/// Rows of the block that starts at `first`, and the keys that its last row sees.
fn block(first: usize, n: usize) -> (usize, usize) {
    let rows = BLOCK.min(n - first);
    (rows, first + rows)
}

pub(crate) fn scale(dim: usize) -> f32 {
    1.0 / (dim as f32).sqrt()
}

/// p: (rows, seen), row i over keys 0..=first + i, the rest 0.
fn probabilities(
    p: &mut [f32],
    q: &[f32],
    k: &[f32],
    first: usize,
    rows: usize,
    seen: usize,
    dim: usize,
) {
    let (q, k) = (
        (q, Lay::rows(rows, dim)),
        (k, Lay::rows(seen, dim).transposed()),
    );
    matmul_alone((p, Lay::rows(rows, seen)), false, 1.0, q, k);
    for row in 0..rows {
        let (own, future) = p[row * seen..(row + 1) * seen].split_at_mut(first + row + 1);
        softmax(own);
        future.fill(0.0);
    }
}
