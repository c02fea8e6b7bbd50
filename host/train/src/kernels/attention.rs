//! Rotary positions and causal grouped-query attention over rows of different lengths that lie one
//! after another without padding.
//!
//! q: (tokens, query heads · dim), k and v: (tokens, key heads · dim). No row sees another.

use anyhow::{Result, ensure};
use rayon::prelude::*;

use super::{Lay, cap_row, dot, matmul_alone, softmax};
use crate::architecture::{Rope, Scaling};

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

/// cos and sin of position · frequency j, j < dim/2 (Su et al. 2021, in the half-split form of Llama's
/// Hugging Face checkpoints).
#[derive(Debug)]
pub(crate) struct Rotary {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl Rotary {
    pub(crate) fn new(positions: usize, dim: usize, rope: &Rope) -> Result<Self> {
        let half = dim / 2;
        // In f32 like the reference implementation, whose rounding is part of the model.
        let plain = (0..half).map(|j| 1.0 / rope.theta.powf((2 * j) as f32 / dim as f32));
        let frequencies: Vec<f32> = match &rope.scaling {
            Scaling::None => plain.collect(),
            Scaling::Linear(factor) => plain.map(|f| f / factor).collect(),
            Scaling::Llama3 {
                factor,
                low,
                high,
                original,
            } => plain
                .map(|f| {
                    let wavelength = 2.0 * std::f32::consts::PI / f;
                    if wavelength > original / low {
                        f / factor
                    } else if wavelength < original / high {
                        f
                    } else {
                        let smooth = (original / wavelength - low) / (high - low);
                        (1.0 - smooth) * f / factor + smooth * f
                    }
                })
                .collect(),
            Scaling::Factors(factors) => {
                ensure!(
                    factors.len() == half,
                    "{} factors of rotary positions for {half} frequencies",
                    factors.len()
                );
                plain.zip(factors).map(|(f, factor)| f / factor).collect()
            }
        };
        let finite = frequencies.iter().all(|f| f.is_finite());
        ensure!(finite, "rotary frequencies are not finite: {rope:?}");
        let angles = (0..positions).flat_map(|position| {
            let frequencies = &frequencies;
            (0..half).map(move |j| position as f32 * frequencies[j])
        });
        let angles: Vec<f32> = angles.collect();
        Ok(Self {
            cos: angles.iter().map(|a| a.cos()).collect(),
            sin: angles.iter().map(|a| a.sin()).collect(),
            half,
        })
    }

    /// cos and sin, (positions, dim/2) each.
    pub(crate) fn tables(&self) -> (&[f32], &[f32]) {
        (&self.cos, &self.sin)
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

/// How a layer attends.
#[derive(Clone, Copy)]
pub(crate) struct Attention<'a> {
    pub(crate) heads: Heads,
    pub(crate) rotary: &'a Rotary,
    /// Scores are multiplied by it.
    pub(crate) scale: f32,
    /// c: scores become c·tanh(score/c) (Gemma 2).
    pub(crate) cap: Option<f32>,
    /// Positions that a query sees, itself included; none: all before it.
    pub(crate) window: Option<usize>,
}

impl Attention<'_> {
    /// softmax(rotate(q)·rotate(k)ᵀ·scale, causal)·v: (tokens, query heads · dim).
    pub(crate) fn forward(&self, lengths: &[usize], q: &[f32], k: &[f32], v: &[f32]) -> Vec<f32> {
        let heads = self.heads;
        let width = heads.query * heads.dim;
        let mut out = vec![0f32; q.len()];
        let done: Vec<_> = tasks(lengths, heads.key)
            .into_par_iter()
            .map(|task| (task, task.forward(self, q, k, v)))
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

    /// Gradients with respect to q, k and v, given the output `o` of [`Self::forward`] and the gradient
    /// `g` of that.
    pub(crate) fn backward(
        &self,
        lengths: &[usize],
        (q, k, v): (&[f32], &[f32], &[f32]),
        o: &[f32],
        g: &[f32],
    ) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let heads = self.heads;
        let (width, key_width) = (heads.query * heads.dim, heads.key * heads.dim);
        let (mut dq, mut dk, mut dv) = (
            vec![0f32; q.len()],
            vec![0f32; k.len()],
            vec![0f32; v.len()],
        );
        let done: Vec<_> = tasks(lengths, heads.key)
            .into_par_iter()
            .map(|task| (task, task.backward(self, (q, k, v), o, g)))
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

    /// The first position that the query at `position` sees.
    pub(crate) fn first_seen(&self, position: usize) -> usize {
        self.window
            .map_or(0, |window| (position + 1).saturating_sub(window))
    }

    /// Brings scores under the cap, if there is one.
    pub(crate) fn cap(&self, scores: &mut [f32]) {
        if let Some(cap) = self.cap {
            cap_row(scores, cap);
        }
    }

    /// Of a block of queries: p (rows, seen), for each over the keys that it sees, the rest 0. `k` starts
    /// at the first key that any of them sees. With a cap, `slopes` gets its derivative for each score.
    fn probabilities(&self, p: &mut [f32], slopes: &mut [f32], q: &[f32], k: &[f32], block: Block) {
        let dim = self.heads.dim;
        let (q, k) = (
            (q, Lay::rows(block.rows, dim)),
            (k, Lay::rows(block.seen, dim).transposed()),
        );
        matmul_alone((p, block.square()), false, 1.0, q, k);
        if let Some(cap) = self.cap {
            let count = block.rows * block.seen;
            self.cap(&mut p[..count]);
            let inverse = 1.0 / cap;
            for (slope, score) in slopes.iter_mut().zip(&p[..count]) {
                let t = score * inverse;
                *slope = 1.0 - t * t;
            }
        }
        for row in 0..block.rows {
            let position = block.first + row;
            let own = &mut p[row * block.seen..(row + 1) * block.seen];
            let from = self.first_seen(position) - block.low;
            let to = position + 1 - block.low;
            softmax(&mut own[from..to]);
            own[..from].fill(0.0);
            own[to..].fill(0.0);
        }
    }
}

/// A block of queries, and the keys that any of them sees.
#[derive(Clone, Copy)]
struct Block {
    /// The first query's position.
    first: usize,
    rows: usize,
    /// The first key's position.
    low: usize,
    seen: usize,
}

impl Block {
    /// (rows, seen)
    fn square(self) -> Lay {
        Lay::rows(self.rows, self.seen)
    }
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
    fn blocks(self, attention: &Attention) -> impl Iterator<Item = Block> {
        (0..self.length).step_by(BLOCK).map(move |first| {
            let rows = BLOCK.min(self.length - first);
            let low = attention.first_seen(first);
            Block {
                first,
                rows,
                low,
                seen: first + rows - low,
            }
        })
    }

    /// The most scores that a block has.
    fn scores(self) -> usize {
        BLOCK.min(self.length) * self.length
    }

    /// One head's vectors of this row, (length, dim), rotated and scaled.
    fn gather(
        self,
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

    fn scatter(self, own: &[f32], x: &mut [f32], width: usize, head: usize, dim: usize) {
        for (position, values) in own.chunks_exact(dim).enumerate() {
            let at = (self.first + position) * width + head * dim;
            x[at..at + dim].copy_from_slice(values);
        }
    }

    fn forward(self, attention: &Attention, q: &[f32], k: &[f32], v: &[f32]) -> Vec<f32> {
        let Attention {
            heads,
            rotary,
            scale,
            ..
        } = *attention;
        let (n, dim) = (self.length, heads.dim);
        let (width, key_width) = (heads.query * dim, heads.key * dim);
        let k = self.gather(k, key_width, self.key_head, dim, Some((rotary, 1.0)));
        let v = self.gather(v, key_width, self.key_head, dim, None);
        let mut out = vec![0f32; heads.group() * n * dim];
        let mut scores = vec![0f32; self.scores()];
        let mut slopes = vec![0f32; attention.cap.map_or(0, |_| scores.len())];
        for (member, out) in out.chunks_exact_mut(n * dim).enumerate() {
            let head = self.key_head * heads.group() + member;
            let q = self.gather(q, width, head, dim, Some((rotary, scale)));
            for block in self.blocks(attention) {
                let (q, k) = (&q[block.first * dim..], &k[block.low * dim..]);
                attention.probabilities(&mut scores, &mut slopes, q, k, block);
                let out = &mut out[block.first * dim..];
                let (p, v) = (
                    (&scores[..], block.square()),
                    (&v[block.low * dim..], Lay::rows(block.seen, dim)),
                );
                matmul_alone((out, Lay::rows(block.rows, dim)), false, 1.0, p, v);
            }
        }
        out
    }

    fn backward(
        self,
        attention: &Attention,
        (q, k, v): (&[f32], &[f32], &[f32]),
        o: &[f32],
        g: &[f32],
    ) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let Attention {
            heads,
            rotary,
            scale,
            ..
        } = *attention;
        let (n, dim) = (self.length, heads.dim);
        let (width, key_width) = (heads.query * dim, heads.key * dim);
        let k = self.gather(k, key_width, self.key_head, dim, Some((rotary, 1.0)));
        let v = self.gather(v, key_width, self.key_head, dim, None);
        let mut dq = vec![0f32; heads.group() * n * dim];
        let (mut dk, mut dv) = (vec![0f32; n * dim], vec![0f32; n * dim]);
        let (mut p, mut dp) = (vec![0f32; self.scores()], vec![0f32; self.scores()]);
        let mut slopes = vec![0f32; attention.cap.map_or(0, |_| p.len())];
        for (member, dq) in dq.chunks_exact_mut(n * dim).enumerate() {
            let head = self.key_head * heads.group() + member;
            let q = self.gather(q, width, head, dim, Some((rotary, scale)));
            let o = self.gather(o, width, head, dim, None);
            let g = self.gather(g, width, head, dim, None);
            for block in self.blocks(attention) {
                let (rows, seen) = (block.rows, block.seen);
                let (from, to) = (block.first * dim, (block.first + rows) * dim);
                let keys_from = block.low * dim..(block.low + seen) * dim;
                let (q, o, g) = (&q[from..to], &o[from..to], &g[from..to]);
                attention.probabilities(&mut p, &mut slopes, q, &k[keys_from.clone()], block);
                let square = block.square();
                let (tall, keys) = (Lay::rows(rows, dim), Lay::rows(seen, dim));
                // dv += pᵀ·g; dp = g·vᵀ
                let turned = (&p[..], square.transposed());
                matmul_alone(
                    (&mut dv[keys_from.clone()], keys),
                    true,
                    1.0,
                    turned,
                    (g, tall),
                );
                let v = (&v[keys_from.clone()], keys.transposed());
                matmul_alone((&mut dp, square), false, 1.0, (g, tall), v);
                // ds = p∘(dp - ⟨o, g⟩), through the cap
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
                for (ds, slope) in dp.iter_mut().zip(&slopes[..]).take(rows * seen) {
                    *ds *= slope;
                }
                // dq = ds·k; dk += dsᵀ·q (q carries the scale)
                let ds = (&dp[..], square);
                let k = (&k[keys_from.clone()], keys);
                matmul_alone((&mut dq[from..to], tall), false, 1.0, ds, k);
                let turned = (&dp[..], square.transposed());
                matmul_alone((&mut dk[keys_from], keys), true, 1.0, turned, (q, tall));
            }
            for (position, dq) in dq.chunks_exact_mut(dim).enumerate() {
                dq.iter_mut().for_each(|x| *x *= scale);
                rotary.turn(dq, position, true);
            }
        }
        for (position, dk) in dk.chunks_exact_mut(dim).enumerate() {
            rotary.turn(dk, position, true);
        }
        (dq, dk, dv)
    }
}
