//! One decoder layer with adapters, forward and backward, on plain slices.
//!
//! x₁ = x + O(attention(Q h, K h, V h)), h = norm(x); y = x₁ + D(swiglu(G h₂, U h₂)), h₂ = norm(x₁),
//! where each projection may carry a LoRA term. Frozen weights get no gradient.

use std::ops::Range;

use folkmoot_params::Structure;

use crate::base::{Base, Layer, Matrix};
use crate::kernels::attention::{attention, attention_backward};
use crate::kernels::{Lay, matmul, rms_norm, rms_norm_backward, swiglu, swiglu_backward};
use crate::{Adapter, Projection};

/// Where one layer's adapter lies in the flat buffer of all parameters: one range, since names of one
/// layer are neighbours in their order, and within it A and B of each adapted projection.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    pub(crate) whole: Range<usize>,
    pairs: [Option<(Range<usize>, Range<usize>)>; Projection::ALL.len()],
    rank: usize,
    scale: f32,
}

impl Slots {
    /// The slots of layer `index`; ranges of pairs count from the start of `whole`.
    pub(crate) fn new(adapter: &Adapter, structure: &Structure, index: usize) -> Self {
        let find = |projection, matrix| {
            let tensor = structure.get(&Adapter::tensor_name(index, projection, matrix))?;
            Some(tensor.range())
        };
        let pairs = Projection::ALL.map(|p| find(p, 'A').zip(find(p, 'B')));
        let ranges = || pairs.iter().flatten().flat_map(|(a, b)| [a, b]);
        let start = ranges().map(|range| range.start).min().unwrap_or(0);
        let end = ranges().map(|range| range.end).max().unwrap_or(0);
        let own = |range: Range<usize>| range.start - start..range.end - start;
        Self {
            whole: start..end,
            pairs: pairs.map(|pair| pair.map(|(a, b)| (own(a), own(b)))),
            rank: adapter.rank,
            scale: adapter.scale(),
        }
    }

    fn pair(&self, projection: Projection) -> Option<&(Range<usize>, Range<usize>)> {
        let index = Projection::ALL.iter().position(|own| *own == projection)?;
        self.pairs[index].as_ref()
    }
}

/// What the backward pass needs of the forward pass; every matrix has a row per token.
pub(crate) struct Saved {
    x: Vec<f32>,
    h: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    attended: Vec<f32>,
    middle: Vec<f32>,
    h2: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    inner: Vec<f32>,
}

/// A layer with what it works on: `adapter` holds the scalars of `slots.whole`.
pub(crate) struct Site<'a> {
    pub(crate) base: &'a Base,
    pub(crate) layer: &'a Layer,
    pub(crate) adapter: Option<(&'a Slots, &'a [f32])>,
}

impl Site<'_> {
    /// The layer's output for rows of these lengths, and what the backward pass needs.
    pub(crate) fn forward(&self, x: &[f32], lengths: &[usize]) -> (Vec<f32>, Saved) {
        let (base, heads) = (self.base, self.base.heads());
        self.forward_with(x, |q, k, v| {
            attention(heads, &base.rotary, lengths, q, k, v)
        })
    }

    /// The same with another way to attend, e.g. to cached keys.
    pub(crate) fn forward_with(
        &self,
        x: &[f32],
        attend: impl FnOnce(&[f32], &[f32], &[f32]) -> Vec<f32>,
    ) -> (Vec<f32>, Saved) {
        let (layer, eps) = (self.layer, self.base.architecture().rms_eps);
        let mut h = vec![0f32; x.len()];
        rms_norm(&mut h, x, &layer.attention_norm.values, eps);
        let q = self.project(&h, &layer.q, Projection::QProj);
        let k = self.project(&h, &layer.k, Projection::KProj);
        let v = self.project(&h, &layer.v, Projection::VProj);
        let attended = attend(&q, &k, &v);
        let mut middle = self.project(&attended, &layer.o, Projection::OProj);
        add(&mut middle, x);
        let mut h2 = vec![0f32; x.len()];
        rms_norm(&mut h2, &middle, &layer.mlp_norm.values, eps);
        let gate = self.project(&h2, &layer.gate, Projection::GateProj);
        let up = self.project(&h2, &layer.up, Projection::UpProj);
        let mut inner = vec![0f32; gate.len()];
        swiglu(&mut inner, &gate, &up);
        let mut y = self.project(&inner, &layer.down, Projection::DownProj);
        add(&mut y, &middle);
        let x = x.to_vec();
        let saved = Saved {
            x,
            h,
            q,
            k,
            v,
            attended,
            middle,
            h2,
            gate,
            up,
            inner,
        };
        (y, saved)
    }

    /// Gradients of the layer's input and of its adapter, given the gradient `g` of its output. The
    /// input's is left out where `wanted` is false: nothing below the first layer learns.
    pub(crate) fn backward(
        &self,
        saved: &Saved,
        g: &[f32],
        lengths: &[usize],
        wanted: bool,
    ) -> (Option<Vec<f32>>, Vec<f32>) {
        let (layer, eps) = (self.layer, self.base.architecture().rms_eps);
        let mut own = vec![0f32; self.adapter.map_or(0, |(slots, _)| slots.whole.len())];
        let mut back =
            |g: &[f32], x: &[f32], w: &Matrix, projection, dx: &mut [f32], accumulate| {
                self.project_backward((g, x, w), projection, dx, accumulate, &mut own);
            };
        let mut dinner = vec![0f32; saved.inner.len()];
        back(
            g,
            &saved.inner,
            &layer.down,
            Projection::DownProj,
            &mut dinner,
            false,
        );
        let (mut dgate, mut dup) = (vec![0f32; dinner.len()], vec![0f32; dinner.len()]);
        swiglu_backward(&mut dgate, &mut dup, &dinner, &saved.gate, &saved.up);
        let mut dh2 = vec![0f32; g.len()];
        back(
            &dgate,
            &saved.h2,
            &layer.gate,
            Projection::GateProj,
            &mut dh2,
            false,
        );
        back(
            &dup,
            &saved.h2,
            &layer.up,
            Projection::UpProj,
            &mut dh2,
            true,
        );
        let mut dmiddle = vec![0f32; g.len()];
        rms_norm_backward(
            &mut dmiddle,
            &dh2,
            &saved.middle,
            &layer.mlp_norm.values,
            eps,
        );
        add(&mut dmiddle, g);
        let mut dattended = vec![0f32; saved.attended.len()];
        back(
            &dmiddle,
            &saved.attended,
            &layer.o,
            Projection::OProj,
            &mut dattended,
            false,
        );
        let (heads, rotary) = (self.base.heads(), &self.base.rotary);
        let (q, k, v) = (&saved.q, &saved.k, &saved.v);
        let (dq, dk, dv) =
            attention_backward(heads, rotary, lengths, q, k, v, &saved.attended, &dattended);
        let mut dh = dh2;
        back(&dq, &saved.h, &layer.q, Projection::QProj, &mut dh, false);
        back(&dk, &saved.h, &layer.k, Projection::KProj, &mut dh, true);
        back(&dv, &saved.h, &layer.v, Projection::VProj, &mut dh, true);
        let dx = wanted.then(|| {
            let mut dx = vec![0f32; g.len()];
            rms_norm_backward(&mut dx, &dh, &saved.x, &layer.attention_norm.values, eps);
            add(&mut dx, &dmiddle);
            dx
        });
        (dx, own)
    }

    /// x·Wᵀ + s·(x·Aᵀ)·Bᵀ.
    fn project(&self, x: &[f32], w: &Matrix, projection: Projection) -> Vec<f32> {
        let rows = x.len() / w.cols;
        let mut y = vec![0f32; rows * w.rows];
        let tall = Lay::rows(rows, w.rows);
        matmul(
            (&mut y, tall),
            false,
            1.0,
            (x, Lay::rows(rows, w.cols)),
            (&w.values, w.lay().transposed()),
        );
        if let Some((a, b, rank, scale)) = self.lora(projection) {
            let (wide, thin) = (Lay::rows(rows, w.cols), Lay::rows(rows, rank));
            let mut down = vec![0f32; rows * rank];
            matmul(
                (&mut down, thin),
                false,
                1.0,
                (x, wide),
                (a, Lay::rows(rank, w.cols).transposed()),
            );
            matmul(
                (&mut y, tall),
                true,
                scale,
                (&down, thin),
                (b, Lay::rows(w.rows, rank).transposed()),
            );
        }
        y
    }

    /// dx = g·W + s·(g·B)·A; dA = s·(g·B)ᵀ·x; dB = s·gᵀ·(x·Aᵀ). `own` is the layer's adapter gradient.
    fn project_backward(
        &self,
        (g, x, w): (&[f32], &[f32], &Matrix),
        projection: Projection,
        dx: &mut [f32],
        accumulate: bool,
        own: &mut [f32],
    ) {
        let rows = g.len() / w.rows;
        let (wide, tall) = (Lay::rows(rows, w.cols), Lay::rows(rows, w.rows));
        matmul((dx, wide), accumulate, 1.0, (g, tall), (&w.values, w.lay()));
        let (Some((a, b, rank, scale)), Some((slots, _))) = (self.lora(projection), self.adapter)
        else {
            return;
        };
        let Some((a_slot, b_slot)) = slots.pair(projection) else {
            return;
        };
        let thin = Lay::rows(rows, rank);
        let (a_lay, b_lay) = (Lay::rows(rank, w.cols), Lay::rows(w.rows, rank));
        let (mut up, mut down) = (vec![0f32; rows * rank], vec![0f32; rows * rank]);
        matmul((&mut up, thin), false, scale, (g, tall), (b, b_lay));
        matmul((dx, wide), true, 1.0, (&up, thin), (a, a_lay));
        matmul(
            (&mut own[a_slot.clone()], a_lay),
            false,
            1.0,
            (&up, thin.transposed()),
            (x, wide),
        );
        matmul(
            (&mut down, thin),
            false,
            scale,
            (x, wide),
            (a, a_lay.transposed()),
        );
        matmul(
            (&mut own[b_slot.clone()], b_lay),
            false,
            1.0,
            (g, tall.transposed()),
            (&down, thin),
        );
    }

    fn lora(&self, projection: Projection) -> Option<(&[f32], &[f32], usize, f32)> {
        let (slots, values) = self.adapter?;
        let (a, b) = slots.pair(projection)?;
        Some((
            &values[a.clone()],
            &values[b.clone()],
            slots.rank,
            slots.scale,
        ))
    }
}

fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}
