//! What can be wrong with the interpreter itself. What is wrong with a program is no error, but its outcome.

use std::fmt;
use std::path::PathBuf;

/// Why no program can be run.
#[derive(Debug)]
pub enum InterpreterError {
    /// The file cannot be read.
    Unreadable { path: PathBuf, cause: String },
    /// The file is no program for WASI, preview 1, or wants more than that.
    NotAnInterpreter { path: PathBuf, cause: String },
    /// The cache of compiled code cannot be used.
    Cache { path: PathBuf, cause: String },
    /// This machine refuses what a run needs: a thread, or memory.
    Machine { cause: String },
}

impl fmt::Display for InterpreterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, cause } => {
                write!(
                    f,
                    "interpreter `{}` cannot be read: {cause}",
                    path.display()
                )
            }
            Self::NotAnInterpreter { path, cause } => write!(
                f,
                "interpreter `{}` is no WASM program for WASI, preview 1: {cause}",
                path.display()
            ),
            Self::Cache { path, cause } => {
                write!(f, "cache of compiled code `{}`: {cause}", path.display())
            }
            Self::Machine { cause } => write!(f, "starting the interpreter: {cause}"),
        }
    }
}

impl std::error::Error for InterpreterError {}
