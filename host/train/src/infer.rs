//! Answers of the base with what was learnt: continuations with cached keys and values, and likelihoods.
//! Nothing here differentiates.

use std::borrow::Cow;

use anyhow::{Context, Result, ensure};
use folkmoot_params::Params;

use crate::base::{Base, EMBEDDING, HEAD, NORM};
use crate::decoder::predictions;
use crate::kernels::attention::Attention;
use crate::kernels::{Lay, cap_row, cross_entropy_row, dot, matmul, rms_norm, softmax};
use crate::layer::{Site, Slots};
use crate::sampling::Sampler;
use crate::{Adapter, Example, Sampling};

/// Scalars of the logits that exist at once where only one number of each row is wanted.
const LOGITS: usize = 1 << 24;

/// What decoding gave for one prompt, the token that ended it not included.
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

/// How prompts are continued.
pub struct Decoding<'a> {
    /// Tokens of an answer at most.
    pub max_tokens: usize,
    /// Tokens that end an answer.
    pub ends: &'a [u32],
    /// None: the likeliest token each time.
    pub sampling: Option<Sampling>,
    /// Told a prompt's number and its answer so far; whether the answer is complete.
    pub stop: &'a dyn Fn(usize, &[u32]) -> bool,
}

impl<'a> Decoding<'a> {
    /// The likeliest tokens, until one of `ends`.
    pub fn greedy(max_tokens: usize, ends: &'a [u32]) -> Self {
        Self {
            max_tokens,
            ends,
            sampling: None,
            stop: &|_, _| false,
        }
    }
}

/// A base with an adapter, or without, or with other weights, ready to answer.
pub struct Inference<'a> {
    base: &'a Base,
    learnt: Option<Learnt<'a>>,
}

struct Learnt<'a> {
    slots: Vec<Slots>,
    params: &'a Params,
    /// Whether the tables are among the parameters, too.
    full: bool,
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
        let a = base.architecture();
        let learnt = adapter.map(|(adapter, params)| -> Result<_> {
            adapter.check(a, params)?;
            let modules = adapter.modules(a)?;
            Ok(Learnt {
                slots: Slots::of_layers(adapter, &modules, a, params.structure()),
                params,
                full: adapter.is_full(),
            })
        });
        let learnt = learnt.transpose()?;
        Ok(Self { base, learnt })
    }

    /// Logits of every position, (Σ tokens, vocabulary), rows one after another.
    pub fn logits(&self, rows: &[Vec<u32>]) -> Result<Vec<f32>> {
        let hidden = self.hidden(rows, None)?;
        Ok(self.head(&hidden))
    }

    /// The continuation of each prompt. What is sampled for a prompt depends on the seed and the
    /// prompt's place in the list only.
    pub fn generate(&self, prompts: &[Vec<u32>], how: &Decoding) -> Result<Vec<Continuation>> {
        for prompt in prompts {
            ensure!(!prompt.is_empty(), "a prompt has no token");
            // Room for the answer, too.
            let mut whole = prompt.clone();
            whole.resize(prompt.len() + how.max_tokens, 0);
            self.base.check(&whole)?;
        }
        let mut samplers: Vec<Option<Sampler>> = (0..prompts.len())
            .map(|row| how.sampling.as_ref().map(|own| Sampler::new(own, row)))
            .collect();
        let mut caches = vec![vec![Cache::default(); self.base.layers.len()]; prompts.len()];
        let hidden = self.hidden(prompts, Some(&mut caches))?;
        let a = self.base.architecture();
        let width = a.hidden;
        let mut end = 0;
        let mut last = Vec::with_capacity(prompts.len() * width);
        for prompt in prompts {
            end += prompt.len();
            last.extend_from_slice(&hidden[(end - 1) * width..end * width]);
        }
        let mut answers = vec![Continuation { ids: Vec::new() }; prompts.len()];
        let mut open: Vec<usize> = (0..prompts.len()).collect();
        for step in 0..how.max_tokens {
            let logits = self.head(&last);
            let mut still = Vec::new();
            let mut ids = Vec::new();
            for (row, logits) in open.iter().zip(logits.chunks_exact(a.vocabulary)) {
                let id = match &mut samplers[*row] {
                    Some(sampler) => sampler.choose(logits, &prompts[*row], &answers[*row].ids)?,
                    None => argmax(logits),
                };
                if how.ends.contains(&id) {
                    continue;
                }
                answers[*row].ids.push(id);
                if !(how.stop)(*row, &answers[*row].ids) {
                    still.push(*row);
                    ids.push(id);
                }
            }
            open = still;
            if open.is_empty() || step + 1 == how.max_tokens {
                break;
            }
            last = self.next(&ids, &open, &mut caches);
        }
        Ok(answers)
    }

    /// The likelihood of the tokens from `from` on in each row, each given what stands before it.
    pub fn likelihood(&self, rows: &[(Vec<u32>, usize)]) -> Result<Vec<Likelihood>> {
        let examples: Vec<Example> = rows
            .iter()
            .map(|(ids, from)| Example {
                ids: ids.clone(),
                trained: (0..ids.len()).map(|at| at >= *from).collect(),
            })
            .collect();
        self.likelihoods(&examples.iter().collect::<Vec<_>>())
    }

    /// Σ ln p of the trained tokens of each row.
    pub fn sums(&self, rows: &[&Example]) -> Result<Vec<f64>> {
        let likelihoods = self.likelihoods(rows)?;
        Ok(likelihoods.into_iter().map(|own| own.sum).collect())
    }

    fn likelihoods(&self, rows: &[&Example]) -> Result<Vec<Likelihood>> {
        let ids: Vec<Vec<u32>> = rows.iter().map(|row| row.ids.clone()).collect();
        let hidden = self.hidden(&ids, None)?;
        let a = self.base.architecture();
        let (width, vocabulary) = (a.hidden, a.vocabulary);
        let (positions, targets, counts) = predictions(rows);
        let at = |position: &u32| &hidden[*position as usize * width..][..width];
        let predicting: Vec<f32> = positions.iter().flat_map(at).copied().collect();
        let most = (LOGITS / vocabulary).clamp(16, 512);
        let mut each = Vec::with_capacity(targets.len());
        for (hidden, targets) in predicting.chunks(most * width).zip(targets.chunks(most)) {
            let mut logits = self.head(hidden);
            for (row, id) in logits.chunks_exact_mut(vocabulary).zip(targets) {
                let greedy = argmax(row) == *id;
                each.push((cross_entropy_row(row, *id as usize, 1.0), greedy));
            }
        }
        let mut rest = &each[..];
        let answers = counts.iter().map(|count| {
            let (own, after) = rest.split_at(*count);
            rest = after;
            Likelihood {
                sum: -own.iter().map(|(loss, _)| loss).sum::<f64>(),
                tokens: *count,
                greedy: own.iter().all(|(_, greedy)| *greedy),
            }
        });
        Ok(answers.collect())
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
        let mut x = self.embed(&rows.concat());
        for index in 0..self.base.layers.len() {
            let attention = self.base.attention(index);
            let heads = attention.heads;
            let key_width = heads.key * heads.dim;
            let attend = |q: &[f32], k: &[f32], v: &[f32]| {
                if let Some(caches) = &mut caches {
                    let mut first = 0;
                    for (cache, length) in caches.iter_mut().zip(&lengths) {
                        let own = first * key_width..(first + length) * key_width;
                        let mut keys = k[own.clone()].to_vec();
                        for (at, head) in keys.chunks_exact_mut(heads.dim).enumerate() {
                            attention.rotary.turn(head, at / heads.key, false);
                        }
                        cache[index].keys = keys;
                        cache[index].values = v[own].to_vec();
                        first += length;
                    }
                }
                attention.forward(&lengths, q, k, v)
            };
            x = self.site(index).forward_with(&x, attend).0;
        }
        Ok(self.normed(&x))
    }

    /// One more token for each of the rows `open`.
    fn next(&self, ids: &[u32], open: &[usize], caches: &mut [Vec<Cache>]) -> Vec<f32> {
        let mut x = self.embed(ids);
        let layers = 0..self.base.layers.len();
        for index in layers {
            let attention = self.base.attention(index);
            let attend = |q: &[f32], k: &[f32], v: &[f32]| {
                let mut out = vec![0f32; q.len()];
                let heads = attention.heads;
                let (width, key_width) = (heads.query * heads.dim, heads.key * heads.dim);
                for (at, row) in open.iter().enumerate() {
                    let (own, keys) = (
                        at * width..(at + 1) * width,
                        at * key_width..(at + 1) * key_width,
                    );
                    let cache = &mut caches[*row][index];
                    cache.keys.extend_from_slice(&k[keys.clone()]);
                    cache.values.extend_from_slice(&v[keys]);
                    attend_to(&attention, cache, &q[own.clone()], &mut out[own]);
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
            index,
            trained: self.learnt.as_ref().map(|learnt| {
                let slots = &learnt.slots[index];
                (slots, &learnt.params.values()[slots.whole.clone()])
            }),
            dropout: None,
        }
    }

    /// A table of the model, where it is among the parameters.
    fn table(&self, name: &str) -> Option<&[f32]> {
        let learnt = self.learnt.as_ref().filter(|learnt| learnt.full)?;
        learnt.params.tensor(name)
    }

    fn embed(&self, ids: &[u32]) -> Vec<f32> {
        let a = self.base.architecture();
        let Some(table) = self.table(EMBEDDING) else {
            return self.base.embed(ids);
        };
        let row = |id: &u32| &table[*id as usize * a.hidden..(*id as usize + 1) * a.hidden];
        let x = ids.iter().flat_map(row);
        x.map(|value| value * a.embedding_scale).collect()
    }

    fn normed(&self, x: &[f32]) -> Vec<f32> {
        let a = self.base.architecture();
        let weight = match self.table(NORM) {
            Some(norm) if a.family.norms_add_one() => norm.iter().map(|w| 1.0 + w).collect(),
            Some(norm) => Cow::Borrowed(norm),
            None => Cow::Borrowed(&self.base.norm[..]),
        };
        let mut h = vec![0f32; x.len()];
        rms_norm(&mut h, x, &weight, a.rms_eps);
        h
    }

    fn head(&self, hidden: &[f32]) -> Vec<f32> {
        let a = self.base.architecture();
        let rows = hidden.len() / a.hidden;
        let mut logits = vec![0f32; rows * a.vocabulary];
        match self.table(if a.tied { EMBEDDING } else { HEAD }) {
            None => self
                .base
                .forward(self.base.head(), &mut logits, hidden, rows),
            Some(table) => {
                let table = (table, Lay::rows(a.vocabulary, a.hidden).transposed());
                let hidden = (hidden, Lay::rows(rows, a.hidden));
                let out = (&mut logits[..], Lay::rows(rows, a.vocabulary));
                matmul(out, false, 1.0, hidden, table);
            }
        }
        if let Some(cap) = a.logit_cap {
            cap_row(&mut logits, cap);
        }
        logits
    }
}

/// One query's attention to a row's cache, whose last key and value are its own, the key not yet rotated.
fn attend_to(attention: &Attention, cache: &mut Cache, q: &[f32], out: &mut [f32]) {
    let heads = attention.heads;
    let (dim, key_width) = (heads.dim, heads.key * heads.dim);
    let position = cache.keys.len() / key_width - 1;
    for head in cache.keys[position * key_width..].chunks_exact_mut(dim) {
        attention.rotary.turn(head, position, false);
    }
    let from = attention.first_seen(position);
    let mut scores = vec![0f32; position + 1 - from];
    let (keys, values) = (
        &cache.keys[from * key_width..],
        &cache.values[from * key_width..],
    );
    for (head, (q, out)) in q
        .chunks_exact(dim)
        .zip(out.chunks_exact_mut(dim))
        .enumerate()
    {
        let mut q = q.to_vec();
        attention.rotary.turn(&mut q, position, false);
        let shared = head / heads.group() * dim;
        for (score, key) in scores.iter_mut().zip(keys.chunks_exact(key_width)) {
            *score = dot(&q, &key[shared..shared + dim]) * attention.scale;
        }
        attention.cap(&mut scores);
        softmax(&mut scores);
        for (p, value) in scores.iter().zip(values.chunks_exact(key_width)) {
            for (out, v) in out.iter_mut().zip(&value[shared..shared + dim]) {
                *out += p * v;
            }
        }
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
