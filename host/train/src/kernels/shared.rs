//! Attention of rows that share beginnings, and of one more token to what was kept. Nothing here
//! differentiates.

use rayon::prelude::*;

use super::attention::Attention;
use super::{Lay, dot, matmul_alone, softmax};
use crate::forest::{Forest, Piece};

/// Query rows whose scores are held at once.
const BLOCK: usize = 64;

/// Keys, rotated, and values of one layer: (tokens, key heads · dim) each.
#[derive(Clone, Default)]
pub(crate) struct Past {
    pub(crate) keys: Vec<f32>,
    pub(crate) values: Vec<f32>,
}

impl Attention<'_> {
    /// Every head of `x`, (tokens, heads · dim), turned by its token's position and scaled.
    pub(crate) fn turned(&self, x: &[f32], positions: &[usize], scale: f32) -> Vec<f32> {
        let dim = self.heads.dim;
        let width = x.len() / positions.len().max(1);
        let mut out = x.to_vec();
        if width == 0 {
            return out;
        }
        let tokens = out.par_chunks_exact_mut(width).zip(positions);
        tokens.for_each(|(token, position)| {
            for head in token.chunks_exact_mut(dim) {
                self.rotary.turn(head, *position, false);
                head.iter_mut().for_each(|x| *x *= scale);
            }
        });
        out
    }

    /// softmax(q·rotated kᵀ, causal)·v of every token to what stands before it in its rows:
    /// (tokens, query heads · dim). `q` is rotated and scaled already.
    pub(crate) fn forward_shared(&self, forest: &Forest, q: &[f32], past: &Past) -> Vec<f32> {
        let heads = self.heads;
        let width = heads.query * heads.dim;
        let mut out = vec![0f32; q.len()];
        let segments = 0..forest.segments().len();
        let tasks: Vec<(usize, usize)> = segments
            .flat_map(|segment| (0..heads.key).map(move |head| (segment, head)))
            .collect();
        let done: Vec<_> = tasks
            .into_par_iter()
            .map(|(segment, head)| (segment, head, self.segment(forest, segment, head, q, past)))
            .collect();
        for (segment, key_head, own) in done {
            let segment = forest.segments()[segment];
            let group = heads.group() * heads.dim;
            // own: (length, group · dim)
            for (token, values) in own.chunks_exact(group).enumerate() {
                let at = (segment.first + token) * width + key_head * group;
                out[at..at + group].copy_from_slice(values);
            }
        }
        out
    }

    fn segment(
        &self,
        forest: &Forest,
        index: usize,
        key_head: usize,
        q: &[f32],
        past: &Past,
    ) -> Vec<f32> {
        let heads = self.heads;
        let (dim, group) = (heads.dim, heads.group());
        let (width, key_width) = (heads.query * dim, heads.key * dim);
        let segment = forest.segments()[index];
        let path = forest.path(index);
        let mut out = vec![0f32; segment.length * group * dim];
        let most = BLOCK.min(segment.length) * (segment.position + segment.length);
        let mut scores = vec![0f32; most];
        for first in (0..segment.length).step_by(BLOCK) {
            let rows = BLOCK.min(segment.length - first);
            let position = segment.position + first;
            let low = self.first_seen(position);
            let seen = position + rows - low;
            let pieces = path.iter().filter_map(|piece| piece.at(low..low + seen));
            let pieces: Vec<Piece> = pieces.collect();
            let square = |piece: &Piece| Lay::strided(rows, piece.length, seen);
            let keys = |piece: &Piece| {
                let from = piece.first * key_width + key_head * dim;
                (from, Lay::strided(piece.length, dim, key_width))
            };
            for member in 0..group {
                let head = key_head * group + member;
                let own = &q[(segment.first + first) * width + head * dim..];
                let own = (own, Lay::strided(rows, dim, width));
                for piece in &pieces {
                    let p = &mut scores[piece.position - low..];
                    let (from, lay) = keys(piece);
                    let k = (&past.keys[from..], lay.transposed());
                    matmul_alone((p, square(piece)), false, 1.0, own, k);
                }
                self.cap(&mut scores[..rows * seen]);
                for row in 0..rows {
                    let own = &mut scores[row * seen..(row + 1) * seen];
                    let from = self.first_seen(position + row) - low;
                    let to = position + row + 1 - low;
                    softmax(&mut own[from..to]);
                    own[..from].fill(0.0);
                    own[to..].fill(0.0);
                }
                let out = &mut out[first * group * dim + member * dim..];
                for (nth, piece) in pieces.iter().enumerate() {
                    let (from, lay) = keys(piece);
                    let p = (&scores[piece.position - low..], square(piece));
                    let v = (&past.values[from..], lay);
                    let tall = Lay::strided(rows, dim, group * dim);
                    matmul_alone((&mut out[..], tall), nth > 0, 1.0, p, v);
                }
            }
        }
        out
    }

    /// One query's attention, (query heads · dim), to the tokens of its row that were shared, and to its
    /// own, of which it is the last. `q` is rotated and scaled.
    pub(crate) fn attend_to(
        &self,
        shared: (&Past, &[Piece]),
        own: &Past,
        q: &[f32],
        out: &mut [f32],
    ) {
        let heads = self.heads;
        let (dim, key_width) = (heads.dim, heads.key * heads.dim);
        let before = shared
            .1
            .last()
            .map_or(0, |last| last.position + last.length);
        let tail = Piece {
            first: 0,
            length: own.keys.len() / key_width,
            position: before,
        };
        let end = before + tail.length;
        let seen = self.first_seen(end - 1)..end;
        let pieces = shared.1.iter().map(|piece| (shared.0, piece));
        let pieces = pieces.chain([(own, &tail)]);
        let pieces = pieces.filter_map(|(past, piece)| Some((past, piece.at(seen.clone())?)));
        let pieces: Vec<(&Past, Piece)> = pieces.collect();
        let mut scores = vec![0f32; seen.len()];
        let heads_of = q.chunks_exact(dim).zip(out.chunks_exact_mut(dim));
        for (head, (q, out)) in heads_of.enumerate() {
            let at = head / heads.group() * dim;
            let mut place = scores.iter_mut();
            for (past, piece) in &pieces {
                let keys = past.keys[piece.first * key_width..].chunks_exact(key_width);
                for (key, score) in keys.take(piece.length).zip(&mut place) {
                    *score = dot(q, &key[at..at + dim]);
                }
            }
            self.cap(&mut scores);
            softmax(&mut scores);
            out.fill(0.0);
            let mut place = scores.iter();
            for (past, piece) in &pieces {
                let values = past.values[piece.first * key_width..].chunks_exact(key_width);
                for (value, p) in values.take(piece.length).zip(&mut place) {
                    for (out, v) in out.iter_mut().zip(&value[at..at + dim]) {
                        *out += p * v;
                    }
                }
            }
        }
    }
}
