//! One decoder layer, forward and backward, on plain slices.
//!
//! x₁ = x + N₁(O(attention(Q h, K h, V h))), h = norm(x); y = x₁ + N₂(D(φ(G h₂)∘U h₂)), h₂ = norm(x₁).
//! N₁ and N₂ are norms in some families and nothing in the others; each projection may have a bias and
//! carry a LoRA term. Frozen weights get no gradient.

use std::borrow::Cow;
use std::ops::Range;

use folkmoot_params::Structure;

use crate::adapter::Module;
use crate::base::{Base, Layer, Norm};
use crate::dropout::Dropout;
use crate::kernels::{
    Lay, gated, gated_backward, matmul, rms_norm, rms_norm_backward, rms_norm_weight,
};
use crate::weight::Weight;
use crate::{Adapter, Architecture, Projection};

/// Where what one layer learns lies in the flat buffer of all parameters: one range, since names of one
/// layer are neighbours in their order, and within it A and B of each adapted projection, or all weights.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    pub(crate) whole: Range<usize>,
    pairs: [Option<Pair>; Projection::ALL.len()],
    weights: [Option<Range<usize>>; Projection::ALL.len()],
    biases: [Option<Range<usize>>; Projection::ALL.len()],
    norms: [Option<Range<usize>>; Norm::ALL.len()],
}

/// A and B of one projection.
#[derive(Clone, Debug)]
struct Pair {
    a: Range<usize>,
    b: Range<usize>,
    rank: usize,
    scale: f32,
}

impl Slots {
    /// The slots of every layer; ranges count from the start of `whole`. `modules` are `adapter`'s, and
    /// `structure` was checked against it.
    pub(crate) fn of_layers(
        adapter: &Adapter,
        modules: &[Module],
        a: &Architecture,
        structure: &Structure,
    ) -> Vec<Self> {
        (0..a.layers)
            .map(|layer| {
                let find = |name: &str| structure.get(name).map(|tensor| tensor.range());
                let pairs = Projection::ALL.map(|projection| {
                    let module = modules
                        .iter()
                        .find(|module| (module.layer, module.projection) == (layer, projection))?;
                    Some(Pair {
                        a: find(&module.tensor_name('A'))?,
                        b: find(&module.tensor_name('B'))?,
                        rank: module.rank,
                        scale: module.scale,
                    })
                });
                let full = |projection: Projection, kind: &str| {
                    let name = format!("{}.{kind}", projection.path(layer));
                    find(&name).filter(|_| adapter.is_full())
                };
                let norm = |norm: Norm| {
                    find(&norm.tensor_name(a, layer))
                        .filter(|_| adapter.is_full() && norm.exists(a))
                };
                Self {
                    whole: 0..0,
                    pairs,
                    weights: Projection::ALL.map(|projection| full(projection, "weight")),
                    biases: Projection::ALL.map(|projection| full(projection, "bias")),
                    norms: Norm::ALL.map(norm),
                }
                .gathered()
            })
            .collect()
    }

    /// Of a norm that learns.
    pub(crate) fn norm(&self, norm: Norm) -> Option<&Range<usize>> {
        self.norms[norm as usize].as_ref()
    }

    /// Of a matrix that learns whole.
    pub(crate) fn weight(&self, projection: Projection) -> Option<&Range<usize>> {
        self.weights[projection as usize].as_ref()
    }

    /// Of a bias that learns.
    pub(crate) fn bias(&self, projection: Projection) -> Option<&Range<usize>> {
        self.biases[projection as usize].as_ref()
    }

    /// A, B, rank and scale of an adapted projection.
    pub(crate) fn lora(
        &self,
        projection: Projection,
    ) -> Option<(&Range<usize>, &Range<usize>, usize, f32)> {
        let pair = self.pairs[projection as usize].as_ref()?;
        Some((&pair.a, &pair.b, pair.rank, pair.scale))
    }

    /// Sets `whole`, and makes the others count from its start.
    fn gathered(mut self) -> Self {
        let mut own: Vec<&mut Range<usize>> = Vec::new();
        for pair in self.pairs.iter_mut().flatten() {
            own.extend([&mut pair.a, &mut pair.b]);
        }
        own.extend(self.weights.iter_mut().flatten());
        own.extend(self.biases.iter_mut().flatten());
        own.extend(self.norms.iter_mut().flatten());
        let start = own.iter().map(|range| range.start).min().unwrap_or(0);
        let end = own.iter().map(|range| range.end).max().unwrap_or(0);
        for range in own {
            *range = range.start - start..range.end - start;
        }
        self.whole = start..end;
        self
    }
}

/// What the backward pass needs of the forward pass beside its input; every matrix has a row per token. What is cheap to
/// compute again is not kept.
pub(crate) struct Saved {
    /// Before their norms and rotation.
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    attended: Vec<f32>,
    /// Before N₁; empty where that is nothing.
    out: Vec<f32>,
    middle: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    /// Before N₂; empty where that is nothing.
    down: Vec<f32>,
}

/// A layer with what it works on.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) base: &'a Base,
    pub(crate) index: usize,
    /// The scalars of `slots.whole`.
    pub(crate) trained: Option<(&'a Slots, &'a [f32])>,
    pub(crate) dropout: Option<Dropout>,
}

/// A matrix of a projection.
enum Operand<'a> {
    Frozen(&'a Weight),
    Trained(&'a [f32]),
}

impl<'a> Site<'a> {
    /// The layer's output for rows of these lengths, and what the backward pass needs.
    pub(crate) fn forward(&self, x: &[f32], lengths: &[usize]) -> (Vec<f32>, Saved) {
        let attention = self.base.attention(self.index);
        self.forward_with(x, |q, k, v| attention.forward(lengths, q, k, v))
    }

    /// The same with another way to attend, e.g. to cached keys.
    pub(crate) fn forward_with(
        &self,
        x: &[f32],
        attend: impl FnOnce(&[f32], &[f32], &[f32]) -> Vec<f32>,
    ) -> (Vec<f32>, Saved) {
        let a = self.architecture();
        let h = self.normed(Norm::Attention, x);
        let q = self.project(&h, Projection::QProj);
        let k = self.project(&h, Projection::KProj);
        let v = self.project(&h, Projection::VProj);
        drop(h);
        let attended = attend(
            &self.normed_heads(Norm::Query, &q),
            &self.normed_heads(Norm::Key, &k),
            &v,
        );
        let out = self.project(&attended, Projection::OProj);
        let (mut middle, out) = self.outer(Norm::AfterAttention, out);
        add(&mut middle, x);
        let h2 = self.normed(Norm::Mlp, &middle);
        let gate = self.project(&h2, Projection::GateProj);
        let up = self.project(&h2, Projection::UpProj);
        drop(h2);
        let mut inner = vec![0f32; gate.len()];
        gated(a.activation, &mut inner, &gate, &up);
        let down = self.project(&inner, Projection::DownProj);
        let (mut y, down) = self.outer(Norm::AfterMlp, down);
        add(&mut y, &middle);
        let saved = Saved {
            q,
            k,
            v,
            attended,
            out,
            middle,
            gate,
            up,
            down,
        };
        (y, saved)
    }

    /// Gradients of the layer's input and of what it learns, given the gradient `g` of its output. The
    /// input's is left out where `wanted` is false: nothing below learns.
    pub(crate) fn backward(
        &self,
        saved: &Saved,
        x: &[f32],
        g: &[f32],
        lengths: &[usize],
        wanted: bool,
    ) -> (Option<Vec<f32>>, Vec<f32>) {
        let a = self.architecture();
        let learnt = self.trained.map_or(0, |(slots, _)| slots.whole.len());
        let own = &mut vec![0f32; learnt];
        let ddown = self.outer_backward(Norm::AfterMlp, g, &saved.down, own);
        let mut inner = vec![0f32; saved.gate.len()];
        if self.learns(Projection::DownProj) {
            gated(a.activation, &mut inner, &saved.gate, &saved.up);
        }
        let mut dinner = vec![0f32; inner.len()];
        let down = Projection::DownProj;
        self.project_backward(&ddown, &inner, down, &mut dinner, false, own);
        let mut dgate = inner;
        let mut dup = vec![0f32; dgate.len()];
        let outputs = (&mut dgate[..], &mut dup[..]);
        gated_backward(a.activation, outputs, &dinner, &saved.gate, &saved.up);
        drop(dinner);
        let h2 = match self.learns(Projection::GateProj) || self.learns(Projection::UpProj) {
            true => self.normed(Norm::Mlp, &saved.middle),
            false => Vec::new(),
        };
        let mut dh = vec![0f32; g.len()];
        self.project_backward(&dgate, &h2, Projection::GateProj, &mut dh, false, own);
        self.project_backward(&dup, &h2, Projection::UpProj, &mut dh, true, own);
        drop((dgate, dup, h2));
        let mut dmiddle = self.norm_backward(Norm::Mlp, &dh, &saved.middle, own);
        add(&mut dmiddle, g);
        let dout = self.outer_backward(Norm::AfterAttention, &dmiddle, &saved.out, own);
        let mut dattended = vec![0f32; saved.attended.len()];
        let o = Projection::OProj;
        self.project_backward(&dout, &saved.attended, o, &mut dattended, false, own);
        let (q, k) = (
            self.normed_heads(Norm::Query, &saved.q),
            self.normed_heads(Norm::Key, &saved.k),
        );
        let (dq, dk, dv) = self.base.attention(self.index).backward(
            lengths,
            (&q, &k, &saved.v),
            &saved.attended,
            &dattended,
        );
        drop((q, k));
        let (dq, dk) = match a.head_norms {
            true => (
                self.norm_backward(Norm::Query, &dq, &saved.q, own),
                self.norm_backward(Norm::Key, &dk, &saved.k, own),
            ),
            false => (dq, dk),
        };
        let inputs = [Projection::QProj, Projection::KProj, Projection::VProj];
        let h = match inputs.into_iter().any(|projection| self.learns(projection)) {
            true => self.normed(Norm::Attention, x),
            false => Vec::new(),
        };
        let needed = wanted || self.norm_slot(Norm::Attention).is_some();
        if needed {
            self.project_backward(&dq, &h, Projection::QProj, &mut dh, false, own);
            self.project_backward(&dk, &h, Projection::KProj, &mut dh, true, own);
            self.project_backward(&dv, &h, Projection::VProj, &mut dh, true, own);
        } else {
            for (g, projection) in [&dq, &dk, &dv].into_iter().zip(inputs) {
                self.project_learns(g, &h, projection, own);
            }
        }
        let dx = needed.then(|| {
            let mut dx = self.norm_backward(Norm::Attention, &dh, x, own);
            add(&mut dx, &dmiddle);
            dx
        });
        (dx, std::mem::take(own))
    }

    fn architecture(&self) -> &'a Architecture {
        self.base.architecture()
    }

    fn layer(&self) -> &'a Layer {
        &self.base.layers[self.index]
    }

    /// The weight of a norm, as it multiplies.
    fn norm_weight(&self, norm: Norm) -> Cow<'a, [f32]> {
        match (self.norm_slot(norm), self.trained) {
            (Some(range), Some((_, values))) => {
                let values = &values[range.clone()];
                match self.architecture().family.norms_add_one() {
                    true => values.iter().map(|w| 1.0 + w).collect(),
                    false => Cow::Borrowed(values),
                }
            }
            _ => Cow::Borrowed(self.layer().norm(norm)),
        }
    }

    fn norm_slot(&self, norm: Norm) -> Option<&'a Range<usize>> {
        self.trained
            .and_then(|(slots, _)| slots.norms[norm as usize].as_ref())
    }

    fn normed(&self, norm: Norm, x: &[f32]) -> Vec<f32> {
        let mut y = vec![0f32; x.len()];
        let eps = self.architecture().rms_eps;
        rms_norm(&mut y, x, &self.norm_weight(norm), eps);
        y
    }

    fn normed_heads<'x>(&self, norm: Norm, x: &'x [f32]) -> Cow<'x, [f32]> {
        match self.architecture().head_norms {
            true => Cow::Owned(self.normed(norm, x)),
            false => Cow::Borrowed(x),
        }
    }

    /// An outer norm's output and its input, or the input alone where the family has no such norm.
    fn outer(&self, norm: Norm, x: Vec<f32>) -> (Vec<f32>, Vec<f32>) {
        match self.architecture().outer_norms {
            true => (self.normed(norm, &x), x),
            false => (x, Vec::new()),
        }
    }

    fn outer_backward<'g>(
        &self,
        norm: Norm,
        g: &'g [f32],
        x: &[f32],
        own: &mut [f32],
    ) -> Cow<'g, [f32]> {
        match self.architecture().outer_norms {
            true => Cow::Owned(self.norm_backward(norm, g, x, own)),
            false => Cow::Borrowed(g),
        }
    }

    /// The gradient of a norm's input.
    fn norm_backward(&self, norm: Norm, g: &[f32], x: &[f32], own: &mut [f32]) -> Vec<f32> {
        let eps = self.architecture().rms_eps;
        if let Some(slot) = self.norm_slot(norm) {
            rms_norm_weight(&mut own[slot.clone()], g, x, eps);
        }
        let mut dx = vec![0f32; x.len()];
        rms_norm_backward(&mut dx, g, x, &self.norm_weight(norm), eps);
        dx
    }

    fn operand(&self, projection: Projection) -> Operand<'a> {
        match self.trained {
            Some((slots, values)) => match &slots.weights[projection as usize] {
                Some(range) => Operand::Trained(&values[range.clone()]),
                None => Operand::Frozen(&self.layer().linear(projection).weight),
            },
            None => Operand::Frozen(&self.layer().linear(projection).weight),
        }
    }

    fn bias(&self, projection: Projection) -> Option<&'a [f32]> {
        match self.trained {
            Some((slots, values)) if slots.biases[projection as usize].is_some() => {
                let range = slots.biases[projection as usize].clone()?;
                Some(&values[range])
            }
            _ => self.layer().linear(projection).bias.as_deref(),
        }
    }

    fn pair(&self, projection: Projection) -> Option<(&'a Pair, &'a [f32], &'a [f32])> {
        let (slots, values) = self.trained?;
        let pair = slots.pairs[projection as usize].as_ref()?;
        Some((pair, &values[pair.a.clone()], &values[pair.b.clone()]))
    }

    /// Whether a gradient of the projection needs its input.
    fn learns(&self, projection: Projection) -> bool {
        let full = |(slots, _): (&Slots, _)| slots.weights[projection as usize].is_some();
        self.pair(projection).is_some() || self.trained.is_some_and(full)
    }

    /// x·Wᵀ + b + s·(d(x)·Aᵀ)·Bᵀ, where d drops scalars in training.
    fn project(&self, x: &[f32], projection: Projection) -> Vec<f32> {
        let (cols, out) = projection.sizes(self.architecture());
        let rows = x.len() / cols;
        let mut y = vec![0f32; rows * out];
        let tall = Lay::rows(rows, out);
        match self.operand(projection) {
            Operand::Frozen(weight) => self.base.forward(weight, &mut y, x, rows),
            Operand::Trained(w) => {
                let w = (w, Lay::rows(out, cols).transposed());
                matmul((&mut y, tall), false, 1.0, (x, Lay::rows(rows, cols)), w);
            }
        }
        if let Some(bias) = self.bias(projection) {
            y.chunks_exact_mut(out).for_each(|row| add(row, bias));
        }
        if let Some((pair, a, b)) = self.pair(projection) {
            let (wide, thin) = (Lay::rows(rows, cols), Lay::rows(rows, pair.rank));
            let dropped = self.dropped(x, projection);
            let mut down = vec![0f32; rows * pair.rank];
            let a = (a, Lay::rows(pair.rank, cols).transposed());
            matmul((&mut down, thin), false, 1.0, (&dropped, wide), a);
            let b = (b, Lay::rows(out, pair.rank).transposed());
            matmul((&mut y, tall), true, pair.scale, (&down, thin), b);
        }
        y
    }

    fn dropped<'x>(&self, x: &'x [f32], projection: Projection) -> Cow<'x, [f32]> {
        match self.dropout {
            Some(dropout) => Cow::Owned(dropout.at(self.index, projection).apply(x)),
            None => Cow::Borrowed(x),
        }
    }

    /// dx = g·W + s·d'((g·B)·A), and what the projection learns, into `own`.
    fn project_backward(
        &self,
        g: &[f32],
        x: &[f32],
        projection: Projection,
        dx: &mut [f32],
        accumulate: bool,
        own: &mut [f32],
    ) {
        let (cols, out) = projection.sizes(self.architecture());
        let rows = g.len() / out;
        let (wide, tall) = (Lay::rows(rows, cols), Lay::rows(rows, out));
        match self.operand(projection) {
            Operand::Frozen(weight) => self.base.backward(weight, dx, accumulate, g, rows),
            Operand::Trained(w) => {
                let w = (w, Lay::rows(out, cols));
                matmul((dx, wide), accumulate, 1.0, (g, tall), w);
            }
        }
        let Some(up) = self.project_learns(g, x, projection, own) else {
            return;
        };
        let Some((pair, a, _)) = self.pair(projection) else {
            return;
        };
        let (thin, a) = (Lay::rows(rows, pair.rank), (a, Lay::rows(pair.rank, cols)));
        match self.dropout {
            None => matmul((dx, wide), true, 1.0, (&up, thin), a),
            Some(dropout) => {
                let mut through = vec![0f32; dx.len()];
                matmul((&mut through, wide), false, 1.0, (&up, thin), a);
                add(dx, &dropout.at(self.index, projection).apply(&through));
            }
        }
    }

    /// dA = s·(g·B)ᵀ·d(x) and dB = s·gᵀ·(d(x)·Aᵀ), or dW = gᵀ·x and db = Σ g, into `own`. Gives s·g·B of
    /// an adapted projection.
    fn project_learns(
        &self,
        g: &[f32],
        x: &[f32],
        projection: Projection,
        own: &mut [f32],
    ) -> Option<Vec<f32>> {
        let (slots, _) = self.trained?;
        let (cols, out) = projection.sizes(self.architecture());
        let rows = g.len() / out;
        let (wide, tall) = (Lay::rows(rows, cols), Lay::rows(rows, out));
        if let Some(slot) = &slots.weights[projection as usize] {
            let dw = (&mut own[slot.clone()], Lay::rows(out, cols));
            matmul(dw, false, 1.0, (g, tall.transposed()), (x, wide));
        }
        if let Some(slot) = &slots.biases[projection as usize] {
            let db = &mut own[slot.clone()];
            g.chunks_exact(out).for_each(|row| add(db, row));
        }
        let (pair, a, b) = self.pair(projection)?;
        let (rank, scale) = (pair.rank, pair.scale);
        let x = &self.dropped(x, projection)[..];
        let thin = Lay::rows(rows, rank);
        let (a_lay, b_lay) = (Lay::rows(rank, cols), Lay::rows(out, rank));
        let (mut up, mut down) = (vec![0f32; rows * rank], vec![0f32; rows * rank]);
        matmul((&mut up, thin), false, scale, (g, tall), (b, b_lay));
        let da = (&mut own[pair.a.clone()], a_lay);
        matmul(da, false, 1.0, (&up, thin.transposed()), (x, wide));
        let turned = (a, a_lay.transposed());
        matmul((&mut down, thin), false, scale, (x, wide), turned);
        let db = (&mut own[pair.b.clone()], b_lay);
        matmul(db, false, 1.0, (g, tall.transposed()), (&down, thin));
        Some(up)
    }
}

pub(crate) fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}
