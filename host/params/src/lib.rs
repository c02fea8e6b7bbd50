//! Parameters: named f32 tensors, and the algebra that algorithms do on them.
//!
//! An operation is recorded when it is called. A result that is used (stored, reduced, read) is evaluated
//! block by block, with every input read once and every output written once, however many operations
//! lie between; inputs may be mapped files. Every operation rounds to f32, and sums over items or scalars
//! are accumulated in f64 in a fixed order, so that results depend neither on when an expression is
//! evaluated nor on how many threads do it. Nothing here reads a clock except to keep a deadline, and
//! nothing draws ambient randomness: the same inputs give the same bytes on every machine.

mod algebra;
mod buffer;
mod checkpoint;
mod error;
mod evaluate;
mod expression;
mod kernels;
mod network;
mod objective;
mod program;
mod reduce;
mod seed;
mod source;
mod structure;
mod watch;

pub use algebra::{mean_near_median, median, trimmed_mean, weighted_sum};
pub use error::ParamsError;
pub use objective::{Envelope, FrozenPart, Objective};
pub use reduce::Evaluator;
pub use seed::Seed;
pub use structure::{Structure, Tensor};

use std::fmt;
use std::sync::Arc;

use buffer::Buffer;
use expression::{Expression, Node};
use source::Source;

/// An ordered set of named f32 tensors: an adapter, a delta, a momentum.
///
/// Tensors are ordered by name (byte-wise); their scalars have one storage order, tensor after tensor,
/// row-major. Cloning shares them. It may be an expression that is not evaluated yet; nothing but time
/// tells.
#[derive(Clone)]
pub struct Params {
    node: Arc<Node>,
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
        Ok(Self::new(Structure::new(entries)?, values))
    }

    /// `values` in storage order; panics if their number is not the structure's, which is the caller's invariant.
    pub(crate) fn new(structure: Arc<Structure>, values: Vec<f32>) -> Self {
        assert_eq!(
            structure.count(),
            values.len(),
            "values match the structure"
        );
        let source = Source::Memory(Arc::new(Buffer::Vector(values)));
        Self::evaluated(structure, source)
    }

    pub(crate) fn evaluated(structure: Arc<Structure>, source: Source) -> Self {
        let node = Arc::new(Node::evaluated(structure, source));
        Self { node }
    }

    pub(crate) fn recorded(structure: Arc<Structure>, expression: Expression) -> Self {
        let node = Arc::new(Node::recorded(structure, expression));
        Self { node }
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    pub(crate) fn into_node(self) -> Arc<Node> {
        self.node
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
        Ok(Self::new(self.structure().clone(), values))
    }

    /// Names, shapes and places of the tensors.
    pub fn structure(&self) -> &Arc<Structure> {
        &self.node.structure
    }

    /// Whether the scalars are there already, in memory or in a file.
    pub fn is_evaluated(&self) -> bool {
        self.node.value().is_some()
    }

    /// All scalars in storage order; evaluates what is not evaluated yet. Where they lie in a file in another
    /// order or precision, a copy of them stays as long as these parameters. None where
    /// [`Evaluator::commit`] refuses the expression.
    pub fn values(&self) -> &[f32] {
        // Without a deadline an evaluation fails only where the expression is too large.
        let _ = Evaluator::default().commit(std::slice::from_ref(self));
        self.node.dense().unwrap_or_default()
    }

    /// `length` scalars from `start` on, as they are in [`Params::values`]; evaluates what is not evaluated
    /// yet. Of what lies in a file only these are read.
    pub fn read_range(&self, start: u64, length: u64) -> Result<Vec<f32>, ParamsError> {
        let count = self.count();
        let range = match start.checked_add(length) {
            Some(end) if end <= count as u64 => start as usize..end as usize,
            _ => {
                return Err(ParamsError::OutOfRange {
                    offset: start,
                    length,
                    count,
                });
            }
        };
        Evaluator::default().commit(std::slice::from_ref(self))?;
        // What was committed has a value.
        Ok(self.node.part(range).unwrap_or_default())
    }

    /// Number of scalars over all tensors.
    pub fn count(&self) -> usize {
        self.structure().count()
    }

    /// Row-major values of one tensor.
    pub fn tensor(&self, name: &str) -> Option<&[f32]> {
        let tensor = self.structure().get(name)?;
        Some(&self.values()[tensor.range()])
    }

    /// The first scalar that is NaN or infinite, as (tensor name, index in the tensor, value).
    pub fn first_non_finite(&self) -> Option<(&str, usize, f32)> {
        if Evaluator::default().not_finite(self) == Ok(0) {
            return None;
        }
        self.structure().tensors().iter().find_map(|tensor| {
            let values = &self.values()[tensor.range()];
            let index = values.iter().position(|value| !value.is_finite())?;
            Some((tensor.name.as_str(), index, values[index]))
        })
    }

    /// An error naming the first tensor in which `other` differs in name or shape.
    pub fn check_same_structure(&self, other: &Self) -> Result<(), ParamsError> {
        if Arc::ptr_eq(self.structure(), other.structure()) {
            return Ok(());
        }
        self.structure().check_same(other.structure())
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tensors = self.structure().tensors().len();
        let state = if self.is_evaluated() {
            "evaluated"
        } else {
            "recorded"
        };
        write!(
            f,
            "Params({tensors} tensors, {} scalars, {state})",
            self.count()
        )
    }
}
