//! What can be wrong with parameters. Written by hand because callers branch on it.

use std::fmt;

/// A structure that does not match, or a file that does not hold parameters.
#[derive(Clone, PartialEq, Debug)]
pub enum ParamsError {
    /// The other side lacks this tensor.
    Missing { tensor: String },
    /// The other side has a tensor that this side lacks.
    Unexpected { tensor: String },
    /// Same name, other shape.
    Shape {
        tensor: String,
        expected: Vec<usize>,
        found: Vec<usize>,
    },
    /// A name given twice.
    Duplicate { tensor: String },
    /// Values whose number is not that of the shape.
    Length {
        tensor: String,
        expected: usize,
        found: usize,
    },
    /// An operation over a list that has no item, or too few.
    TooFew {
        operation: &'static str,
        needed: usize,
        found: usize,
    },
    /// An operation over a list that has more items than it takes.
    TooMany {
        operation: &'static str,
        most: usize,
        found: usize,
    },
    /// An expression that would take more than it may to be evaluated.
    TooLarge { what: &'static str, most: usize },
    /// A glob or an interval that selects nothing.
    Empty { selection: String },
    /// Raw access outside the scalars.
    OutOfRange {
        offset: u64,
        length: u64,
        count: usize,
    },
    /// An evaluation that its deadline stopped.
    OutOfTime,
    /// A file or buffer that is not a safetensors file of real numbers.
    Format { cause: String },
}

impl fmt::Display for ParamsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { tensor } => write!(f, "tensor `{tensor}` is missing"),
            Self::Unexpected { tensor } => write!(f, "tensor `{tensor}` is not expected"),
            Self::Shape {
                tensor,
                expected,
                found,
            } => write!(
                f,
                "tensor `{tensor}` has shape {found:?} where {expected:?} is expected"
            ),
            Self::Duplicate { tensor } => write!(f, "tensor `{tensor}` is given twice"),
            Self::Length {
                tensor,
                expected,
                found,
            } => write!(
                f,
                "tensor `{tensor}` has {found} values where its shape holds {expected}"
            ),
            Self::TooFew {
                operation,
                needed,
                found,
            } => write!(f, "{operation} needs at least {needed} items, got {found}"),
            Self::TooMany {
                operation,
                most,
                found,
            } => write!(f, "{operation} takes at most {most} items, got {found}"),
            Self::TooLarge { what, most } => write!(
                f,
                "the expression needs more than {most} {what}\n\nhint: put a part of it into a state or read a scalar of it, so that this part is evaluated alone"
            ),
            Self::Empty { selection } => write!(f, "`{selection}` selects nothing"),
            Self::OutOfRange {
                offset,
                length,
                count,
            } => write!(
                f,
                "scalars {offset} to {} are outside of {count}",
                offset.saturating_add(*length)
            ),
            Self::OutOfTime => f.write_str("out of time"),
            Self::Format { cause } => f.write_str(cause),
        }
    }
}

impl std::error::Error for ParamsError {}
