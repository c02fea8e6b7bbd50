//! `folkmoot plugin new` and `update`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use folkmoot_build::scaffold::{Language, Template, create, workspace_above, write_sdk};

use crate::arguments::{NewArguments, NewKind, NewLanguage};
use crate::commands::{Done, Failure};

pub(crate) fn new(arguments: &NewArguments) -> Done {
    let template = match arguments.kind {
        NewKind::Algorithm => Template::Algorithm,
        NewKind::BlockKernel => Template::BlockKernel,
        NewKind::Partitioner => Template::Partitioner,
        NewKind::Metric => Template::Metric,
    };
    let language = match arguments.lang {
        NewLanguage::Rust => Language::Rust,
        NewLanguage::Python => Language::Python,
    };
    let name = &arguments.name;
    let folder = match &arguments.path {
        Some(folder) => folder.clone(),
        None => PathBuf::from(name),
    };
    create(&folder, name, template, language).map_err(Failure::Usage)?;
    println!("{}", folder.display());
    let source = match language {
        Language::Rust => "src/lib.rs",
        Language::Python => "plugin.py",
    };
    eprintln!(
        "wrote {article} {kind} in {language}: change `{source}`\n\nnext:\n  \
         folkmoot plugin test {folder}     its own tests, then what the host asks of every plugin\n  \
         folkmoot plugin build {folder}    writes {component}",
        article = match arguments.kind {
            NewKind::Algorithm => "an",
            NewKind::BlockKernel | NewKind::Partitioner | NewKind::Metric => "a",
        },
        kind = arguments.kind,
        source = folder.join(source).display(),
        component = folder.join(format!("{name}.wasm")).display(),
        folder = folder.display(),
    );
    if language == Language::Rust
        && let Some(manifest) = workspace_above(&folder)
    {
        eprintln!(
            "\nhint: `{}` is a workspace; where its `members` reach this folder, put it into `exclude`",
            manifest.display()
        );
    }
    Ok(())
}

pub(crate) fn update(folder: &Path) -> Done {
    let language = super::build::language(folder).map_err(Failure::Usage)?;
    carries_its_sdk(folder, language).map_err(Failure::Usage)?;
    write_sdk(folder, language).map_err(Failure::Run)?;
    eprintln!(
        "`{}` has the SDK of folkmoot {}",
        folder.display(),
        env!("CARGO_PKG_VERSION")
    );
    Ok(())
}

/// Whether a plugin's manifest points at the SDK in its own folder, the only one that is renewed.
fn carries_its_sdk(folder: &Path, language: Language) -> Result<()> {
    if language != Language::Rust {
        return Ok(());
    }
    let path = folder.join("Cargo.toml");
    let at = || format!("`{}`", path.display());
    let text = std::fs::read_to_string(&path).with_context(at)?;
    let manifest: toml::Table = toml::from_str(&text).with_context(at)?;
    let sdk = manifest
        .get("dependencies")
        .and_then(|own| own.get("folkmoot-sdk"))
        .and_then(|own| own.get("path"));
    ensure!(
        sdk.and_then(toml::Value::as_str) == Some("folkmoot/sdk/rust"),
        "{} does not take its SDK from its own folder, so there is nothing to renew\n\nhint: `folkmoot-sdk = {{ path = \"folkmoot/sdk/rust\" }}` under [dependencies]",
        at()
    );
    Ok(())
}
