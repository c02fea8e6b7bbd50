//! Builds plugin crates to native libraries: the same source with the feature `native` of the SDK, for this machine.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::toolchain::Toolchain;
use crate::{Built, Make};

/// Builds the crates in `folders`, which share a workspace or are one crate, with the cargo on the path, and writes
/// `out/NAME.so` (or the ending of this system) for each. Intermediate files go under `scratch`; cargo's messages to
/// `stderr`. No manifest changes: the feature is switched on from outside.
pub fn build_native(folders: &[PathBuf], scratch: &Path, out: &Path) -> Result<Vec<Built>> {
    let make = Make {
        cargo: &|| Toolchain::Target.cargo(),
        target: None,
        features: Some("folkmoot-sdk/native"),
        // The SDK makes an error of a panic at the border.
        panic: "unwind",
        prefix: DLL_PREFIX,
        suffix: DLL_SUFFIX,
    };
    make.all(folders, scratch, out, |library, part| {
        let copied =
            fs::copy(library, part).with_context(|| format!("writing `{}`", part.display()));
        copied.map(drop)
    })
}
