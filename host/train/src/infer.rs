//! Answers of the base with an adapter: greedy continuations with cached keys and values, and
//! likelihoods. Nothing here differentiates.

use anyhow::{Context, Result, ensure};
use folkmoot_params::Params;

use crate::Adapter;
use crate::base::Base;
use crate::kernels::attention::{attention, scale};
use crate::kernels::{Lay, dot, matmul, rms_norm, softmax};
use crate::layer::{Site, Slots};

/// What greedy decoding gave for one prompt, the end-of-text token not included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Continuation {
    pub ids: Vec<u32>,
}

/// Of one continuation: Σ ln p, its number of tokens, and whether greedy decoding gives it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Likelihood {
    pub sum: f64,
    pub tokens: usize,
    pub greedy: bool,
}

/// A base with an adapter, or without, ready to answer.
pub struct Inference<'a> {
    base: &'a Base,
    /// The slots of every layer, and all scalars.
    adapter: Option<(Vec<Slots>, &'a [f32])>,
}

/// Keys (rotated) and values of one row in one layer: (tokens, key width) each.
#[derive(Clone, Default)]
struct Cache {
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl<'a> Inference<'a> {
    /// `adapter` none: the untuned base.
    pub fn new(base: &'a Base, adapter: Option<(&'a Adapter, &'a Params)>) -> Result<Self> {
        let adapter = adapter.map(|(adapter, params)| -> Result<_> {
            adapter.check(base.architecture(), params)?;
            let slots = |index| Slots::new(adapter, params.structure(), index);
            Ok(((0..base.layers.len()).map(slots).collect(), params.values()))
        });
        let adapter = adapter.transpose()?;
        Ok(Self { base, adapter })
    }

    /// Logits of every position, (Σ tokens, vocabulary), rows one after another.
    pub fn logits(&self, rows: &[Vec<u32>]) -> Result<Vec<f32>> {
        let hidden = self.hidden(rows, None)?;
        Ok(self.head(&hidden))
    }

    /// The greedy continuation of each prompt: at most `max_tokens`, ended by `eos`.
    pub fn generate(
        &self,
        prompts: &[Vec<u32>],
        max_tokens: usize,
        eos: u32,
    ) -> Result<Vec<Continuation>> {
        for prompt in prompts {
            ensure!(!prompt.is_empty(), "a prompt has no token");
            // Room for the answer, too.
            let mut whole = prompt.clone();
            whole.resize(prompt.len() + max_tokens, 0);
            self.base.check(&whole)?;
        }
        let mut caches = vec![vec![Cache::default(); self.base.layers.len()]; prompts.len()];
        let hidden = self.hidden(prompts, Some(&mut caches))?;
        let width = self.base.architecture().hidden;
        let mut end = 0;
        let mut last = Vec::with_capacity(prompts.len() * width);
        for prompt in prompts {
            end += prompt.len();
            last.extend_from_slice(&hidden[(end - 1) * width..end * width]);
        }
        let mut answers = vec![Continuation { ids: Vec::new() }; prompts.len()];
        let mut open: Vec<usize> = (0..prompts.len()).collect();
        for step in 0..max_tokens {
            let logits = self.head(&last);
            let chosen: Vec<u32> = logits
                .chunks_exact(self.base.architecture().vocabulary)
                .map(argmax)
                .collect();
            let mut still = Vec::new();
            let mut ids = Vec::new();
            for (row, id) in open.iter().zip(chosen) {
                if id != eos {
                    answers[*row].ids.push(id);
                    still.push(*row);
                    ids.push(id);
                }
            }
            open = still;
            if open.is_empty() || step + 1 == max_tokens {
                break;
            }
            last = self.next(&ids, &open, &mut caches);
        }
        Ok(answers)
    }

    /// The likelihood of the tokens from `from` on in each row, each given what stands before it.
    pub fn likelihood(&self, rows: &[(Vec<u32>, usize)]) -> Result<Vec<Likelihood>> {
        let ids: Vec<Vec<u32>> = rows.iter().map(|(ids, _)| ids.clone()).collect();
        let hidden = self.hidden(&ids, None)?;
        let (width, vocabulary) = (
            self.base.architecture().hidden,
            self.base.architecture().vocabulary,
        );
        let mut first = 0;
        let mut answers = Vec::with_capacity(rows.len());
        for (ids, from) in rows {
            // Nothing predicts the first token of a row.
            let from = (*from).max(1);
            let mut likelihood = Likelihood {
                sum: 0.0,
                tokens: ids.len().saturating_sub(from),
                greedy: true,
            };
            if likelihood.tokens > 0 {
                let predicting =
                    &hidden[(first + from - 1) * width..(first + ids.len() - 1) * width];
                let mut logits = self.head(predicting);
                for (row, id) in logits.chunks_exact_mut(vocabulary).zip(&ids[from..]) {
                    likelihood.greedy &= argmax(row) == *id;
                    likelihood.sum -= crate::kernels::cross_entropy_row(row, *id as usize, 1.0);
                }
            }
            answers.push(likelihood);
            first += ids.len();
        }
        Ok(answers)
    }

    /// Hidden states after the last layer, normed: (Σ tokens, hidden). Fills `caches` by row and layer.
    fn hidden(
        &self,
        rows: &[Vec<u32>],
        mut caches: Option<&mut Vec<Vec<Cache>>>,
    ) -> Result<Vec<f32>> {
        for row in rows {
            self.base.check(row).context("evaluation")?;
        }
        let lengths: Vec<usize> = rows.iter().map(Vec::len).collect();
        let heads = self.base.heads();
        let key_width = heads.key * heads.dim;
        let mut x = self.embed(&rows.concat());
        for index in 0..self.base.layers.len() {
            let attend = |q: &[f32], k: &[f32], v: &[f32]| {
                if let Some(caches) = &mut caches {
                    let mut first = 0;
                    for (cache, length) in caches.iter_mut().zip(&lengths) {
                        let own = first * key_width..(first + length) * key_width;
                        cache[index].keys = k[own.clone()].to_vec();
                        for (at, head) in cache[index].keys.chunks_exact_mut(heads.dim).enumerate()
                        {
                            self.base.rotary.turn(head, at / heads.key, false);
                        }
                        cache[index].values = v[own].to_vec();
                        first += length;
                    }
                }
                attention(heads, &self.base.rotary, &lengths, q, k, v)
            };
            x = self.site(index).forward_with(&x, attend).0;
        }
        Ok(self.normed(&x))
    }

    /// One more token for each of the rows `open`.
    fn next(&self, ids: &[u32], open: &[usize], caches: &mut [Vec<Cache>]) -> Vec<f32> {
        let heads = self.base.heads();
        let (dim, key_width) = (heads.dim, heads.key * heads.dim);
        let mut x = self.embed(ids);
        let layers = 0..self.base.layers.len();
        for index in layers {
            let attend = |q: &[f32], k: &[f32], v: &[f32]| {
                let mut out = vec![0f32; q.len()];
                let (mut q, mut k) = (q.to_vec(), k.to_vec());
                for (at, row) in open.iter().enumerate() {
                    let cache = &mut caches[*row][index];
                    let position = cache.keys.len() / key_width;
                    let own = at * key_width..(at + 1) * key_width;
                    for head in k[own.clone()].chunks_exact_mut(dim) {
                        self.base.rotary.turn(head, position, false);
                    }
                    cache.keys.extend_from_slice(&k[own.clone()]);
                    cache.values.extend_from_slice(&v[own]);
                    let mut scores = vec![0f32; position + 1];
                    for head in 0..heads.query {
                        let own =
                            (at * heads.query + head) * dim..(at * heads.query + head + 1) * dim;
                        let q = &mut q[own.clone()];
                        self.base.rotary.turn(q, position, false);
                        let shared = head / heads.group() * dim;
                        for (score, key) in
                            scores.iter_mut().zip(cache.keys.chunks_exact(key_width))
                        {
                            *score = dot(q, &key[shared..shared + dim]) * scale(dim);
                        }
                        softmax(&mut scores);
                        let out = &mut out[own];
                        for (p, value) in scores.iter().zip(cache.values.chunks_exact(key_width)) {
                            for (out, v) in out.iter_mut().zip(&value[shared..shared + dim]) {
                                *out += p * v;
                            }
                        }
                    }
                }
                out
            };
            x = self.site(index).forward_with(&x, attend).0;
        }
        self.normed(&x)
    }

    fn site(&self, index: usize) -> Site<'_> {
        Site {
            base: self.base,
            layer: &self.base.layers[index],
            adapter: self.adapter.as_ref().map(|(slots, values)| {
                let slots = &slots[index];
                (slots, &values[slots.whole.clone()])
            }),
        }
    }

    fn embed(&self, ids: &[u32]) -> Vec<f32> {
        let table = &self.base.embedding;
        let row =
            |id: &u32| &table.values[*id as usize * table.cols..(*id as usize + 1) * table.cols];
        ids.iter().flat_map(row).copied().collect()
    }

    fn normed(&self, x: &[f32]) -> Vec<f32> {
        let mut h = vec![0f32; x.len()];
        rms_norm(
            &mut h,
            x,
            &self.base.norm.values,
            self.base.architecture().rms_eps,
        );
        h
    }

    fn head(&self, hidden: &[f32]) -> Vec<f32> {
        let head = self.base.head();
        let rows = hidden.len() / head.cols;
        let mut logits = vec![0f32; rows * head.rows];
        let (hidden, head_turned) = (
            (hidden, Lay::rows(rows, head.cols)),
            (&head.values[..], head.lay().transposed()),
        );
        matmul(
            (&mut logits, Lay::rows(rows, head.rows)),
            false,
            1.0,
            hidden,
            head_turned,
        );
        logits
    }
}

/// The first index of the largest value.
fn argmax(row: &[f32]) -> u32 {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = index;
        }
    }
    best as u32
}
