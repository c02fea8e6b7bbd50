//! Frozen matrices as they lie in memory: f32, bf16, or quantised blocks that are only ever dequantised a
//! tile at a time.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{CpuStorage, DType, Device, Storage, Tensor};
use half::bf16;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::kernels::bf16::{Blocks, Panels, Side, product, to_bf16};
use crate::kernels::{Lay, matmul};
use crate::nf4::Nf4;
use crate::plain::{elsewhere, frozen};

/// Rows that are dequantised at a time by one thread.
const TILE: usize = 64;
/// Scalars of the tiles that one product works on at a time.
const SCALARS: usize = 1 << 20;

/// How a frozen matrix is kept in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantize {
    /// 8.5 bits a weight: blocks of 32.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// 4.5 bits a weight: blocks of 256, or `q5_0` (5.5 bits) where rows are no multiple of that.
    #[serde(rename = "q4_k")]
    Q4K,
    /// 4.5 bits a weight: blocks of 64 on the quantiles of a normal distribution (Dettmers et al. 2023).
    Nf4,
    /// 32 bits a weight, whatever the file holds.
    None,
}

/// A frozen (out, in) matrix. Cloning shares the values.
#[derive(Clone)]
pub(crate) struct Weight {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    store: Store,
}

#[derive(Clone)]
enum Store {
    F32(Arc<Vec<f32>>),
    Bf16(Arc<Vec<bf16>>),
    /// `TILE` rows each; the last may have fewer.
    Blocks(Arc<Vec<QTensor>>),
    Nf4(Arc<Nf4>),
    /// (rows, cols) in a device's memory.
    Device(Tensor),
}

impl Weight {
    /// (rows, cols) scalars, row by row.
    pub(crate) fn new(rows: usize, cols: usize, values: Vec<f32>) -> Self {
        let store = Store::F32(Arc::new(values));
        Self { rows, cols, store }
    }

    /// The same rounded to bf16.
    pub(crate) fn new_bf16(rows: usize, cols: usize, values: &[f32]) -> Self {
        let store = Store::Bf16(Arc::new(to_bf16(values)));
        Self { rows, cols, store }
    }

    /// GGUF blocks as they lie in a file; a row is a whole number of them.
    pub(crate) fn blocks(rows: usize, cols: usize, kind: GgmlDType, bytes: &[u8]) -> Result<Self> {
        ensure!(
            cols.is_multiple_of(kind.block_size()),
            "rows of {cols} are no multiple of {kind:?}'s block of {}",
            kind.block_size()
        );
        let row = cols / kind.block_size() * kind.type_size();
        ensure!(
            bytes.len() == rows * row,
            "{} bytes for {rows} rows of {row}",
            bytes.len()
        );
        let tiles = bytes.chunks(TILE * row).map(|bytes| {
            let storage = QStorage::from_data(Cow::Borrowed(bytes), &Device::Cpu, kind)?;
            QTensor::new(storage, (bytes.len() / row, cols))
        });
        let tiles = tiles.collect::<candle_core::Result<Vec<_>>>()?;
        let store = Store::Blocks(Arc::new(tiles));
        Ok(Self { rows, cols, store })
    }

    /// `values` in another form; says in which, which is not the wanted one where rows do not allow it.
    pub(crate) fn quantised(
        rows: usize,
        cols: usize,
        values: Vec<f32>,
        form: Quantize,
    ) -> Result<Self> {
        let kind = match form {
            Quantize::None => return Ok(Self::new(rows, cols, values)),
            Quantize::Nf4 => {
                let store = Store::Nf4(Arc::new(Nf4::new(&values)));
                return Ok(Self { rows, cols, store });
            }
            Quantize::Q8_0 => GgmlDType::Q8_0,
            // As llama.cpp does.
            Quantize::Q4K if !cols.is_multiple_of(256) => GgmlDType::Q5_0,
            Quantize::Q4K => GgmlDType::Q4K,
        };
        ensure!(
            cols.is_multiple_of(kind.block_size()),
            "rows of {cols} cannot be quantised: {kind:?} needs a multiple of {}",
            kind.block_size()
        );
        let tiles: Vec<&[f32]> = values.chunks(TILE * cols).collect();
        let tiles = tiles.into_par_iter().map(|tile| {
            let tensor = Tensor::from_slice(tile, (tile.len() / cols, cols), &Device::Cpu)?;
            QTensor::quantize(&tensor, kind)
        });
        let tiles = tiles
            .collect::<candle_core::Result<Vec<_>>>()
            .context("quantising")?;
        let store = Store::Blocks(Arc::new(tiles));
        Ok(Self { rows, cols, store })
    }

    /// The same values in a device's memory.
    pub(crate) fn moved(&self, device: &Device, dtype: DType) -> Result<Self> {
        let mut values = vec![0f32; self.rows * self.cols];
        self.for_blocks(|rows, block| {
            values[rows.start * self.cols..rows.end * self.cols].copy_from_slice(block);
        });
        let tensor = Tensor::from_vec(values, (self.rows, self.cols), &Device::Cpu)?;
        let store = Store::Device(tensor.to_dtype(dtype)?.to_device(device)?);
        Ok(Self {
            store,
            ..self.clone()
        })
    }

    /// The tensor, where it is in a device's memory.
    pub(crate) fn on_device(&self) -> candle_core::Result<&Tensor> {
        match &self.store {
            Store::Device(tensor) => Ok(tensor),
            _ => Err(elsewhere()),
        }
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        match &self.store {
            Store::F32(values) => 4 * values.len(),
            Store::Bf16(values) => 2 * values.len(),
            Store::Blocks(tiles) => tiles.iter().map(QTensor::storage_size_in_bytes).sum(),
            Store::Nf4(own) => own.bytes(),
            Store::Device(tensor) => tensor.elem_count() * tensor.dtype().size_in_bytes(),
        }
    }

    /// All values, if they are f32 already.
    pub(crate) fn values(&self) -> Option<&[f32]> {
        match &self.store {
            Store::F32(values) => Some(values),
            _ => None,
        }
    }

    /// Writes some rows as f32, on this thread.
    fn write_rows(&self, rows: Range<usize>, out: &mut [f32]) {
        let scalars = rows.start * self.cols..rows.end * self.cols;
        match &self.store {
            Store::F32(values) => out.copy_from_slice(&values[scalars]),
            Store::Bf16(values) => {
                for (out, value) in out.iter_mut().zip(&values[scalars]) {
                    *out = value.to_f32();
                }
            }
            Store::Blocks(tiles) => {
                let mut row = rows.start;
                let mut out = out;
                while row < rows.end {
                    let (tile, first) = (row / TILE, row % TILE);
                    let count = (rows.end - row).min(TILE - first);
                    let (now, rest) = out.split_at_mut(count * self.cols);
                    let own = first * self.cols..(first + count) * self.cols;
                    dequantised(&tiles[tile], |values| now.copy_from_slice(&values[own]));
                    (row, out) = (row + count, rest);
                }
            }
            Store::Nf4(own) => own.write(scalars, out),
            Store::Device(tensor) => {
                let own = tensor
                    .narrow(0, rows.start, rows.len())
                    .and_then(|own| own.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>());
                out.copy_from_slice(&own.expect("rows of a tensor can be fetched from its device"));
            }
        }
    }

    /// Rows of a table.
    pub(crate) fn write_picked(&self, ids: &[u32], out: &mut [f32]) {
        if let Store::Device(tensor) = &self.store {
            let own = Tensor::new(ids, tensor.device())
                .and_then(|ids| tensor.index_select(&ids, 0)?.to_dtype(DType::F32))
                .and_then(|own| own.flatten_all()?.to_vec1::<f32>());
            out.copy_from_slice(&own.expect("rows of a tensor can be fetched from its device"));
            return;
        }
        for (id, out) in ids.iter().zip(out.chunks_exact_mut(self.cols)) {
            self.write_row(*id as usize, out);
        }
    }

    /// One row, e.g. of an embedding.
    fn write_row(&self, row: usize, out: &mut [f32]) {
        match &self.store {
            Store::Blocks(tiles) if self.rows > 0 => {
                // A whole tile would be dequantised for one row of it.
                dequantised_row(&tiles[row / TILE], row % TILE, |row| {
                    out.copy_from_slice(row)
                });
            }
            _ => self.write_rows(row..row + 1, out),
        }
    }

    /// Runs `work` on blocks of whole rows in order, as f32; the values as they are where they are that.
    pub(crate) fn for_blocks(&self, mut work: impl FnMut(Range<usize>, &[f32])) {
        if let Some(values) = self.values() {
            return work(0..self.rows, values);
        }
        let rows = (SCALARS / self.cols.max(1))
            .next_multiple_of(TILE)
            .max(TILE);
        let mut buffer = vec![0f32; rows.min(self.rows) * self.cols];
        for first in (0..self.rows).step_by(rows) {
            let block = first..(first + rows).min(self.rows);
            let buffer = &mut buffer[..block.len() * self.cols];
            let tiles = buffer.par_chunks_mut(TILE * self.cols).enumerate();
            tiles.for_each(|(tile, out)| {
                let first = first + tile * TILE;
                self.write_rows(first..first + out.len() / self.cols, out);
            });
            work(block, buffer);
        }
    }

    /// y = x·Wᵀ for `x` of `n` rows.
    pub(crate) fn forward(&self, y: &mut [f32], x: &[f32], n: usize) {
        if let Store::Device(tensor) = &self.store {
            let x = Tensor::from_slice(x, (n, self.cols), tensor.device());
            let own = x.and_then(|x| frozen(&x, tensor)?.flatten_all()?.to_vec1::<f32>());
            y.copy_from_slice(
                &own.expect("a product of factors that fit can be had from a device"),
            );
            return;
        }
        self.for_blocks(|rows, w| {
            let block = Lay::rows(rows.len(), self.cols);
            let out = Lay::strided(n, rows.len(), self.rows);
            let y = &mut y[rows.start..];
            let x = (x, Lay::rows(n, self.cols));
            matmul((y, out), false, 1.0, x, (w, block.transposed()));
        });
    }

    /// dx (+)= g·W for `g` of `n` rows.
    pub(crate) fn backward(&self, dx: &mut [f32], accumulate: bool, g: &[f32], n: usize) {
        self.for_blocks(|rows, w| {
            let accumulate = accumulate || rows.start > 0;
            let (start, block) = (rows.start, Lay::rows(rows.len(), self.cols));
            let g = (&g[start..], Lay::strided(n, rows.len(), self.rows));
            matmul(
                (dx, Lay::rows(n, self.cols)),
                accumulate,
                1.0,
                g,
                (w, block),
            );
        });
    }
}

impl Weight {
    /// Runs `work` on blocks of whole rows in order, rounded to bf16.
    fn for_rounded_blocks(&self, mut work: impl FnMut(Range<usize>, &[bf16])) {
        let rows = (SCALARS / self.cols.max(1))
            .next_multiple_of(TILE)
            .max(TILE);
        match &self.store {
            Store::Bf16(values) => {
                for first in (0..self.rows).step_by(rows) {
                    let block = first..(first + rows).min(self.rows);
                    let own = &values[block.start * self.cols..block.end * self.cols];
                    work(block, own);
                }
            }
            _ => self.for_blocks(|block, values| work(block, &to_bf16(values))),
        }
    }

    /// [`Self::forward`] with both factors rounded to bf16.
    pub(crate) fn forward_rounded(&self, y: &mut [f32], x: &[f32], n: usize) {
        let x = Blocks::new(x, n, self.cols, self.cols);
        self.for_rounded_blocks(|rows, w| {
            let w = Panels::new(w, rows.len(), self.cols, Side::Transposed);
            product(y, self.rows, rows.start, false, &x, &w);
        });
    }

    /// [`Self::backward`] with both factors rounded to bf16.
    pub(crate) fn backward_rounded(&self, dx: &mut [f32], accumulate: bool, g: &[f32], n: usize) {
        self.for_rounded_blocks(|rows, w| {
            let accumulate = accumulate || rows.start > 0;
            let g = Blocks::new(&g[rows.start..], n, rows.len(), self.rows);
            let w = Panels::new(w, rows.len(), self.cols, Side::Plain);
            product(dx, self.cols, 0, accumulate, &g, &w);
        });
    }
}

/// Runs `work` on a tile's values.
fn dequantised(tile: &QTensor, work: impl FnOnce(&[f32])) {
    let tensor = tile.dequantize(&Device::Cpu);
    let tensor = tensor.expect("blocks on the CPU, of a kind that was checked before, dequantise");
    match &*tensor.storage_and_layout().0 {
        Storage::Cpu(CpuStorage::F32(values)) => work(values),
        _ => unreachable!("what is dequantised on the CPU is f32 on the CPU"),
    }
}

/// Runs `work` on one row of a tile.
fn dequantised_row(tile: &QTensor, row: usize, work: impl FnOnce(&[f32])) {
    let cols = tile.shape().dims()[1];
    let kind = tile.dtype();
    let bytes = cols / kind.block_size() * kind.type_size();
    let data = tile
        .data()
        .expect("blocks on the CPU have their bytes at hand");
    let own = Cow::Borrowed(&data[row * bytes..(row + 1) * bytes]);
    let row = QStorage::from_data(own, &Device::Cpu, kind)
        .and_then(|storage| QTensor::new(storage, (1, cols)));
    dequantised(&row.expect("a row is a whole number of blocks"), work);
}

impl std::fmt::Debug for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let form = match &self.store {
            Store::F32(_) => "f32".to_owned(),
            Store::Bf16(_) => "bf16".to_owned(),
            Store::Blocks(tiles) => format!("{:?}", tiles.first().map(QTensor::dtype)),
            Store::Nf4(_) => "nf4".to_owned(),
            Store::Device(tensor) => format!("{:?} on a device", tensor.dtype()),
        };
        write!(f, "Weight({} x {}, {form})", self.rows, self.cols)
    }
}
