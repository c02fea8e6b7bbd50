//! A decoder layer and the loss as candle operations that have a gradient: candle chains them and
//! carries the gradient back. Activations are (tokens, hidden), f32, CPU.
//!
//! candle's own `rms_norm`, `softmax_last_dim` and `rope` drop gradients without an error, its product
//! computes a gradient for frozen weights too, and every gradient that passes between two of its
//! operations is copied into a sum; hence whole layers.

use std::sync::{Arc, Mutex, MutexGuard};

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, Device, Error, Layout, Result, Shape, Storage, Tensor, bail,
};

use crate::base::{Base, Matrix};
use crate::kernels::{Lay, cross_entropy_row, matmul, rms_norm, rms_norm_backward};
use crate::layer::{Saved, Site, Slots};

/// Layer `index` of `base` on x, with the adapter scalars that `slots` describe, as one flat tensor.
pub(crate) fn layer(
    x: &Tensor,
    adapter: &Tensor,
    base: &Arc<Base>,
    index: usize,
    slots: Slots,
    lengths: &Arc<Vec<usize>>,
) -> Result<Tensor> {
    x.apply_op2(
        adapter,
        LayerOp {
            base: base.clone(),
            index,
            slots,
            lengths: lengths.clone(),
            // Embeddings do not learn, so neither does anything below the first layer.
            wanted: index > 0,
            saved: Mutex::new(None),
        },
    )
}

/// Mean cross-entropy of norm(x)·headᵀ against `targets`; x: (targets, hidden).
pub(crate) fn mean_cross_entropy(x: &Tensor, base: &Base, targets: &[u32]) -> Result<Tensor> {
    x.apply_op1(LossOp {
        norm: base.norm.clone(),
        eps: base.architecture().rms_eps,
        head: base.head().clone(),
        targets: targets.to_vec(),
        gradient: Mutex::new(None),
    })
}

struct LayerOp {
    base: Arc<Base>,
    index: usize,
    slots: Slots,
    lengths: Arc<Vec<usize>>,
    wanted: bool,
    saved: Mutex<Option<Saved>>,
}

impl LayerOp {
    fn site<'a>(&'a self, adapter: &'a [f32]) -> Site<'a> {
        Site {
            base: &self.base,
            layer: &self.base.layers[self.index],
            adapter: Some((&self.slots, adapter)),
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
        adapter: &CpuStorage,
        adapter_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, adapter) = (slice(x, x_layout)?, slice(adapter, adapter_layout)?);
        let (y, saved) = self.site(adapter).forward(x, &self.lengths);
        *open(&self.saved)? = Some(saved);
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        adapter: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(saved) = open(&self.saved)?.take() else {
            bail!("decoder layer: backward without forward, or twice");
        };
        let (dx, own) = with(adapter, |adapter| {
            with(g, |g| {
                Ok(self
                    .site(adapter)
                    .backward(&saved, g, &self.lengths, self.wanted))
            })
        })?;
        let dx = dx.map(|dx| tensor(dx, x)).transpose()?;
        Ok((dx, Some(tensor(own, adapter)?)))
    }
}

/// Logits exist for a block of rows at a time; the gradient is computed along with the loss, since
/// both need the same probabilities.
struct LossOp {
    norm: Matrix,
    eps: f32,
    head: Matrix,
    targets: Vec<u32>,
    gradient: Mutex<Option<Vec<f32>>>,
}

impl CustomOp1 for LossOp {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        const ROWS: usize = 128;
        let (vocabulary, hidden) = (self.head.rows, self.head.cols);
        let x = slice(x, layout)?;
        let rows = self.targets.len();
        if x.len() != rows * hidden {
            bail!(
                "cross-entropy: {} scalars for {rows} targets of {hidden}",
                x.len()
            );
        }
        let mut h = vec![0f32; x.len()];
        rms_norm(&mut h, x, &self.norm.values, self.eps);
        let weight = 1.0 / rows as f32;
        let mut dh = vec![0f32; x.len()];
        let mut logits = vec![0f32; ROWS.min(rows) * vocabulary];
        let mut sum = 0f64;
        for first in (0..rows).step_by(ROWS) {
            let block = ROWS.min(rows - first);
            let own = first * hidden..(first + block) * hidden;
            let (narrow, wide) = (Lay::rows(block, hidden), Lay::rows(block, vocabulary));
            let head = (&self.head.values[..], self.head.lay());
            let turned = (head.0, head.1.transposed());
            matmul(
                (&mut logits, wide),
                false,
                1.0,
                (&h[own.clone()], narrow),
                turned,
            );
            let targets = &self.targets[first..first + block];
            for (row, target) in logits.chunks_exact_mut(vocabulary).zip(targets) {
                sum += cross_entropy_row(row, *target as usize, weight);
            }
            matmul((&mut dh[own], narrow), false, 1.0, (&logits, wide), head);
        }
        let mut dx = vec![0f32; x.len()];
        rms_norm_backward(&mut dx, &dh, x, &self.norm.values, self.eps);
        *open(&self.gradient)? = Some(dx);
        let loss = (sum / rows as f64) as f32;
        Ok((CpuStorage::F32(vec![loss]), Shape::from(())))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let Some(mut dx) = open(&self.gradient)?.take() else {
            bail!("cross-entropy: backward without forward, or twice");
        };
        let scale = g.to_scalar::<f32>()?;
        if scale != 1.0 {
            dx.iter_mut().for_each(|x| *x *= scale);
        }
        Ok(Some(tensor(dx, x)?))
    }
}

fn open<T>(lock: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
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
        _ => bail!("training runs on the CPU"),
    }
}

fn tensor(values: Vec<f32>, like: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(values, like.shape(), &Device::Cpu)
}
