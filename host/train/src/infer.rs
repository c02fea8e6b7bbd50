//! Answers of the base with what was learnt: continuations with kept keys and values, and likelihoods. What
//! questions have in common goes through the model once. Nothing here differentiates.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use folkmoot_params::Params;

use crate::base::{Base, EMBEDDING, HEAD, NORM};
use crate::forest::{Forest, Piece};
use crate::kernels::shared::Past;
use crate::kernels::{Lay, cap_row, cross_entropy_row, matmul, rms_norm};
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
    /// Whose random numbers each prompt gets; empty: those of its place in the list.
    pub streams: &'a [u64],
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
            streams: &[],
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

    /// Bytes of keys and values that a generation keeps per token.
    pub fn kept_bytes(&self) -> usize {
        let layers = 0..self.base.layers.len();
        let heads = layers.map(|index| self.base.attention(index).heads);
        heads
            .map(|heads| 2 * heads.key * heads.dim * size_of::<f32>())
            .sum()
    }

    /// Logits of every position, (Σ tokens, vocabulary), rows one after another.
    pub fn logits(&self, rows: &[Vec<u32>]) -> Result<Vec<f32>> {
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let forest = self.forest(&rows)?;
        let hidden = self.hidden(&forest, None);
        let places: Vec<usize> = (0..rows.len()).flat_map(|row| forest.places(row)).collect();
        Ok(self.head(&self.taken(&hidden, &places)))
    }

    /// The continuation of each prompt. What is sampled for a prompt depends on the seed and the
    /// prompt's stream only.
    pub fn generate(&self, prompts: &[Vec<u32>], how: &Decoding) -> Result<Vec<Continuation>> {
        for prompt in prompts {
            ensure!(!prompt.is_empty(), "a prompt has no token");
            // Room for the answer, too.
            let mut whole = prompt.clone();
            whole.resize(prompt.len() + how.max_tokens, 0);
            self.base.check(&whole)?;
        }
        let mut samplers: Vec<Option<Sampler>> = (0..prompts.len())
            .map(|row| {
                let stream = how.streams.get(row).copied().unwrap_or(row as u64);
                how.sampling.as_ref().map(|own| Sampler::new(own, stream))
            })
            .collect();
        let rows: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
        let forest = self.forest(&rows)?;
        let layers = self.base.layers.len();
        let mut kept = Kept {
            shared: vec![Past::default(); layers],
            paths: (0..rows.len()).map(|row| forest.row(row)).collect(),
            own: vec![vec![Past::default(); layers]; rows.len()],
        };
        let hidden = self.hidden(&forest, Some(&mut kept.shared));
        let ends: Vec<usize> = kept.paths.iter().filter_map(|path| end(path)).collect();
        let mut last = self.taken(&hidden, &ends);
        drop(hidden);
        let vocabulary = self.base.architecture().vocabulary;
        let mut answers = vec![Continuation { ids: Vec::new() }; prompts.len()];
        let mut open: Vec<usize> = (0..prompts.len()).collect();
        for step in 0..how.max_tokens {
            let logits = self.head(&last);
            let mut still = Vec::new();
            let mut ids = Vec::new();
            for (row, logits) in open.iter().zip(logits.chunks_exact(vocabulary)) {
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
            last = self.next(&ids, &open, &mut kept);
        }
        Ok(answers)
    }

    /// The likelihood of the tokens from `from` on in each row, each given what stands before it.
    pub fn likelihood(&self, rows: &[(Vec<u32>, usize)]) -> Result<Vec<Likelihood>> {
        let asked: Vec<(&[u32], Vec<usize>)> = rows
            .iter()
            .map(|(ids, from)| (&ids[..], (*from.max(&1)..ids.len()).collect()))
            .collect();
        self.likelihoods(&asked)
    }

    /// Σ ln p of the trained tokens of each row.
    pub fn sums(&self, rows: &[&Example]) -> Result<Vec<f64>> {
        let trained = |row: &Example| (1..row.ids.len()).filter(|at| row.trained[*at]).collect();
        let asked: Vec<(&[u32], Vec<usize>)> = rows
            .iter()
            .map(|row| (&row.ids[..], trained(row)))
            .collect();
        let likelihoods = self.likelihoods(&asked)?;
        Ok(likelihoods.into_iter().map(|own| own.sum).collect())
    }

    /// Of each row the likelihood of the tokens at the positions given, none of which is the first.
    fn likelihoods(&self, asked: &[(&[u32], Vec<usize>)]) -> Result<Vec<Likelihood>> {
        for (ids, _) in asked {
            self.base.check(ids).context("evaluation")?;
        }
        // What the last token of a row predicts is not asked: options that are one token share all.
        let rows = asked.iter().map(|(ids, _)| match ids {
            [before @ .., _] => before,
            [] => ids,
        });
        let forest = Forest::new(&rows.collect::<Vec<_>>());
        // The places that predict, and what of: each goes through the head once.
        let mut predicting: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        for (row, (_, positions)) in asked.iter().enumerate() {
            let places = forest.places(row);
            for &position in positions {
                let own = predicting.entry(places[position - 1]).or_default();
                own.push((row, position));
            }
        }
        let hidden = self.hidden(&forest, None);
        let vocabulary = self.base.architecture().vocabulary;
        let places: Vec<usize> = predicting.keys().copied().collect();
        let targets: Vec<&Vec<(usize, usize)>> = predicting.values().collect();
        let mut each: Vec<Vec<(usize, f64, bool)>> = vec![Vec::new(); asked.len()];
        let most = (LOGITS / vocabulary).clamp(16, 512);
        let mut scratch = vec![0f32; vocabulary];
        for (places, targets) in places.chunks(most).zip(targets.chunks(most)) {
            let logits = self.head(&self.taken(&hidden, places));
            for (logits, targets) in logits.chunks_exact(vocabulary).zip(targets) {
                let likeliest = argmax(logits);
                for (row, position) in *targets {
                    let id = asked[*row].0[*position];
                    scratch.copy_from_slice(logits);
                    let loss = cross_entropy_row(&mut scratch, id as usize, 1.0);
                    each[*row].push((*position, loss, likeliest == id));
                }
            }
        }
        let answers = each.into_iter().map(|mut own| {
            // Places are in the forest's order; sums are in the row's.
            own.sort_by_key(|(position, ..)| *position);
            Likelihood {
                sum: -own.iter().map(|(_, loss, _)| loss).sum::<f64>(),
                tokens: own.len(),
                greedy: own.iter().all(|(.., greedy)| *greedy),
            }
        });
        Ok(answers.collect())
    }

    fn forest(&self, rows: &[&[u32]]) -> Result<Forest> {
        for row in rows {
            self.base.check(row).context("evaluation")?;
        }
        Ok(Forest::new(rows))
    }

    /// Hidden states after the last layer, normed: (tokens, hidden). Leaves each layer's keys and values in
    /// `past`.
    fn hidden(&self, forest: &Forest, mut past: Option<&mut Vec<Past>>) -> Vec<f32> {
        let positions = forest.positions();
        let mut x = self.embed(forest.ids());
        for index in 0..self.base.layers.len() {
            let attention = self.base.attention(index);
            let attend = |q: &[f32], k: &[f32], v: &[f32]| {
                let q = attention.turned(q, &positions, attention.scale);
                let own = Past {
                    keys: attention.turned(k, &positions, 1.0),
                    values: v.to_vec(),
                };
                let out = attention.forward_shared(forest, &q, &own);
                if let Some(past) = &mut past {
                    past[index] = own;
                }
                out
            };
            x = self.site(index).forward_with(&x, attend).0;
        }
        self.normed(&x)
    }

    /// One more token for each of the rows `open`.
    fn next(&self, ids: &[u32], open: &[usize], kept: &mut Kept) -> Vec<f32> {
        let key_width = self.base.attention(0).heads.key * self.base.attention(0).heads.dim;
        let positions = open.iter().map(|row| {
            let shared = kept.paths[*row].last();
            let shared = shared.map_or(0, |last| last.position + last.length);
            shared + kept.own[*row][0].keys.len() / key_width
        });
        let positions: Vec<usize> = positions.collect();
        let mut x = self.embed(ids);
        for index in 0..self.base.layers.len() {
            let attention = self.base.attention(index);
            let heads = attention.heads;
            let (width, key_width) = (heads.query * heads.dim, heads.key * heads.dim);
            let attend = |q: &[f32], k: &[f32], v: &[f32]| {
                let q = attention.turned(q, &positions, attention.scale);
                let k = attention.turned(k, &positions, 1.0);
                let mut out = vec![0f32; q.len()];
                let rows = open.iter().zip(k.chunks_exact(key_width));
                let rows = rows.zip(v.chunks_exact(key_width));
                let rows = rows.zip(q.chunks_exact(width).zip(out.chunks_exact_mut(width)));
                for (((row, k), v), (q, out)) in rows {
                    let own = &mut kept.own[*row][index];
                    own.keys.extend_from_slice(k);
                    own.values.extend_from_slice(v);
                    let shared = (&kept.shared[index], &kept.paths[*row][..]);
                    attention.attend_to(shared, own, q, out);
                }
                out
            };
            x = self.site(index).forward_with(&x, attend).0;
        }
        self.normed(&x)
    }

    /// The rows of `hidden` at `places`, one after another.
    fn taken(&self, hidden: &[f32], places: &[usize]) -> Vec<f32> {
        let width = self.base.architecture().hidden;
        let row = |place: &usize| &hidden[place * width..(place + 1) * width];
        places.iter().flat_map(row).copied().collect()
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

/// Keys and values of a generation, by layer.
struct Kept {
    /// Of the prompts' tokens, each once.
    shared: Vec<Past>,
    /// Where each prompt's are.
    paths: Vec<Vec<Piece>>,
    /// Of each answer's tokens.
    own: Vec<Vec<Past>>,
}

/// The place of a row's last token.
fn end(path: &[Piece]) -> Option<usize> {
    path.last().map(|last| last.first + last.length - 1)
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
