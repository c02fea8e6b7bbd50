//! A decoder layer, the embedding and the loss as candle operations that have a gradient: candle chains
//! them and carries the gradient back. Activations are (tokens, hidden), f32, CPU.
//!
//! candle's own `rms_norm`, `softmax_last_dim` and `rope` drop gradients without an error, its product
//! computes a gradient for frozen weights too, and every gradient that passes between two of its
//! operations is copied into a sum; hence whole layers.

use std::sync::{Arc, Mutex, MutexGuard};

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Device, Error, Layout, Result, Shape, Storage,
    Tensor, bail,
};

use crate::base::Base;
use crate::dropout::Dropout;
use crate::head::{Head, Outcome, Tables};
use crate::layer::{Saved, Site, Slots};

/// What the layers of one pass share.
#[derive(Clone)]
pub(crate) struct Pass {
    pub(crate) base: Arc<Base>,
    pub(crate) slots: Arc<Vec<Slots>>,
    /// Tokens of each row.
    pub(crate) lengths: Arc<Vec<usize>>,
    pub(crate) dropout: Option<Dropout>,
    /// Whether layers run again in the backward pass, so that only their inputs are kept.
    pub(crate) recompute: bool,
    /// The first layer whose input needs a gradient.
    pub(crate) first_wanted: usize,
    /// Whether there will be a backward pass.
    pub(crate) learning: bool,
}

impl Pass {
    /// Layer `index` on x, with what it learns as one flat tensor.
    pub(crate) fn layer(&self, x: &Tensor, learnt: &Tensor, index: usize) -> Result<Tensor> {
        let op = LayerOp {
            pass: self.clone(),
            index,
            saved: Mutex::new(None),
        };
        match self.learning {
            true => x.apply_op2(learnt, op),
            false => x.apply_op2_no_bwd(learnt, &op),
        }
    }
}

/// Embeddings of `ids` from the table (vocabulary · hidden), scaled.
pub(crate) fn embed(table: &Tensor, ids: &[u32], hidden: usize, scale: f32) -> Result<Tensor> {
    table.apply_op1(EmbedOp {
        ids: ids.to_vec(),
        hidden,
        scale,
    })
}

/// The loss of `head` at x, (targets, hidden); what else came of it goes to `outcome`. `learnt`: the
/// output table and the norm before it, where they learn.
pub(crate) fn loss(
    x: &Tensor,
    learnt: Option<(&Tensor, &Tensor)>,
    head: Head,
    outcome: &Arc<Mutex<Option<Outcome>>>,
) -> Result<Tensor> {
    let op = LossOp {
        head,
        outcome: outcome.clone(),
        gradient: Mutex::new(None),
    };
    match learnt {
        None => x.apply_op1(op),
        Some((table, norm)) => x.apply_op3(table, norm, op),
    }
}

struct LayerOp {
    pass: Pass,
    index: usize,
    saved: Mutex<Option<Saved>>,
}

impl LayerOp {
    fn site<'a>(&'a self, learnt: &'a [f32]) -> Site<'a> {
        Site {
            base: &self.pass.base,
            index: self.index,
            trained: Some((&self.pass.slots[self.index], learnt)),
            dropout: self.pass.dropout,
        }
    }
}

impl CustomOp2 for LayerOp {
    fn name(&self) -> &'static str {
        "decoder-layer"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        learnt: &CpuStorage,
        learnt_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, learnt) = (slice(x, x_layout)?, slice(learnt, learnt_layout)?);
        let (y, saved) = self.site(learnt).forward(x, &self.pass.lengths);
        if self.pass.learning && !self.pass.recompute {
            *open(&self.saved)? = Some(saved);
        }
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        learnt: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let saved = open(&self.saved)?.take();
        let lengths = &self.pass.lengths;
        let wanted = self.index >= self.pass.first_wanted;
        let (dx, own) = with(x, |x_values| {
            with(learnt, |learnt| {
                let site = self.site(learnt);
                let saved = match saved {
                    Some(saved) => saved,
                    None if self.pass.recompute => site.forward(x_values, lengths).1,
                    None => bail!("decoder layer: backward without forward, or twice"),
                };
                with(g, |g| {
                    Ok(site.backward(&saved, x_values, g, lengths, wanted))
                })
            })
        })?;
        let dx = dx.filter(|_| wanted).map(|dx| tensor(dx, x)).transpose()?;
        Ok((dx, Some(tensor(own, learnt)?)))
    }
}

struct EmbedOp {
    ids: Vec<u32>,
    hidden: usize,
    scale: f32,
}

impl CustomOp1 for EmbedOp {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn cpu_fwd(&self, table: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let table = slice(table, layout)?;
        let mut x = Vec::with_capacity(self.ids.len() * self.hidden);
        for id in &self.ids {
            let row = &table[*id as usize * self.hidden..(*id as usize + 1) * self.hidden];
            x.extend(row.iter().map(|value| value * self.scale));
        }
        Ok((
            CpuStorage::F32(x),
            Shape::from((self.ids.len(), self.hidden)),
        ))
    }

    fn bwd(&self, table: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let mut own = vec![0f32; table.elem_count()];
        with(g, |g| {
            for (id, g) in self.ids.iter().zip(g.chunks_exact(self.hidden)) {
                let row = &mut own[*id as usize * self.hidden..(*id as usize + 1) * self.hidden];
                for (own, g) in row.iter_mut().zip(g) {
                    *own += g * self.scale;
                }
            }
            Ok(())
        })?;
        Ok(Some(tensor(own, table)?))
    }
}

/// The gradient is computed along with the loss, since both need the same probabilities.
struct LossOp {
    head: Head,
    outcome: Arc<Mutex<Option<Outcome>>>,
    gradient: Mutex<Option<Gradient>>,
}

struct Gradient {
    x: Vec<f32>,
    /// Of the table and of the norm.
    learnt: Option<Tables>,
}

impl LossOp {
    fn forward(&self, x: &[f32], learnt: Option<(&[f32], &[f32])>) -> Result<(CpuStorage, Shape)> {
        let (mut outcome, learnt) = self.head.run(x, learnt);
        let gradient = Gradient {
            x: std::mem::take(&mut outcome.gradient),
            learnt,
        };
        let loss = outcome.loss as f32;
        *open(&self.gradient)? = Some(gradient);
        *open(&self.outcome)? = Some(outcome);
        Ok((CpuStorage::F32(vec![loss]), Shape::from(())))
    }

    fn gradient(&self, g: &Tensor) -> Result<Gradient> {
        let Some(mut own) = open(&self.gradient)?.take() else {
            bail!("loss: backward without forward, or twice");
        };
        let scale = g.to_scalar::<f32>()?;
        if scale != 1.0 {
            let learnt = own
                .learnt
                .iter_mut()
                .flat_map(|(table, norm)| [table, norm]);
            for values in std::iter::once(&mut own.x).chain(learnt) {
                values.iter_mut().for_each(|x| *x *= scale);
            }
        }
        Ok(own)
    }
}

impl CustomOp1 for LossOp {
    fn name(&self) -> &'static str {
        "loss"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward(slice(x, layout)?, None)
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(tensor(self.gradient(g)?.x, x)?))
    }
}

impl CustomOp3 for LossOp {
    fn name(&self) -> &'static str {
        "loss"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        table: &CpuStorage,
        table_layout: &Layout,
        norm: &CpuStorage,
        norm_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let learnt = (slice(table, table_layout)?, slice(norm, norm_layout)?);
        self.forward(slice(x, x_layout)?, Some(learnt))
    }

    fn bwd(
        &self,
        x: &Tensor,
        table: &Tensor,
        norm: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let own = self.gradient(g)?;
        let Some((own_table, own_norm)) = own.learnt else {
            bail!("loss: the output table has no gradient");
        };
        Ok((
            Some(tensor(own.x, x)?),
            Some(tensor(own_table, table)?),
            Some(tensor(own_norm, norm)?),
        ))
    }
}

pub(crate) fn open<T>(lock: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    lock.lock()
        .map_err(|_| Error::Msg("a thread panicked in this operation".into()))
}

fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let all = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&all[from..to]),
        None => bail!("activations lie one after another, got {layout:?}"),
    }
}

fn with<R>(tensor: &Tensor, run: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => run(slice(storage, layout)?),
        _ => bail!("this operation runs on the CPU"),
    }
}

fn tensor(values: Vec<f32>, like: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(values, like.shape(), &Device::Cpu)
}
