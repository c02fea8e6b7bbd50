//! Builds plugin crates to WASM components. It never changes the machine unless [`toolchain::set_up`]
//! is called, which says what it does.

mod carried;
mod native;
pub mod python;
pub mod scaffold;
pub mod toolchain;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use scaffold::Language;
use serde_json::Value;
use toolchain::{TARGET, Toolchain};
use wit_component::ComponentEncoder;

pub use native::build_native;

/// A component that was built.
pub struct Built {
    /// The crate's name, which is the plugin's.
    pub name: String,
    /// Where the component lies.
    pub path: PathBuf,
}

/// Builds the crates in `folders`, which share a workspace or are one crate, and writes
/// `out/NAME.wasm` for each. Intermediate files go under `scratch`; cargo's messages to `stderr`.
pub fn build(
    toolchain: &Toolchain,
    folders: &[PathBuf],
    scratch: &Path,
    out: &Path,
) -> Result<Vec<Built>> {
    let first = folders.first().context("no plugin folder given")?;
    let names = folders.iter().map(|folder| crate_name(toolchain, folder));
    let names = names.collect::<Result<Vec<_>>>()?;
    let _alone = alone(scratch)?;
    let mut cargo = toolchain.cargo();
    cargo
        .current_dir(first)
        .arg("build")
        .args(["--target", TARGET]);
    cargo.arg("--target-dir").arg(scratch);
    for name in &names {
        cargo.args(["--package", name]);
    }
    // The same code generation for every plugin, whatever its own manifest says of profiles: names
    // stay for backtraces, debug information goes.
    for setting in [
        "opt-level=3",
        "lto=true",
        "codegen-units=1",
        "strip=\"debuginfo\"",
        "panic=\"abort\"",
    ] {
        cargo.args(["--config", &format!("profile.release.{setting}")]);
    }
    // The sandbox has SIMD on; relaxed SIMD it refuses.
    let simd = format!("target.{TARGET}.rustflags=[\"-Ctarget-feature=+simd128\"]");
    cargo.args(["--config", &simd]);
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
        let core = format!("{}.wasm", name.replace('-', "_"));
        let core = scratch.join(TARGET).join("release").join(core);
        let path = out.join(format!("{name}.wasm"));
        componentize(&core, &path)?;
        Ok(Built { name, path })
    });
    built.collect()
}

/// Runs the unit tests of the plugin in `folder`, natively; their output goes to the screen, intermediate files
/// go under `scratch`.
pub fn unit_tests(folder: &Path, language: Language, scratch: &Path) -> Result<()> {
    let _alone = alone(scratch)?;
    if language == Language::Python {
        return python::test(folder, scratch);
    }
    // Its own toolchain, not that of the WASM target: tests run on this machine.
    let mut cargo = clean_command(Path::new("cargo"));
    cargo.current_dir(folder).args(["test", "--quiet"]);
    cargo.arg("--target-dir").arg(scratch);
    let status = cargo
        .status()
        .with_context(|| format!("running {cargo:?}"))?;
    ensure!(
        status.success(),
        "the tests of `{}` failed ({status})",
        folder.display()
    );
    Ok(())
}

/// Waits until no other process works under `scratch` and keeps others out until what it returns is dropped. Cargo
/// locks while it compiles only: what it made must also stay until it is copied or its tests have run.
fn alone(scratch: &Path) -> Result<File> {
    let path = scratch.join(".in-use");
    let at = || format!("locking `{}`", path.display());
    fs::create_dir_all(scratch).with_context(at)?;
    let file = File::create(&path).with_context(at)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            eprintln!(
                "waiting for another build or test, which holds `{}`",
                path.display()
            );
            file.lock().with_context(at)?;
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(at),
    }
    Ok(file)
}

/// The folders under `plugins/KIND/` that hold a crate, in order of their paths.
pub fn plugin_folders(plugins: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for kind in sorted_entries(plugins)? {
        if kind.is_dir() {
            let crates = sorted_entries(&kind)?.into_iter();
            folders.extend(crates.filter(|folder| folder.join("Cargo.toml").is_file()));
        }
    }
    Ok(folders)
}

fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("reading `{}`", folder.display()))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Wraps a core module that carries its contract in a custom section into a component.
fn componentize(core: &Path, path: &Path) -> Result<()> {
    let module = fs::read(core).with_context(|| format!("reading `{}`", core.display()))?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|encoder| encoder.encode())
        .with_context(|| {
            format!(
                "`{}` is no plugin: it needs `crate-type = [\"cdylib\"]` and an `export_…!` of folkmoot-sdk",
                core.display()
            )
        })?;
    let part = path.with_extension("wasm.part");
    fs::write(&part, component).with_context(|| format!("writing `{}`", part.display()))?;
    fs::rename(&part, path).with_context(|| format!("writing `{}`", path.display()))
}

/// The name of the crate whose manifest lies in `folder`.
fn crate_name(toolchain: &Toolchain, folder: &Path) -> Result<String> {
    let manifest = folder.join("Cargo.toml");
    ensure!(
        manifest.is_file(),
        "`{}` holds no Cargo.toml: give the folder of a plugin crate",
        folder.display()
    );
    let manifest = fs::canonicalize(&manifest)?;
    let mut cargo = toolchain.cargo();
    cargo.args([
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
        "--manifest-path",
    ]);
    let output = cargo.arg(&manifest).stderr(Stdio::piped()).output();
    let output = output.with_context(|| format!("running {cargo:?}"))?;
    if !output.status.success() {
        bail!(
            "`{}` is no readable manifest: {}",
            manifest.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let own = packages
        .iter()
        .find(|package| package["manifest_path"].as_str().map(Path::new) == Some(&manifest));
    let name = own.and_then(|package| package["name"].as_str());
    Ok(name
        .with_context(|| format!("`{}` names no package", manifest.display()))?
        .to_owned())
}

/// A command that inherits no flags of the cargo that may be running this very code.
fn clean_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    let inherited = [
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
    ];
    for name in
        inherited
            .into_iter()
            .chain(["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTUP_TOOLCHAIN"])
    {
        command.env_remove(name);
    }
    command
}
