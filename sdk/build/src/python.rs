//! Builds plugins written in Python to WASM components, with componentize-py: `plugin.py` and the SDK are imported
//! once while the component is built, and what they have become is its contents. What the interpreter imports of
//! WASI is replaced by traps, so that the component imports the contract and nothing else.

mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};

use crate::Built;
use crate::carried::{write, write_below};
use crate::scratch::Scratch;
pub use toolchain::{Toolchain, set_up};

/// The module that componentize-py is given: what the contract asks for, made of the plugin.
const APP: &str = "\
import plugin
from folkmoot.component import exported

_name, _class = exported(plugin)
globals()[_name] = _class
";

/// Whether `folder` holds a plugin in Python.
pub fn is_plugin(folder: &Path) -> bool {
    folder.join("plugin.py").is_file()
}

/// Builds the plugin in `folder`, whose `plugin.py` defines one class of a kind of plugin, and writes
/// `out/NAME.wasm`. NAME is that of the project in `pyproject.toml`, else the folder's. Intermediate files go under
/// `scratch`.
pub fn build(toolchain: &Toolchain, folder: &Path, scratch: &Path, out: &Path) -> Result<Built> {
    ensure!(
        is_plugin(folder),
        "`{}` holds no plugin.py: give the folder of a plugin in Python",
        folder.display()
    );
    let folder = absolute(folder)?;
    let name = project_name(&folder)?;
    let scratch = scratch.join("python").join(&name);
    fs::create_dir_all(out).with_context(|| format!("creating `{}`", out.display()))?;
    let out = absolute(out)?;
    let alone = Scratch::open(&scratch)?;
    let scratch = &alone.folder;
    // An older program may have left files there that this one does not have.
    for part in ["wit", "app", "bare"] {
        remove(&scratch.join(part))?;
    }
    let (wit, app) = (scratch.join("wit"), scratch.join("app"));
    write_below("wit", &wit)?;
    write(&app.join("folkmoot_app.py"), APP)?;
    let sdk = write_sdk(scratch)?;

    let kind = kind(toolchain, &folder, &sdk)?;
    let (path, part) = (
        out.join(format!("{name}.wasm")),
        out.join(format!("{name}.wasm.part")),
    );
    // What is installed on this machine is no part of a plugin.
    let bare = scratch.join("bare");
    let packages = bare.join("lib").join("site-packages");
    fs::create_dir_all(&packages).with_context(|| format!("creating `{}`", packages.display()))?;
    let mut componentize = toolchain.componentize();
    componentize.current_dir(scratch).env("VIRTUAL_ENV", &bare);
    componentize.arg("--quiet").arg("--wit-path").arg(&wit);
    componentize.args(["--world", &format!("{kind}-plugin")]);
    componentize.args(["componentize", "--stub-wasi"]);
    for place in [&app, &folder, &sdk] {
        componentize.arg("--python-path").arg(place);
    }
    componentize.args(["folkmoot_app", "--output"]).arg(&part);
    let output = run(&mut componentize)?;
    if !output.status.success() {
        bail!(
            "building the plugin in `{}` failed: {}",
            folder.display(),
            last_words(&output)
        );
    }
    fs::rename(&part, &path).with_context(|| format!("writing `{}`", path.display()))?;
    Ok(Built { name, path })
}

/// Writes the package `folkmoot` into a folder under `scratch` and answers that folder, which belongs on the path
/// of Python's modules.
pub fn write_sdk(scratch: &Path) -> Result<PathBuf> {
    let sdk = scratch.join("sdk");
    remove(&sdk)?;
    write_below("sdk/python/folkmoot", &sdk.join("folkmoot"))?;
    Ok(sdk)
}

/// Runs the unit tests that lie in `folder`, with the SDK under `scratch`; what they say goes to standard error.
pub fn test(folder: &Path, scratch: &Path) -> Result<()> {
    let sdk = write_sdk(&scratch.join("python"))?;
    let mut python = toolchain::interpreter()?;
    python
        .current_dir(folder)
        .env("PYTHONPATH", absolute(&sdk)?)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["-m", "unittest"]);
    let status = python
        .status()
        .with_context(|| format!("running {python:?}"))?;
    // From Python 3.12 on, that there was none.
    const NO_TEST: i32 = 5;
    ensure!(
        status.success() || status.code() == Some(NO_TEST),
        "tests of the plugin in `{}` failed ({status})",
        folder.display()
    );
    Ok(())
}

/// The interface that `plugin.py` exports: asked of Python itself, so that whatever is wrong with the file is said
/// in Python's words before anything is built.
fn kind(toolchain: &Toolchain, folder: &Path, sdk: &Path) -> Result<String> {
    let mut python = toolchain.python();
    let paths = std::env::join_paths([folder, sdk]).context("a path with a separator of paths")?;
    python.current_dir(sdk).env("PYTHONPATH", paths);
    let output = run(python.args(["-m", "folkmoot.kind", "plugin"]))?;
    ensure!(
        output.status.success(),
        "`{}` is no plugin: {}",
        folder.join("plugin.py").display(),
        last_words(&output)
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Removes a folder, if it is there.
fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing `{}`", folder.display()))
        }
        _ => Ok(()),
    }
}

fn run(command: &mut Command) -> Result<Output> {
    let output = command.output();
    output.with_context(|| format!("running {command:?}"))
}

/// The end of what a program said, where the cause stands.
fn last_words(output: &Output) -> String {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
    match lines[lines.len().saturating_sub(12)..].join("\n") {
        said if said.is_empty() => format!("it said nothing ({})", output.status),
        said => said,
    }
}

/// `[project] name` of `pyproject.toml`, else the folder's own.
fn project_name(folder: &Path) -> Result<String> {
    let path = folder.join("pyproject.toml");
    let name = match fs::read_to_string(&path) {
        Ok(text) => {
            let project: toml::Table =
                toml::from_str(&text).with_context(|| format!("reading `{}`", path.display()))?;
            let name = project.get("project").and_then(|own| own.get("name"));
            let name = name.and_then(toml::Value::as_str);
            name.with_context(|| format!("`{}` has no `name` under [project]", path.display()))?
                .to_owned()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let name = folder.file_name().map(|name| name.to_string_lossy());
            name.with_context(|| format!("`{}` has no name", folder.display()))?
                .into_owned()
        }
        Err(error) => return Err(error).with_context(|| format!("reading `{}`", path.display())),
    };
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    ensure!(
        name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.chars().all(fits),
        "`{name}` is no name of a plugin: letters, digits, `-`, `_` and `.` are"
    );
    Ok(name)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).with_context(|| format!("reading `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that goes with the test. Not `tempfile`: as a dependency of tests alone it would have other features
    /// switched on for what builds the program, and wasmtime compiled twice.
    struct Scratched(PathBuf);

    impl Scratched {
        fn new(test: &str) -> Self {
            let name = format!("folkmoot-build-{test}-{}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Scratched {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn the_project_or_the_folder_names_the_plugin() {
        let scratch = Scratched::new("names");
        let folder = scratch.0.join("half-step");
        fs::create_dir(&folder).unwrap();
        assert_eq!(project_name(&folder).unwrap(), "half-step");
        let project = folder.join("pyproject.toml");
        fs::write(&project, "[project]\nname = \"whole-step\"\n").unwrap();
        assert_eq!(project_name(&folder).unwrap(), "whole-step");
        fs::write(&project, "[project]\nname = \"../step\"\n").unwrap();
        let error = project_name(&folder).unwrap_err().to_string();
        assert!(
            error.starts_with("`../step` is no name of a plugin"),
            "{error}"
        );
        fs::write(&project, "[tool]\n").unwrap();
        let error = project_name(&folder).unwrap_err().to_string();
        assert!(error.ends_with("has no `name` under [project]"), "{error}");
    }

    #[test]
    fn a_folder_without_a_plugin_is_refused() {
        let scratch = Scratched::new("none");
        let scratch = scratch.0.as_path();
        let toolchain = Toolchain::at(scratch);
        let error = build(&toolchain, scratch, scratch, &scratch.join("out"));
        let error = error.err().unwrap().to_string();
        assert!(error.contains("holds no plugin.py"), "{error}");
    }
}
