//! The decoder in candle's own differentiable operations: what runs where memory is a device's. It follows
//! `layer.rs` and `head.rs` step by step, and is tested against the same numbers on the CPU.
//!
//! Products run in the base's type, everything else in f32. Rows of equal length attend together.

use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, D, DType, Device, Error, Layout, Result, Shape, Storage,
    Tensor, Var, bail,
};
use candle_nn::ops::{log_softmax, softmax};
use folkmoot_params::Params;

use crate::architecture::Rope;
use crate::base::{Base, EMBEDDING, HEAD, NORM, Norm};
use crate::dropout::Dropout;
use crate::head::{Criterion, Outcome};
use crate::kernels::attention::Rotary;
use crate::layer::Slots;
use crate::{Activation, Architecture, Projection};

/// cos and sin, (positions, head size), of the two kinds of layers.
pub(crate) struct Angles([(Tensor, Tensor); 2]);

impl Angles {
    pub(crate) fn new(a: &Architecture, positions: usize, device: &Device) -> anyhow::Result<Self> {
        let both = |rope: &Rope| -> anyhow::Result<(Tensor, Tensor)> {
            let rotary = Rotary::new(positions, a.head_dim, rope)?;
            let (cos, sin) = rotary.tables();
            let shape = (positions, a.head_dim / 2);
            let whole = |half: &[f32]| -> Result<Tensor> {
                let half = Tensor::from_slice(half, shape, device)?;
                Tensor::cat(&[&half, &half], 1)
            };
            Ok((whole(cos)?, whole(sin)?))
        };
        let local = a.local_rope.as_ref().unwrap_or(&a.rope);
        Ok(Self([both(&a.rope)?, both(local)?]))
    }
}

/// One pass over some rows.
pub(crate) struct Plain<'a> {
    pub(crate) base: &'a Arc<Base>,
    pub(crate) slots: &'a [Slots],
    pub(crate) params: &'a Params,
    /// Whether the tables and norms learn, too.
    pub(crate) full: bool,
    pub(crate) dropout: Option<Dropout>,
    pub(crate) recompute: bool,
    /// Whether a gradient is wanted.
    pub(crate) learning: bool,
}

/// What is asked of a pass.
pub(crate) struct Rows<'a> {
    pub(crate) ids: &'a [u32],
    pub(crate) lengths: &'a [usize],
    /// Where targets are predicted.
    pub(crate) positions: &'a [u32],
    pub(crate) targets: &'a [u32],
    /// Targets of each row.
    pub(crate) counts: &'a [usize],
}

/// The scalars of one layer, or a table, on the device: as a variable where a gradient is wanted.
struct Learnt {
    range: std::ops::Range<usize>,
    tensor: Tensor,
}

impl Plain<'_> {
    /// The loss, and the gradient in the storage order of the parameters.
    pub(crate) fn run(&self, rows: &Rows, criterion: &Criterion) -> Result<(Outcome, Vec<f32>)> {
        let a = self.base.architecture();
        let mut gradient = vec![
            0f32;
            if self.learning {
                self.params.count()
            } else {
                0
            }
        ];
        let learnt: Vec<Learnt> = self
            .slots
            .iter()
            .map(|slots| self.learnt(slots.whole.clone()))
            .collect::<Result<_>>()?;
        let table = self.table(EMBEDDING)?;
        let ids = Tensor::new(rows.ids, self.base.device())?;
        let x = match &table {
            Some(table) => {
                let table = table.tensor.reshape((a.vocabulary, a.hidden))?;
                (table.index_select(&ids, 0)? * f64::from(a.embedding_scale))?
            }
            None => {
                let x = self.base.embed(rows.ids);
                Tensor::from_vec(x, (rows.ids.len(), a.hidden), self.base.device())?
            }
        };
        // With recomputation every layer begins anew from a copy of its input.
        let mut inputs = Vec::new();
        let mut now = x.clone();
        for (index, learnt) in learnt.iter().enumerate() {
            if self.recompute && self.learning {
                let input = now.detach();
                now = self
                    .layer(index, &input, &learnt.tensor.detach(), rows)?
                    .detach();
                inputs.push(input);
            } else {
                now = self.layer(index, &now, &learnt.tensor, rows)?;
            }
        }
        let top = match self.recompute && self.learning {
            true => Var::from_tensor(&now)?.as_tensor().clone(),
            false => now,
        };
        let norm = self.table(NORM)?;
        let head = match a.tied {
            true => None,
            false => self.table(HEAD)?,
        };
        let logits = self.logits(&top, rows, (&norm, head.as_ref().or(table.as_ref())))?;
        let targets = Tensor::new(rows.targets, self.base.device())?.unsqueeze(1)?;
        let likely = log_softmax(&logits, D::Minus1)?
            .gather(&targets, 1)?
            .squeeze(1)?;
        let each: Vec<f32> = likely.to_vec1()?;
        let mut first = 0;
        let sums = rows.counts.iter().map(|count| {
            let own = &each[first..first + count];
            first += count;
            own.iter().map(|x| f64::from(*x)).sum()
        });
        let sums: Vec<f64> = sums.collect();
        let (loss, weights) = criterion.weigh(rows.counts, &sums);
        let outcome = Outcome {
            loss,
            sums,
            gradient: Vec::new(),
        };
        if !self.learning {
            return Ok((outcome, gradient));
        }
        let weights = Tensor::from_vec(weights, each.len(), self.base.device())?;
        let weighed = (likely * weights)?.sum_all()?.neg()?;
        let gradients = weighed.backward()?;
        let mut put = |learnt: &Learnt, gradients: &candle_core::backprop::GradStore| {
            if let Some(own) = gradients.get(&learnt.tensor) {
                let own: Vec<f32> = own.flatten_all()?.to_vec1()?;
                let place = &mut gradient[learnt.range.clone()];
                place.iter_mut().zip(own).for_each(|(sum, g)| *sum += g);
            }
            Result::Ok(())
        };
        for learnt in [&table, &norm, &head].into_iter().flatten() {
            put(learnt, &gradients)?;
        }
        if !self.recompute {
            for learnt in learnt.iter().filter(|own| !own.range.is_empty()) {
                put(learnt, &gradients)?;
            }
            return Ok((outcome, gradient));
        }
        let mut g = gradients.get(&top).cloned();
        for (index, input) in inputs.iter().enumerate().rev() {
            let Some(above) = g else {
                bail!("a layer got no gradient");
            };
            let input = Var::from_tensor(input)?;
            let y = self.layer(index, &input, &learnt[index].tensor, rows)?;
            let gradients = (y * above)?.sum_all()?.backward()?;
            if !learnt[index].range.is_empty() {
                put(&learnt[index], &gradients)?;
            }
            g = gradients.get(&input).cloned();
        }
        if let (Some(table), Some(g)) = (&table, g) {
            let gradients = (x * g)?.sum_all()?.backward()?;
            put(table, &gradients)?;
        }
        Ok((outcome, gradient))
    }

    fn learnt(&self, range: std::ops::Range<usize>) -> Result<Learnt> {
        let own = &self.params.values()[range.clone()];
        let device = self.base.device();
        let tensor = match self.learning && !own.is_empty() {
            true => Var::from_slice(own, own.len(), device)?.as_tensor().clone(),
            false => Tensor::from_slice(own, own.len(), device)?,
        };
        Ok(Learnt { range, tensor })
    }

    fn table(&self, name: &str) -> Result<Option<Learnt>> {
        let tensor = self.params.structure().get(name).filter(|_| self.full);
        tensor.map(|tensor| self.learnt(tensor.range())).transpose()
    }

    fn logits(
        &self,
        x: &Tensor,
        rows: &Rows,
        (norm, table): (&Option<Learnt>, Option<&Learnt>),
    ) -> Result<Tensor> {
        let a = self.base.architecture();
        let positions = Tensor::new(rows.positions, self.base.device())?;
        let x = x.index_select(&positions, 0)?;
        let weight = match norm {
            Some(norm) => self.multiplier(&norm.tensor)?,
            None => Tensor::new(&self.base.norm[..], self.base.device())?,
        };
        let x = rms_norm(&x, &weight, a.rms_eps)?;
        let logits = match table {
            Some(table) => {
                let table = table.tensor.reshape((a.vocabulary, a.hidden))?;
                product(&x, &table, self.base.dtype())?
            }
            None => frozen(&x, self.base.head().on_device()?)?,
        };
        capped(&logits, a.logit_cap)
    }

    /// What a learnt norm multiplies by.
    fn multiplier(&self, w: &Tensor) -> Result<Tensor> {
        match self.base.architecture().family.norms_add_one() {
            true => w + 1.0,
            false => Ok(w.clone()),
        }
    }

    fn layer(&self, index: usize, x: &Tensor, learnt: &Tensor, rows: &Rows) -> Result<Tensor> {
        let a = self.base.architecture();
        let layer = Layer {
            plain: self,
            index,
            learnt,
        };
        let h = layer.norm(Norm::Attention, x)?;
        let (q, k) = (
            layer.project(&h, Projection::QProj)?,
            layer.project(&h, Projection::KProj)?,
        );
        let v = layer.project(&h, Projection::VProj)?;
        let heads = |x: &Tensor, count| x.reshape((rows.ids.len(), count, a.head_dim));
        let (mut q, mut k) = (heads(&q, a.query_heads)?, heads(&k, a.key_heads)?);
        if a.head_norms {
            (q, k) = (layer.norm(Norm::Query, &q)?, layer.norm(Norm::Key, &k)?);
        }
        let v = heads(&v, a.key_heads)?;
        let attended = layer.attend(&q, &k, &v, rows.lengths)?;
        let mut out = layer.project(&attended, Projection::OProj)?;
        if a.outer_norms {
            out = layer.norm(Norm::AfterAttention, &out)?;
        }
        let middle = (x + out)?;
        let h = layer.norm(Norm::Mlp, &middle)?;
        let gate = layer.project(&h, Projection::GateProj)?;
        let up = layer.project(&h, Projection::UpProj)?;
        let inner = (activate(&gate, a.activation)? * up)?;
        let mut down = layer.project(&inner, Projection::DownProj)?;
        if a.outer_norms {
            down = layer.norm(Norm::AfterMlp, &down)?;
        }
        middle + down
    }
}

/// A layer at work.
struct Layer<'a> {
    plain: &'a Plain<'a>,
    index: usize,
    learnt: &'a Tensor,
}

impl Layer<'_> {
    fn slot(&self, range: &std::ops::Range<usize>, shape: &[usize]) -> Result<Tensor> {
        self.learnt
            .narrow(0, range.start, range.len())?
            .reshape(shape)
    }

    fn norm(&self, norm: Norm, x: &Tensor) -> Result<Tensor> {
        let base = self.plain.base;
        let weight = match self.plain.slots[self.index].norm(norm) {
            Some(range) => {
                let own = self.slot(range, &[range.len()])?;
                self.plain.multiplier(&own)?
            }
            None => Tensor::new(base.layers[self.index].norm(norm), base.device())?,
        };
        rms_norm(x, &weight, base.architecture().rms_eps)
    }

    fn project(&self, x: &Tensor, projection: Projection) -> Result<Tensor> {
        let (base, slots) = (self.plain.base, &self.plain.slots[self.index]);
        let (cols, out) = projection.sizes(base.architecture());
        let linear = base.layers[self.index].linear(projection);
        let mut y = match slots.weight(projection) {
            Some(range) => product(x, &self.slot(range, &[out, cols])?, base.dtype())?,
            None => frozen(x, linear.weight.on_device()?)?,
        };
        let bias = match (slots.bias(projection), &linear.bias) {
            (Some(range), _) => Some(self.slot(range, &[out])?),
            (None, Some(bias)) => Some(Tensor::new(&bias[..], base.device())?),
            (None, None) => None,
        };
        if let Some(bias) = bias {
            y = y.broadcast_add(&bias)?;
        }
        let Some((a, b, rank, scale)) = slots.lora(projection) else {
            return Ok(y);
        };
        let (a, b) = (self.slot(a, &[rank, cols])?, self.slot(b, &[out, rank])?);
        let x = match self.plain.dropout {
            None => x.clone(),
            Some(dropout) => {
                let ones = vec![1f32; x.elem_count()];
                let mask = dropout.at(self.index, projection).apply(&ones);
                (x * Tensor::from_vec(mask, x.shape(), base.device())?)?
            }
        };
        let down = product(&x, &a, base.dtype())?;
        y + (product(&down, &b, base.dtype())? * f64::from(scale))?
    }

    /// Attention of rows that lie one after another; (tokens, heads, head size) each.
    fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor, lengths: &[usize]) -> Result<Tensor> {
        let mut first = 0;
        let mut outs = Vec::new();
        for group in lengths.chunk_by(|a, b| a == b) {
            let (rows, length) = (group.len(), group[0]);
            let own = |x: &Tensor| x.narrow(0, first, rows * length);
            outs.push(self.attend_rows(&own(q)?, &own(k)?, &own(v)?, rows, length)?);
            first += rows * length;
        }
        Tensor::cat(&outs, 0)
    }

    fn attend_rows(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        rows: usize,
        n: usize,
    ) -> Result<Tensor> {
        let base = self.plain.base;
        let a = base.architecture();
        let (heads, shared, dim) = (a.query_heads, a.key_heads, a.head_dim);
        let local = a.windows[self.index].is_some() && a.local_rope.is_some();
        let (cos, sin) = &base.angles()?.0[usize::from(local)];
        let (cos, sin) = (cos.narrow(0, 0, n)?, sin.narrow(0, 0, n)?);
        // (rows, heads, n, dim)
        let split = |x: &Tensor, count| x.reshape((rows, n, count, dim))?.transpose(1, 2);
        let turn = |x: &Tensor| -> Result<Tensor> {
            let half = dim / 2;
            let (low, high) = (x.narrow(3, 0, half)?, x.narrow(3, half, half)?);
            let turned = Tensor::cat(&[&high.neg()?, &low], 3)?;
            x.broadcast_mul(&cos)? + turned.broadcast_mul(&sin)?
        };
        let spread = |x: Tensor| -> Result<Tensor> {
            let wide = (rows, shared, heads / shared, n, dim);
            x.unsqueeze(2)?
                .broadcast_as(wide)?
                .reshape((rows, heads, n, dim))
        };
        let q = (turn(&split(q, heads)?)? * f64::from(a.score_scale))?;
        let k = spread(turn(&split(k, shared)?)?)?;
        let v = spread(split(v, shared)?.contiguous()?)?;
        let dtype = base.dtype();
        let as_product = |x: Tensor| x.to_dtype(dtype)?.contiguous();
        let (q, k, v) = (as_product(q)?, as_product(k)?, as_product(v)?);
        let scores = q.matmul(&k.t()?.contiguous()?)?.to_dtype(DType::F32)?;
        let scores = capped(&scores, a.score_cap)?.broadcast_add(&mask(
            n,
            a.windows[self.index],
            base.device(),
        )?)?;
        let p = softmax(&scores, D::Minus1)?.to_dtype(dtype)?;
        let out = p.matmul(&v)?.to_dtype(DType::F32)?;
        out.transpose(1, 2)?.reshape((rows * n, heads * dim))
    }
}

/// 0 where a query sees a key, -∞ elsewhere.
fn mask(n: usize, window: Option<usize>, device: &Device) -> Result<Tensor> {
    let seen = |at: usize| {
        let (query, key) = (at / n, at % n);
        key <= query && window.is_none_or(|window| query - key < window)
    };
    let mask = (0..n * n).map(|at| if seen(at) { 0.0 } else { f32::NEG_INFINITY });
    Tensor::from_vec(mask.collect::<Vec<f32>>(), (n, n), device)
}

fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    let mean = x.sqr()?.mean_keepdim(D::Minus1)?;
    let root = (mean + f64::from(eps))?.sqrt()?;
    x.broadcast_div(&root)?.broadcast_mul(weight)
}

fn capped(x: &Tensor, cap: Option<f32>) -> Result<Tensor> {
    match cap {
        None => Ok(x.clone()),
        Some(cap) => (x / f64::from(cap))?.tanh()? * f64::from(cap),
    }
}

/// By way of tanh, whose derivative has no ∞ in it.
fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    let sigmoid = |x: &Tensor| ((x * 0.5)?.tanh()? * 0.5)? + 0.5;
    match activation {
        Activation::Silu => x * sigmoid(x)?,
        Activation::GeluTanh => {
            let inner = ((x.sqr()? * 0.044_715)? + 1.0)?;
            x * sigmoid(&((x * inner)? * 1.595_769_121_605_730_8)?)?
        }
    }
}

/// x·Wᵀ, both of which get gradients.
fn product(x: &Tensor, w: &Tensor, dtype: DType) -> Result<Tensor> {
    let w = w.to_dtype(dtype)?.t()?;
    x.to_dtype(dtype)?.matmul(&w)?.to_dtype(DType::F32)
}

/// x·Wᵀ, of which only x gets a gradient: candle's own product would compute one of W, too.
pub(crate) fn frozen(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let x = x.to_dtype(weight.dtype())?.contiguous()?;
    let op = Frozen {
        weight: weight.clone(),
    };
    x.apply_op1(op)?.to_dtype(DType::F32)
}

struct Frozen {
    /// (out, in)
    weight: Tensor,
}

impl Frozen {
    fn sizes(&self, layout: &Layout) -> Result<(usize, usize, usize, Layout)> {
        let (rows, cols) = layout.shape().dims2()?;
        let (out, width) = self.weight.dims2()?;
        if cols != width {
            bail!("a product of {cols} columns with {width}");
        }
        let turned = self.weight.layout().transpose(0, 1)?;
        Ok((rows, out, cols, turned))
    }
}

impl CustomOp1 for Frozen {
    fn name(&self) -> &'static str {
        "frozen-linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, out, cols, turned) = self.sizes(layout)?;
        match &*self.weight.storage_and_layout().0 {
            Storage::Cpu(w) => {
                let y = x.matmul(w, (1, rows, out, cols), layout, &turned)?;
                Ok((y, Shape::from((rows, out))))
            }
            _ => bail!("the weight is not where the activations are"),
        }
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (rows, out, cols, turned) = self.sizes(layout)?;
        match &*self.weight.storage_and_layout().0 {
            Storage::Cuda(w) => {
                let y = x.matmul(w, (1, rows, out, cols), layout, &turned)?;
                Ok((y, Shape::from((rows, out))))
            }
            _ => bail!("the weight is not where the activations are"),
        }
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(g.contiguous()?.matmul(&self.weight)?))
    }
}

/// The message of an operation that cannot be done where a tensor lies.
pub(crate) fn elsewhere() -> Error {
    Error::Msg("a weight of this form is not on a device".into())
}
