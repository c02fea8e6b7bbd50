//! Where the scalars of evaluated parameters lie: in memory, or in a mapped safetensors file.

use std::ops::Range;
use std::sync::Arc;

use half::{bf16, f16};
use memmap2::Mmap;

use crate::Structure;
use crate::buffer::Buffer;

/// Scalars that need no evaluation.
#[derive(Clone)]
pub(crate) enum Source {
    Memory(Arc<Buffer>),
    File(Arc<Mapped>),
}

/// Tensors of a mapped file.
pub(crate) struct Mapped {
    pub(crate) map: Arc<Mmap>,
    /// In storage order, neighbours joined where the file has them side by side.
    pieces: Vec<Piece>,
}

/// How a file stores a scalar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stored {
    F32,
    F16,
    Bf16,
}

impl Stored {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// Scalars that lie one after another in a file.
#[derive(Clone, Debug)]
struct Piece {
    /// Which scalars of the parameters.
    flat: Range<usize>,
    /// Where the first starts in the file.
    byte: usize,
    stored: Stored,
}

impl Mapped {
    /// `places`: for each tensor of `structure` in order, where it starts in the file and how it is stored.
    /// The caller has checked that each lies inside of the map.
    pub(crate) fn new(map: Arc<Mmap>, structure: &Structure, places: &[(usize, Stored)]) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for (tensor, &(byte, stored)) in structure.tensors().iter().zip(places) {
            let flat = tensor.range();
            match pieces.last_mut() {
                Some(last)
                    if last.stored == stored
                        && last.byte + last.flat.len() * stored.bytes() == byte =>
                {
                    last.flat.end = flat.end;
                }
                _ => pieces.push(Piece { flat, byte, stored }),
            }
        }
        Self { map, pieces }
    }

    /// The piece that holds scalar `flat`.
    fn piece(&self, flat: usize) -> &Piece {
        let index = self.pieces.partition_point(|piece| piece.flat.end <= flat);
        &self.pieces[index.min(self.pieces.len() - 1)]
    }

    fn bytes(&self, piece: &Piece, range: &Range<usize>) -> &[u8] {
        let size = piece.stored.bytes();
        let start = piece.byte + (range.start - piece.flat.start) * size;
        &self.map[start..start + range.len() * size]
    }
}

impl Source {
    /// First scalar after `flat` that does not lie beside its predecessor.
    pub(crate) fn contiguous_until(&self, flat: usize) -> usize {
        match self {
            Self::Memory(_) => usize::MAX,
            Self::File(file) => file.piece(flat).flat.end,
        }
    }

    /// Whether the scalars around `flat` can be read in place.
    pub(crate) fn is_direct(&self, flat: usize) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::File(file) => {
                let piece = file.piece(flat);
                piece.stored == Stored::F32
                    && bytemuck::try_cast_slice::<u8, f32>(file.bytes(piece, &piece.flat)).is_ok()
            }
        }
    }

    /// Scalars in place; `None` where they must be loaded.
    pub(crate) fn direct(&self, range: Range<usize>) -> Option<&[f32]> {
        match self {
            Self::Memory(buffer) => buffer.as_slice().get(range),
            Self::File(file) => {
                let piece = file.piece(range.start);
                let whole = piece.stored == Stored::F32 && range.end <= piece.flat.end;
                match whole {
                    true => bytemuck::try_cast_slice(file.bytes(piece, &range)).ok(),
                    false => None,
                }
            }
        }
    }

    /// Asks the processor to have scalars at hand soon. Rows of many inputs are read in turn, which is more
    /// streams than it recognises by itself: half of the time of a weighted sum without this.
    #[inline]
    pub(crate) fn prefetch(&self, range: Range<usize>) {
        #[cfg(target_arch = "x86_64")]
        if let Some(values) = self.direct(range) {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            for line in values.chunks(16) {
                // SAFETY: a prefetch reads nothing that the program could see, and the address is valid.
                #[allow(unsafe_code, reason = "the only way to prefetch")]
                unsafe {
                    _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
                }
            }
        }
    }

    /// Copies scalars from `flat` on, as f32.
    pub(crate) fn load(&self, mut flat: usize, mut out: &mut [f32]) {
        let Self::File(file) = self else {
            if let Some(values) = self.direct(flat..flat + out.len()) {
                out.copy_from_slice(values);
            }
            return;
        };
        while !out.is_empty() {
            let piece = file.piece(flat);
            let count = out.len().min(piece.flat.end - flat);
            let (now, rest) = out.split_at_mut(count);
            let bytes = file.bytes(piece, &(flat..flat + count));
            match piece.stored {
                Stored::F32 => {
                    for (out, b) in now.iter_mut().zip(bytes.chunks_exact(4)) {
                        *out = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
                    }
                }
                Stored::F16 => {
                    for (out, b) in now.iter_mut().zip(bytes.chunks_exact(2)) {
                        *out = f16::from_le_bytes([b[0], b[1]]).to_f32();
                    }
                }
                Stored::Bf16 => {
                    for (out, b) in now.iter_mut().zip(bytes.chunks_exact(2)) {
                        *out = bf16::from_le_bytes([b[0], b[1]]).to_f32();
                    }
                }
            }
            (flat, out) = (flat + count, rest);
        }
    }
}
