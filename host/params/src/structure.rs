//! Names and shapes of a set of tensors, and where each lies in the flat buffer.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use crate::ParamsError;

/// One tensor's name, shape and place.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
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

/// Structures that are in use, by their hash.
static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Known {
    structures: HashMap<u64, Vec<Weak<Structure>>>,
    /// How many hashes are kept until those of which no structure is in use any more are let go of.
    until: usize,
}

/// The tensors of a [`crate::Params`], ordered by name. Equal structures are one and the same, so that
/// a hundred updates are compared by their addresses.
#[derive(PartialEq, Eq, Hash, Debug)]
pub struct Structure {
    tensors: Vec<Tensor>,
    count: usize,
}

impl Structure {
    /// From (name, shape) pairs that are sorted by name; a name given twice is an error.
    pub(crate) fn new(entries: Vec<(String, Vec<usize>)>) -> Result<Arc<Self>, ParamsError> {
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
        let count = offset;
        Ok(Self { tensors, count }.shared())
    }

    /// The structure in use that equals this one, or this one from now on.
    fn shared(self) -> Arc<Self> {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if known.structures.len() >= known.until.max(1024) {
            let used = |_: &u64, alike: &mut Vec<Weak<Self>>| {
                alike.iter().any(|weak| weak.strong_count() > 0)
            };
            known.structures.retain(used);
            known.until = 2 * known.structures.len();
        }
        let alike = known.structures.entry(hasher.finish()).or_default();
        alike.retain(|weak| weak.strong_count() > 0);
        if let Some(found) = alike
            .iter()
            .filter_map(Weak::upgrade)
            .find(|found| **found == self)
        {
            return found;
        }
        let own = Arc::new(self);
        alike.push(Arc::downgrade(&own));
        own
    }

    /// Only these of its tensors, which are in order.
    pub(crate) fn of<'a>(
        tensors: impl Iterator<Item = &'a Tensor>,
    ) -> Result<Arc<Self>, ParamsError> {
        Self::new(
            tensors
                .map(|tensor| (tensor.name.clone(), tensor.shape.clone()))
                .collect(),
        )
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
        Some(&self.tensors[self.position(name)?])
    }

    /// Which tensor has that name.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        let by_name = |tensor: &Tensor| tensor.name.as_str().cmp(name);
        self.tensors.binary_search_by(by_name).ok()
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
