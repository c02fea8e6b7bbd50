//! Embeds what a new plugin's folder is made of: the SDK, the contract, the templates.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// What a plugin's author gets, relative to the repository.
const PARTS: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    "sdk/python/folkmoot",
    "sdk/rust",
    "sdk/templates",
    "wit",
];

#[allow(clippy::print_stdout, reason = "how a build script talks to cargo")]
fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for part in PARTS {
        println!("cargo:rerun-if-changed={}", root.join(part).display());
        collect(&root.join(part), part, &mut files)?;
    }
    files.sort();
    let mut list = String::from("pub(crate) static FILES: &[(&str, &str)] = &[\n");
    for (name, path) in files {
        let path = fs::canonicalize(path)?;
        writeln!(list, "    ({name:?}, include_str!({path:?})),").map_err(std::io::Error::other)?;
    }
    list.push_str("];\n");
    let out = env::var_os("OUT_DIR").ok_or_else(|| std::io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join("files.rs"), list)
}

/// The files under `path`, each with its name relative to the repository.
fn collect(path: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) -> std::io::Result<()> {
    if !path.is_dir() {
        files.push((name.to_owned(), path.to_owned()));
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let own = entry.file_name();
        // What tools leave behind.
        if ["target", "__pycache__"].iter().any(|left| own == *left) {
            continue;
        }
        collect(
            &entry.path(),
            &format!("{name}/{}", own.to_string_lossy()),
            files,
        )?;
    }
    Ok(())
}
