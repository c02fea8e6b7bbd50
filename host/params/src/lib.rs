//! Parameters: named f32 tensors over one flat buffer, and the algebra that algorithms do on them.
//!
//! Every operation is evaluated when it is called. Nothing here reads a clock, a thread count or
//! ambient randomness, so the same inputs give the same bytes on every machine.

mod algebra;
mod checkpoint;
mod error;
mod objective;
mod reduce;
mod seed;
mod structure;

pub use error::ParamsError;
pub use objective::Objective;
pub use reduce::{median, pairwise_distances, trimmed_mean, weighted_sum};
pub use seed::Seed;
pub use structure::{Structure, Tensor};

use std::sync::Arc;

/// An ordered set of named f32 tensors: an adapter, a delta, a momentum.
///
/// Tensors are ordered by name (byte-wise) and lie one after another in one buffer. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Params {
    structure: Arc<Structure>,
    values: Arc<Vec<f32>>,
}

impl Params {
    /// From tensors in any order: (name, shape, row-major values).
    pub fn from_tensors(
        tensors: impl IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>,
    ) -> Result<Self, ParamsError> {
        let mut tensors: Vec<_> = tensors.into_iter().collect();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let mut values = Vec::new();
        let mut entries = Vec::new();
        for (name, shape, data) in tensors {
            let count = shape.iter().product::<usize>();
            if count != data.len() {
                return Err(ParamsError::Length {
                    tensor: name,
                    expected: count,
                    found: data.len(),
                });
            }
            entries.push((name, shape));
            values.extend_from_slice(&data);
        }
        let structure = Structure::new(entries)?;
        Ok(Self::new(Arc::new(structure), values))
    }

    /// `values` in storage order; panics if their number is not the structure's, which is the caller's invariant.
    pub(crate) fn new(structure: Arc<Structure>, values: Vec<f32>) -> Self {
        assert_eq!(
            structure.count(),
            values.len(),
            "values match the structure"
        );
        Self {
            structure,
            values: Arc::new(values),
        }
    }

    /// `values` in the storage order of this structure.
    pub fn with_values(&self, values: Vec<f32>) -> Result<Self, ParamsError> {
        if values.len() != self.count() {
            return Err(ParamsError::Length {
                tensor: "(all)".into(),
                expected: self.count(),
                found: values.len(),
            });
        }
        Ok(Self::new(self.structure.clone(), values))
    }

    /// Names, shapes and places of the tensors.
    pub fn structure(&self) -> &Arc<Structure> {
        &self.structure
    }

    /// All scalars in storage order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Number of scalars over all tensors.
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// Row-major values of one tensor.
    pub fn tensor(&self, name: &str) -> Option<&[f32]> {
        let tensor = self.structure.get(name)?;
        Some(&self.values[tensor.range()])
    }

    /// The first scalar that is NaN or infinite, as (tensor name, index in the tensor, value).
    pub fn first_non_finite(&self) -> Option<(&str, usize, f32)> {
        self.structure.tensors().iter().find_map(|tensor| {
            let values = &self.values[tensor.range()];
            let index = values.iter().position(|value| !value.is_finite())?;
            Some((tensor.name.as_str(), index, values[index]))
        })
    }

    /// An error naming the first tensor in which `other` differs in name or shape.
    pub fn check_same_structure(&self, other: &Self) -> Result<(), ParamsError> {
        if Arc::ptr_eq(&self.structure, &other.structure) {
            return Ok(());
        }
        self.structure.check_same(&other.structure)
    }
}
