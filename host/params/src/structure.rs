//! Names and shapes of a set of tensors, and where each lies in the flat buffer.

use std::ops::Range;

use crate::ParamsError;

/// One tensor's name, shape and place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tensor {
    /// As the checkpoint spells it.
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// First scalar in the flat buffer.
    pub offset: usize,
}

impl Tensor {
    /// Number of scalars.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Where its scalars lie in the flat buffer.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.count()
    }
}

/// The tensors of a [`crate::Params`], ordered by name.
#[derive(PartialEq, Eq, Debug)]
pub struct Structure {
    tensors: Vec<Tensor>,
    count: usize,
}

impl Structure {
    /// From (name, shape) pairs that are sorted by name; a name given twice is an error.
    pub(crate) fn new(entries: Vec<(String, Vec<usize>)>) -> Result<Self, ParamsError> {
        let mut tensors: Vec<Tensor> = Vec::with_capacity(entries.len());
        let mut offset = 0;
        for (name, shape) in entries {
            if tensors.last().is_some_and(|last| last.name == name) {
                return Err(ParamsError::Duplicate { tensor: name });
            }
            let tensor = Tensor {
                name,
                shape,
                offset,
            };
            offset += tensor.count();
            tensors.push(tensor);
        }
        Ok(Self {
            tensors,
            count: offset,
        })
    }

    /// All tensors in storage order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Number of scalars over all tensors.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        let index = self
            .tensors
            .binary_search_by(|tensor| tensor.name.as_str().cmp(name))
            .ok()?;
        Some(&self.tensors[index])
    }

    pub(crate) fn check_same(&self, other: &Self) -> Result<(), ParamsError> {
        for tensor in &self.tensors {
            let Some(found) = other.get(&tensor.name) else {
                return Err(ParamsError::Missing {
                    tensor: tensor.name.clone(),
                });
            };
            if found.shape != tensor.shape {
                return Err(ParamsError::Shape {
                    tensor: tensor.name.clone(),
                    expected: tensor.shape.clone(),
                    found: found.shape.clone(),
                });
            }
        }
        match other.tensors.iter().find(|t| self.get(&t.name).is_none()) {
            Some(extra) => Err(ParamsError::Unexpected {
                tensor: extra.name.clone(),
            }),
            None => Ok(()),
        }
    }
}
