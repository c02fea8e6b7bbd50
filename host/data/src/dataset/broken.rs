//! Rows that cannot be used: what is wrong with them, how many, and where.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Rows of one fault that are shown with their place.
const SHOWN: usize = 3;

/// What is wrong with a row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Not UTF-8, not JSON, another number of fields than columns.
    Unreadable,
    /// A field is not there.
    Missing,
    /// A field holds something else than expected.
    Type,
    /// The instruction or an answer says nothing.
    Empty,
    /// A label outside of the set.
    Label,
    /// An expression of the mapping fails.
    Expression,
    /// The template refuses it.
    Template,
    /// It has more tokens than the model is given.
    TooLong,
}

impl Fault {
    pub(crate) fn because(self, cause: impl Into<String>) -> Broken {
        Broken {
            fault: self,
            cause: cause.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "unreadable",
            Self::Missing => "without a field",
            Self::Type => "with a field of another type",
            Self::Empty => "with an empty text",
            Self::Label => "with a label outside of the set",
            Self::Expression => "on which an expression fails",
            Self::Template => "that the template refuses",
            Self::TooLong => "too long",
        })
    }
}

/// Why one row cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// What kind of thing is wrong.
    pub fault: Fault,
    /// What exactly, without the place.
    pub cause: String,
}

/// What becomes of rows that cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBroken {
    /// An error that counts and shows them.
    #[default]
    Stop,
    /// They are left out, counted and shown.
    Skip,
}

/// What becomes of rows that are longer than the context.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnTooLong {
    /// They lose their end.
    #[default]
    Cut,
    /// They are left out.
    Skip,
    /// An error that counts and shows them.
    Stop,
}

/// The rows that cannot be used, by what is wrong.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Rows that were looked at.
    pub rows: usize,
    /// Rows by fault in words, and the first few, each with its place.
    pub broken: BTreeMap<String, (usize, Vec<String>)>,
}

impl Report {
    /// Notes a row that cannot be used.
    pub(crate) fn note(&mut self, place: &str, broken: &Broken) {
        let (count, shown) = self.broken.entry(broken.fault.to_string()).or_default();
        *count += 1;
        if shown.len() < SHOWN {
            shown.push(format!("{place}: {}", broken.cause));
        }
    }

    /// Rows that cannot be used.
    pub fn count(&self) -> usize {
        self.broken.values().map(|(count, _)| count).sum()
    }
}

/// How many, and the first of each kind with file and line; nothing where all rows are fine.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count();
        // One row needs no statistics.
        if let ([(1, shown)], 1) = (&self.broken.values().collect::<Vec<_>>()[..], count) {
            return f.write_str(&shown.join(""));
        }
        write!(f, "{count} of {} rows cannot be used", self.rows)?;
        for (fault, (count, shown)) in &self.broken {
            write!(f, "\n{count} {fault}:")?;
            for shown in shown {
                write!(f, "\n  {shown}")?;
            }
            if *count > shown.len() {
                write!(f, "\n  and {} more", count - shown.len())?;
            }
        }
        Ok(())
    }
}
