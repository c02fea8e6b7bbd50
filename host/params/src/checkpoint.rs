//! Parameters as safetensors files, the format that PEFT and everyone else reads.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};

use crate::{Params, ParamsError};

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
        other => Err(ParamsError::Format {
            cause: format!("tensor `{name}` is {other:?}, not f32, f16 or bf16"),
        }),
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
