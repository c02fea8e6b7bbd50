//! Parameters as safetensors files, the format that PEFT and everyone else reads.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};

use crate::source::{Mapped, Source, Stored};
use crate::{Params, ParamsError, Structure};

impl Params {
    /// The bytes of a safetensors file that holds these tensors as f32. Equal parameters give equal bytes.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, ParamsError> {
        let mut bytes = Vec::with_capacity(self.count() * 4);
        for value in self.values() {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        let tensors = self.structure().tensors().iter();
        let views = tensors.map(|tensor| {
            let range = tensor.range();
            let data = &bytes[range.start * 4..range.end * 4];
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), data);
            Ok((tensor.name.as_str(), view.map_err(format_error)?))
        });
        let views = views.collect::<Result<Vec<_>, ParamsError>>()?;
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        serialize(views, Some(metadata)).map_err(format_error)
    }

    /// From the bytes of a safetensors file whose tensors are f32, f16 or bf16; others are an error.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, ParamsError> {
        let file = SafeTensors::deserialize(bytes).map_err(format_error)?;
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            let values = to_f32(&name, view.dtype(), view.data())?;
            Ok((name, view.shape().to_vec(), values))
        });
        Self::from_tensors(tensors.collect::<Result<Vec<_>, ParamsError>>()?)
    }

    /// Maps a safetensors file: its scalars stay where they are until they are used. The file must not
    /// change as long as these parameters live; it may be removed.
    pub fn open(path: &Path) -> Result<Self, ParamsError> {
        let file = |error: std::io::Error| ParamsError::Format {
            cause: format!("`{}`: {error}", path.display()),
        };
        let opened = File::open(path).map_err(file)?;
        // SAFETY: a map is only undefined behaviour where the file is changed while it lives, which the
        // caller rules out: what folkmoot maps lies in folders that it writes whole and then only removes.
        #[allow(unsafe_code, reason = "the only way to map a file")]
        let map = unsafe { Mmap::map(&opened) }.map_err(file)?;
        let whole = 0..map.len();
        Self::mapped(&Arc::new(map), whole).map_err(|error| match error {
            ParamsError::Format { cause } => ParamsError::Format {
                cause: format!("`{}`: {cause}", path.display()),
            },
            other => other,
        })
    }

    /// The safetensors file that lies in `range` of a map; see [`Params::open`].
    pub fn mapped(map: &Arc<Mmap>, range: Range<usize>) -> Result<Self, ParamsError> {
        let bytes = map.get(range.clone()).ok_or_else(|| ParamsError::Format {
            cause: "not a readable safetensors file: cut short".into(),
        })?;
        let file = SafeTensors::deserialize(bytes).map_err(format_error)?;
        let mut tensors: Vec<_> = file.tensors();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let places = tensors.iter().map(|(name, view)| {
            let stored = match view.dtype() {
                Dtype::F32 => Ok(Stored::F32),
                Dtype::F16 => Ok(Stored::F16),
                Dtype::BF16 => Ok(Stored::Bf16),
                other => Err(not_real(name, other)),
            };
            let byte = view.data().as_ptr().addr() - bytes.as_ptr().addr();
            Ok((range.start + byte, stored?))
        });
        let places = places.collect::<Result<Vec<_>, ParamsError>>()?;
        let entries = tensors
            .iter()
            .map(|(name, view)| (name.clone(), view.shape().to_vec()));
        let structure = Structure::new(entries.collect())?;
        if structure.tensors().is_empty() {
            return Self::from_tensors([]);
        }
        let mapped = Mapped::new(map.clone(), &structure, &places);
        Ok(Self::evaluated(structure, Source::File(Arc::new(mapped))))
    }
}

fn not_real(name: &str, dtype: Dtype) -> ParamsError {
    ParamsError::Format {
        cause: format!("tensor `{name}` is {dtype:?}, not f32, f16 or bf16"),
    }
}

fn to_f32(name: &str, dtype: Dtype, data: &[u8]) -> Result<Vec<f32>, ParamsError> {
    let pairs = || {
        data.chunks_exact(2)
            .map(|b| u16::from_le_bytes([b[0], b[1]]))
    };
    match dtype {
        Dtype::F32 => Ok(data
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect()),
        Dtype::F16 => Ok(pairs().map(|b| half::f16::from_bits(b).to_f32()).collect()),
        Dtype::BF16 => Ok(pairs().map(|b| half::bf16::from_bits(b).to_f32()).collect()),
        other => Err(not_real(name, other)),
    }
}

fn format_error(error: impl std::fmt::Display) -> ParamsError {
    ParamsError::Format {
        cause: format!("not a readable safetensors file: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_gives_the_same_bytes() {
        let params = Params::from_tensors([
            ("layers.10.b".to_owned(), vec![2, 1], vec![1.0, -0.0]),
            (
                "layers.2.a".to_owned(),
                vec![3],
                vec![f32::MIN_POSITIVE, 2.5, -7.0],
            ),
        ])
        .unwrap();
        let bytes = params.to_safetensors().unwrap();
        let again = Params::from_safetensors(&bytes).unwrap();
        assert_eq!(again.structure(), params.structure());
        assert_eq!(again.to_safetensors().unwrap(), bytes);
        let error = Params::from_safetensors(&bytes[..bytes.len() - 1]);
        assert!(error.unwrap_err().to_string().contains("safetensors"));
    }
}
