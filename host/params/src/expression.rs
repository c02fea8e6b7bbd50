//! Parameters as expressions: an operation is recorded when it is called and evaluated when its result
//! is used.

use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::buffer::Buffer;
use crate::source::Source;
use crate::{Params, Structure};

/// One result: evaluated, or what it is made of.
pub(crate) struct Node {
    pub(crate) structure: Arc<Structure>,
    value: OnceLock<Source>,
    /// The value as one slice, where its source is none.
    dense: OnceLock<Buffer>,
    /// What it is made of, until it is evaluated.
    expression: Mutex<Option<Expression>>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Unary {
    Scale(f32),
    Offset(f32),
    Clamp(f32, f32),
    Sqrt,
    Square,
    Abs,
    Sign,
    /// √a + addend, each rounded; made by fusion alone.
    SqrtOffset(f32),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Minimum,
    Maximum,
    /// a + factor · b.
    AddScaled(f32),
    /// first · a + second · b, each product rounded; made by fusion alone.
    Combine(f32, f32),
}

/// What is picked of the sorted values of one coordinate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Pick {
    Median,
    /// Mean without so many values at each end.
    Trimmed(usize),
    /// Mean of so many values around the median.
    NearMedian(usize),
}

#[derive(Clone)]
pub(crate) enum Expression {
    Filled(f32),
    Unary(Unary, Params),
    Binary(Binary, Params, Params),
    /// Σ weight · item in f64, rounded once.
    WeightedSum(Vec<(Params, f64)>),
    Columns(Pick, Vec<Params>),
    /// The tensors of this node's structure, of a larger set.
    Select(Params),
    /// Those of the second, and those of the first that the second lacks.
    Merge(Params, Params),
}

/// What a node is, at the moment of asking.
pub(crate) enum View {
    Value(Source),
    Expression(Expression),
}

impl Node {
    pub(crate) fn evaluated(structure: Arc<Structure>, source: Source) -> Self {
        let value = OnceLock::new();
        // A new cell is empty.
        let _ = value.set(source);
        Self {
            structure,
            value,
            dense: OnceLock::new(),
            expression: Mutex::new(None),
        }
    }

    pub(crate) fn recorded(structure: Arc<Structure>, expression: Expression) -> Self {
        Self {
            structure,
            value: OnceLock::new(),
            dense: OnceLock::new(),
            expression: Mutex::new(Some(expression)),
        }
    }

    pub(crate) fn value(&self) -> Option<&Source> {
        self.value.get()
    }

    pub(crate) fn view(&self) -> View {
        loop {
            if let Some(source) = self.value.get() {
                return View::Value(source.clone());
            }
            let expression = self.expression.lock();
            let expression = expression.unwrap_or_else(PoisonError::into_inner);
            // Without one, another thread has just put the value in its place.
            if let Some(expression) = expression.clone() {
                return View::Expression(expression);
            }
        }
    }

    /// Keeps the value, and lets go of what it was made of.
    pub(crate) fn keep(&self, buffer: Buffer) {
        // If two threads evaluated the same node, their values are the same.
        let _ = self.value.set(Source::Memory(Arc::new(buffer)));
        let taken = self.expression.lock();
        let taken = taken.unwrap_or_else(PoisonError::into_inner).take();
        release(taken);
    }

    /// The value as one slice; it must be evaluated.
    pub(crate) fn dense(&self) -> Option<&[f32]> {
        let (source, count) = (self.value.get()?, self.structure.count());
        if let Some(values) = source.direct(0..count) {
            return Some(values);
        }
        let loaded = self.dense.get_or_init(|| {
            let mut buffer = Buffer::unset(count);
            source.load(0, buffer.as_mut_slice());
            buffer
        });
        Some(loaded.as_slice())
    }

    /// A part of the value, copied from where it lies; it must be evaluated.
    pub(crate) fn part(&self, range: Range<usize>) -> Option<Vec<f32>> {
        let source = self.value.get()?;
        if let Some(values) = source.direct(range.clone()) {
            return Some(values.to_vec());
        }
        let mut values = vec![0.0; range.len()];
        source.load(range.start, &mut values);
        Some(values)
    }
}

impl Expression {
    fn into_operands(self) -> Vec<Params> {
        match self {
            Self::Filled(_) => Vec::new(),
            Self::Unary(_, a) | Self::Select(a) => vec![a],
            Self::Binary(_, a, b) | Self::Merge(a, b) => vec![a, b],
            Self::WeightedSum(items) => items.into_iter().map(|(item, _)| item).collect(),
            Self::Columns(_, items) => items,
        }
    }
}

/// Drops an expression without recursion: a chain of a million operations must not end the stack.
fn release(expression: Option<Expression>) {
    let mut pending = expression.map_or_else(Vec::new, Expression::into_operands);
    while let Some(params) = pending.pop() {
        if let Some(mut node) = Arc::into_inner(params.into_node()) {
            let own = node.expression.get_mut();
            let own = own.unwrap_or_else(PoisonError::into_inner).take();
            pending.extend(own.map_or_else(Vec::new, Expression::into_operands));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let own = self.expression.get_mut();
        release(own.unwrap_or_else(PoisonError::into_inner).take());
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;
    use safetensors::serialize;
    use safetensors::tensor::{Dtype, TensorView};

    use super::*;
    use crate::ParamsError;

    /// Who reads a scalar of a file must not leave the whole of it in memory.
    #[test]
    fn a_range_is_read_without_a_copy_of_the_whole() {
        let scalars = (0..1000u16).map(|value| bf16::from_f32(f32::from(value) / 4.0));
        let bytes: Vec<u8> = scalars.flat_map(bf16::to_le_bytes).collect();
        let view = TensorView::new(Dtype::BF16, vec![1000], &bytes).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), serialize([("w", view)], None).unwrap()).unwrap();
        let params = Params::open(file.path()).unwrap();
        let part = params.read_range(100, 50).unwrap();
        assert!(params.node().dense.get().is_none());
        assert_eq!(part, &params.values()[100..150]);
        assert!(params.node().dense.get().is_some());
        for (offset, length) in [(951, 50), (1001, 0), (u64::MAX, 2)] {
            let outside = ParamsError::OutOfRange {
                offset,
                length,
                count: 1000,
            };
            assert_eq!(params.read_range(offset, length), Err(outside));
        }
    }
}
