//! A folder for a new plugin: a template with its names filled in, and beside it the SDK of this program, so
//! that the folder builds wherever it is taken.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::carried::{below, text, write, write_below};

/// What an author writes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    Rust,
    Python,
}

/// What is to be written; algorithms come in two styles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Template {
    Algorithm,
    BlockKernel,
    Partitioner,
    Metric,
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "rust",
            Self::Python => "python",
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Algorithm => "algorithm",
            Self::BlockKernel => "block-kernel",
            Self::Partitioner => "partitioner",
            Self::Metric => "metric",
        })
    }
}

/// Where the SDK lies in a plugin's folder.
const SDK: &str = "folkmoot";

/// Writes the template to `folder`, which must not hold anything.
pub fn create(folder: &Path, name: &str, template: Template, language: Language) -> Result<()> {
    check_name(name)?;
    let at = || format!("plugin folder `{}`", folder.display());
    let occupied = folder.exists()
        && folder
            .read_dir()
            .map_or(true, |mut files| files.next().is_some());
    ensure!(!occupied, "{} is there already and not empty", at());
    let mut written = 0;
    for (path, text) in below(&format!("sdk/templates/{language}-{template}")) {
        let text = text.replace("{{name}}", name);
        let text = text.replace("{{Name}}", &type_name(name));
        write(&folder.join(path), &text).with_context(at)?;
        written += 1;
    }
    ensure!(
        written > 0,
        "there is no template for a {template} in {language}"
    );
    write_sdk(folder, language)
}

/// Puts the SDK of this program into a plugin's folder, in place of the one that is there.
pub fn write_sdk(folder: &Path, language: Language) -> Result<()> {
    let sdk = folder.join(SDK);
    if sdk.exists() {
        let at = || format!("SDK in `{}`", sdk.display());
        ensure!(
            is_sdk(&sdk),
            "{} was not written by `folkmoot plugin`; it is left as it is",
            at()
        );
        fs::remove_dir_all(&sdk).with_context(at)?;
    }
    match language {
        Language::Python => write_below("sdk/python/folkmoot", &sdk),
        Language::Rust => {
            write_below("sdk/rust", &sdk.join("sdk/rust"))?;
            write_below("wit", &sdk.join("wit"))?;
            write(&sdk.join("Cargo.toml"), &workspace()?)?;
            // The versions that this program was built and tested with; cargo drops what the plugin does not need.
            let lock = folder.join("Cargo.lock");
            match lock.exists() {
                true => Ok(()),
                false => write(&lock, text("Cargo.lock")?),
            }
        }
    }
}

/// Whether a folder is one that [`write_sdk`] wrote, and holds no repository.
fn is_sdk(folder: &Path) -> bool {
    let file = |path: &str| folder.join(path).is_file();
    let ours = file("sdk/rust/Cargo.toml") || file("component.py");
    ours && !folder.join(".git").exists() && !folder.join("host").exists()
}

/// A manifest above `folder` that is a workspace's: its members may take `folder` in.
pub fn workspace_above(folder: &Path) -> Option<PathBuf> {
    let folder = std::path::absolute(folder).ok()?;
    let manifests = folder.ancestors().skip(1).map(|own| own.join("Cargo.toml"));
    manifests.into_iter().find(|path| {
        let text = fs::read_to_string(path).ok();
        let manifest = text.and_then(|text| text.parse::<toml::Table>().ok());
        manifest.is_some_and(|manifest| manifest.contains_key("workspace"))
    })
}

/// The manifest that the SDK's own inherits from: what it needs of the repository's.
fn workspace() -> Result<String> {
    let root: toml::Table = toml::from_str(text("Cargo.toml")?).context("manifest")?;
    let sdk: toml::Table = toml::from_str(text("sdk/rust/Cargo.toml")?).context("manifest")?;
    let mut workspace = root["workspace"]
        .as_table()
        .cloned()
        .context("manifest without a workspace")?;
    workspace.remove("default-members");
    workspace.insert("members".into(), vec!["sdk/rust"].into());
    let mut needed: Vec<String> = Vec::new();
    dependencies(&sdk, &mut needed);
    if let Some(all) = workspace
        .get_mut("dependencies")
        .and_then(|own| own.as_table_mut())
    {
        all.retain(|name, _| needed.iter().any(|own| own.as_str() == name));
    }
    let whole = toml::Table::from_iter([("workspace".to_owned(), workspace.into())]);
    Ok(toml::to_string(&whole)?)
}

/// The names in every `dependencies` of a manifest.
fn dependencies(manifest: &toml::Table, names: &mut Vec<String>) {
    for (key, value) in manifest {
        match value.as_table() {
            Some(table) if key == "dependencies" => names.extend(table.keys().cloned()),
            Some(table) => dependencies(table, names),
            None => {}
        }
    }
}

/// Names that cargo, rustc or the templates would trip over: crates, keywords, types of the SDK.
const TAKEN: &str = "test core std alloc proc-macro folkmoot serde schemars folkmoot-sdk \
    abstract as async await become box break const continue crate do dyn else enum extern false final fn for \
    gen if impl in let loop macro match mod move mut override priv pub ref return self static struct super \
    trait true try type typeof unsafe unsized use virtual where while yield \
    algorithm answers block-kernel client dataset deserialize error-of example generation json-schema metric \
    none observations params partitioner questions refusal reply result round score-info scores state string \
    update updates vec";

/// Lower-case words joined by hyphens, as crates are named.
fn check_name(name: &str) -> Result<()> {
    if !is_name(name) {
        let words = name.split(|c: char| !c.is_ascii_alphanumeric());
        let words = words.filter(|word| !word.is_empty()).map(str::to_lowercase);
        let nearest = words.collect::<Vec<_>>().join("-");
        bail!(
            "plugin name `{name}`: lower-case words joined by hyphens are expected{}",
            match is_name(&nearest) {
                _ if name.contains(['/', '\\']) => "\n\nhint: --path says where".to_owned(),
                true => format!("\n\nhint: `{nearest}`"),
                false => String::new(),
            }
        );
    }
    ensure!(
        !TAKEN.split_whitespace().any(|taken| taken == name),
        "plugin name `{name}` is taken: it is a keyword, a crate or a type of the SDK"
    );
    Ok(())
}

fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut words = name.split('-');
    words.all(|word| !word.is_empty() && word.chars().all(letter))
        && name.starts_with(|c: char| c.is_ascii_lowercase())
}

/// `fed-avg-m` as `FedAvgM`.
fn type_name(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_crates() {
        assert!(check_name("fed-avg-2").is_ok());
        for bad in [
            "", "FedAvg", "fed_avg", "2fast", "a--b", "-a", "é", "../x", "test",
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        let error = check_name("Fed Avg").unwrap_err().to_string();
        assert!(error.ends_with("hint: `fed-avg`"), "{error}");
        assert_eq!(type_name("fed-avg-2"), "FedAvg2");
    }

    #[test]
    fn the_sdk_inherits_just_what_it_needs() {
        let text = workspace().unwrap();
        assert!(text.contains("wit-bindgen") && text.contains("[workspace.lints"));
        assert!(!text.contains("wasmtime") && !text.contains("default-members"));
    }
}
