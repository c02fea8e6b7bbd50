//! Builds plugin crates to native libraries: the same source with the feature `native` of the SDK, for this machine.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::toolchain::Toolchain;
use crate::{Built, alone, crate_name};

/// Builds the crates in `folders`, which share a workspace or are one crate, with the cargo on the path, and writes
/// `out/NAME.so` (or the ending of this system) for each. Intermediate files go under `scratch`; cargo's messages to
/// `stderr`. No manifest changes: the feature is switched on from outside.
pub fn build_native(folders: &[PathBuf], scratch: &Path, out: &Path) -> Result<Vec<Built>> {
    let first = folders.first().context("no plugin folder given")?;
    let toolchain = Toolchain::Target;
    let names = folders.iter().map(|folder| crate_name(&toolchain, folder));
    let names = names.collect::<Result<Vec<_>>>()?;
    let _alone = alone(scratch)?;
    let mut cargo = toolchain.cargo();
    cargo.current_dir(first).arg("build").arg("--lib");
    cargo.arg("--target-dir").arg(scratch);
    cargo.args(["--features", "folkmoot-sdk/native"]);
    for name in &names {
        cargo.args(["--package", name]);
    }
    // As for components, but that a panic unwinds: the SDK makes an error of it at the border.
    for setting in [
        "opt-level=3",
        "lto=true",
        "codegen-units=1",
        "strip=\"debuginfo\"",
        "panic=\"unwind\"",
    ] {
        cargo.args(["--config", &format!("profile.release.{setting}")]);
    }
    cargo.arg("--release").stdout(Stdio::null());
    let status = cargo
        .status()
        .with_context(|| format!("running {cargo:?}"))?;
    ensure!(
        status.success(),
        "building the plugin in `{}` failed ({status})",
        first.display()
    );
    fs::create_dir_all(out).with_context(|| format!("creating `{}`", out.display()))?;
    let built = names.into_iter().map(|name| {
        let library = format!("{DLL_PREFIX}{}{DLL_SUFFIX}", name.replace('-', "_"));
        let library = scratch.join("release").join(library);
        ensure!(
            library.is_file(),
            "`{name}` makes no library: it needs `crate-type = [\"cdylib\"]`"
        );
        let path = out.join(format!("{name}{DLL_SUFFIX}"));
        // Through a rename: a program may have the old one open.
        let part = out.join(format!("{name}{DLL_SUFFIX}.part"));
        fs::copy(&library, &part).with_context(|| format!("writing `{}`", part.display()))?;
        fs::rename(&part, &path).with_context(|| format!("writing `{}`", path.display()))?;
        Ok(Built { name, path })
    });
    built.collect()
}
