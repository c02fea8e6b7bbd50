//! `folkmoot plugin build`: a folder with a plugin's source becomes a component.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use folkmoot_build::python;
use folkmoot_build::scaffold::Language;
use folkmoot_build::toolchain::Toolchain;
use folkmoot_plugin::Plugin;
use indicatif::HumanBytes;

use crate::commands::{Done, Failure};
use crate::places::{cache, sandbox};

pub(crate) fn build(folder: &Path, out: Option<&Path>, native: bool) -> Done {
    language(folder).map_err(Failure::Usage)?;
    if native {
        let path = library(folder, out).map_err(Failure::Run)?;
        println!("{}", path.display());
        eprintln!(
            "a native library: it runs without a sandbox, where `--allow-native {}` says so",
            path.display()
        );
        return Ok(());
    }
    let path = component(folder, out).map_err(Failure::Run)?;
    let done = || -> Result<()> {
        let bytes = std::fs::read(&path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        // Loaded once: what is wrong with it is said now, and its code is compiled when it is run.
        let plugin = Plugin::load(&sandbox(Arc::new(|_| {}))?, &name, &bytes)?;
        println!("{}", path.display());
        eprintln!("{}", about(&plugin, bytes.len()));
        Ok(())
    };
    done().map_err(Failure::Run)
}

/// Kind, size, digest, contract, imports.
pub(crate) fn about(plugin: &Plugin, size: usize) -> String {
    let imports = match plugin.imports.is_empty() {
        true => "nothing".to_owned(),
        false => plugin.imports.join(", "),
    };
    format!(
        "{:#}, {}, sha256 {}\nspeaks folkmoot:plugin@{}, imports {imports}",
        plugin.kind,
        HumanBytes(size as u64),
        plugin.digest,
        plugin.contract()
    )
}

/// What the plugin in `folder` is written in.
pub(crate) fn language(folder: &Path) -> Result<Language> {
    if folder.join("Cargo.toml").is_file() {
        return Ok(Language::Rust);
    }
    if python::is_plugin(folder) {
        return Ok(Language::Python);
    }
    bail!(
        "`{}` holds no plugin's source: neither Cargo.toml nor plugin.py\n\nhint: `folkmoot plugin new NAME --kind algorithm` writes one",
        folder.display()
    )
}

/// Builds the plugin in `folder` for this machine; gives the library's path.
fn library(folder: &Path, out: Option<&Path>) -> Result<PathBuf> {
    ensure!(
        language(folder)? == Language::Rust,
        "`{}`: only a plugin in Rust becomes a native library",
        folder.display()
    );
    let folder =
        std::fs::canonicalize(folder).with_context(|| format!("plugin `{}`", folder.display()))?;
    let scratch = cache()?.join("build/native");
    let out = out.unwrap_or(&folder).to_owned();
    let built = folkmoot_build::build_native(std::slice::from_ref(&folder), &scratch, &out)?;
    let first = built.into_iter().next();
    Ok(first.context("one folder gives one library")?.path)
}

/// Builds the plugin in `folder`; gives the component's path.
pub(crate) fn component(folder: &Path, out: Option<&Path>) -> Result<PathBuf> {
    let folder =
        std::fs::canonicalize(folder).with_context(|| format!("plugin `{}`", folder.display()))?;
    // One for all plugins: what they share is compiled once.
    let scratch = cache()?.join("build/components");
    let out = out.unwrap_or(&folder).to_owned();
    let built = match language(&folder)? {
        Language::Rust => {
            let toolchain = Toolchain::find()?;
            eprintln!("building with {toolchain}");
            folkmoot_build::build(&toolchain, std::slice::from_ref(&folder), &scratch, &out)?
        }
        Language::Python => {
            // In a folder of this program alone, so it is set up without asking.
            let toolchain =
                python::set_up(&cache()?.join("python"), &mut |line| eprintln!("{line}"))?;
            eprintln!("building with {toolchain}");
            vec![python::build(&toolchain, &folder, &scratch, &out)?]
        }
    };
    let first = built.into_iter().next();
    Ok(first.context("one folder gives one component")?.path)
}
