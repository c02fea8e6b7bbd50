//! Builds plugin crates to WASM components. It never changes the machine unless [`toolchain::set_up`]
//! is called, which says what it does.

mod carried;
mod native;
pub mod python;
pub mod scaffold;
mod scratch;
pub mod toolchain;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail, ensure};
use scaffold::Language;
use scratch::Scratch;
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
    let make = Make {
        cargo: &|| toolchain.cargo(),
        target: Some(TARGET),
        features: None,
        panic: "abort",
        prefix: "",
        suffix: ".wasm",
    };
    make.all(folders, scratch, out, componentize)
}

/// Runs the unit tests of the plugin in `folder`, natively; their output goes to the screen, intermediate files
/// go under `scratch`.
pub fn unit_tests(folder: &Path, language: Language, scratch: &Path) -> Result<()> {
    let scratch = Scratch::open(scratch)?;
    if language == Language::Python {
        return python::test(folder, &scratch.folder);
    }
    // The toolchain on the path, not that of the WASM target: tests run on this machine.
    let cargo = || {
        let mut cargo = clean_command(Path::new("cargo"));
        cargo.current_dir(folder);
        cargo
    };
    scratch.belongs_to(&Crate::read(&cargo, folder)?.workspace, cargo, &[])?;
    let mut test = cargo();
    test.args(["test", "--quiet", "--target-dir"])
        .arg(&scratch.folder);
    let status = cargo_ended(test.status(), &test)?;
    ensure!(
        status.success(),
        "the tests of `{}` failed ({status})",
        folder.display()
    );
    Ok(())
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

/// How crates are made: components and native libraries alike.
struct Make<'a> {
    cargo: &'a dyn Fn() -> Command,
    target: Option<&'a str>,
    features: Option<&'a str>,
    panic: &'a str,
    /// Before and after the name of what cargo makes; the end of what is written, too.
    prefix: &'a str,
    suffix: &'a str,
}

impl Make<'_> {
    /// Builds the crates in `folders`; `finish(made, part)` turns what cargo made into what is written.
    fn all(
        &self,
        folders: &[PathBuf],
        scratch: &Path,
        out: &Path,
        finish: impl Fn(&Path, &Path) -> Result<()>,
    ) -> Result<Vec<Built>> {
        let first = folders.first().context("no plugin folder given")?;
        let crates = folders.iter().map(|folder| Crate::read(self.cargo, folder));
        let crates = crates.collect::<Result<Vec<_>>>()?;
        let scratch = Scratch::open(scratch)?;
        let cargo = || {
            let mut cargo = (self.cargo)();
            cargo.current_dir(first);
            cargo
        };
        let mut selection = vec!["--release"];
        selection.extend(self.target.iter().flat_map(|own| ["--target", own]));
        scratch.belongs_to(&crates[0].workspace, cargo, &selection)?;
        let mut build = cargo();
        build.args(["build", "--lib"]).args(&selection);
        build.arg("--target-dir").arg(&scratch.folder);
        build.args(self.features.iter().flat_map(|own| ["--features", own]));
        // The same code generation for every plugin, whatever its own manifest says of profiles: names
        // stay for backtraces, debug information goes.
        for setting in [
            "opt-level=3",
            "lto=true",
            "codegen-units=1",
            "strip=\"debuginfo\"",
            &format!("panic=\"{}\"", self.panic),
        ] {
            build.args(["--config", &format!("profile.release.{setting}")]);
        }
        // The sandbox has SIMD on; relaxed SIMD it refuses.
        if let Some(target) = self.target {
            let simd = format!("target.{target}.rustflags=[\"-Ctarget-feature=+simd128\"]");
            build.args(["--config", &simd]);
        }
        let place = self.target.map_or_else(PathBuf::new, PathBuf::from);
        let made = scratch.folder.join(place).join("release");
        let made =
            |own: &Crate| made.join(format!("{}{}{}", self.prefix, own.library, self.suffix));
        for own in &crates {
            build.args(["--package", &own.name]);
            // What cargo no longer makes must not pass for new.
            match fs::remove_file(made(own)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("`{}`", made(own).display()));
                }
                _ => {}
            }
        }
        let status = cargo_ended(build.stdout(Stdio::null()).status(), &build)?;
        ensure!(
            status.success(),
            "building the plugin in `{}` failed ({status})",
            first.display()
        );
        fs::create_dir_all(out).with_context(|| format!("creating `{}`", out.display()))?;
        let built = crates.into_iter().map(|own| {
            let path = out.join(format!("{}{}", own.name, self.suffix));
            // Through a rename: a program may have the old one open.
            let part = out.join(format!("{}{}.part", own.name, self.suffix));
            finish(&made(&own), &part)?;
            fs::rename(&part, &path).with_context(|| format!("writing `{}`", path.display()))?;
            Ok(Built {
                name: own.name,
                path,
            })
        });
        built.collect()
    }
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
                "`{}` is no plugin: it needs an `export_…!` of folkmoot-sdk",
                core.display()
            )
        })?;
    fs::write(path, component).with_context(|| format!("writing `{}`", path.display()))
}

/// What cargo knows of a plugin's crate.
struct Crate {
    name: String,
    /// The name in its file.
    library: String,
    /// The folder of its workspace.
    workspace: PathBuf,
}

impl Crate {
    /// The crate whose manifest lies in `folder`.
    fn read(cargo: &dyn Fn() -> Command, folder: &Path) -> Result<Self> {
        let manifest = folder.join("Cargo.toml");
        ensure!(
            manifest.is_file(),
            "`{}` holds no Cargo.toml: give the folder of a plugin crate",
            folder.display()
        );
        let manifest = fs::canonicalize(&manifest)?;
        let mut cargo = cargo();
        cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
        cargo.arg("--manifest-path").arg(&manifest);
        let output = cargo_ended(cargo.stderr(Stdio::piped()).output(), &cargo)?;
        if !output.status.success() {
            bail!(
                "`{}` is no readable manifest: {}",
                manifest.display(),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let packages = list(&metadata["packages"]);
        let own = packages
            .iter()
            .find(|package| package["manifest_path"].as_str().map(Path::new) == Some(&manifest));
        let own = own.with_context(|| format!("`{}` names no package", manifest.display()))?;
        let targets = list(&own["targets"]);
        let library = targets
            .iter()
            .find(|target| list(&target["crate_types"]).contains(&"cdylib".into()));
        let library = library.with_context(|| {
            format!(
                "`{}` is no plugin: it needs `crate-type = [\"cdylib\", \"rlib\"]` under [lib]",
                manifest.display()
            )
        })?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Self {
            name: text(&own["name"]),
            library: text(&library["name"]).replace('-', "_"),
            workspace: text(&metadata["workspace_root"]).into(),
        })
    }
}

/// What became of a cargo, or how to get one.
fn cargo_ended<T>(ended: io::Result<T>, cargo: &Command) -> Result<T> {
    ended.map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!(
            "`{}` is not there: plugins in Rust need a Rust toolchain\n\nhint: https://rustup.rs installs one",
            cargo.get_program().display()
        ),
        _ => anyhow!("running {cargo:?}: {error}"),
    })
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
