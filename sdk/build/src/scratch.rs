//! The folder for intermediate files. Plugins share one, so that what they have in common is compiled once.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cargo_ended;

/// Says in which workspace the last build here was.
const OWNER: &str = ".workspace";

/// A folder for intermediate files that no other process uses until this is dropped.
pub(crate) struct Scratch {
    pub(crate) folder: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Waits until no other process works in `folder`. Cargo locks while it compiles only: what it made must also stay
    /// until it is copied, or its tests have run.
    #[expect(
        clippy::print_stderr,
        reason = "as cargo does, where it has to wait; what it prints goes there too"
    )]
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let folder = std::path::absolute(folder)?;
        let path = folder.join(".in-use");
        let at = || format!("locking `{}`", path.display());
        fs::create_dir_all(&folder).with_context(at)?;
        let file = File::create(&path).with_context(at)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!(
                    "waiting for another build or test in `{}`",
                    folder.display()
                );
                file.lock().with_context(at)?;
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(at),
        }
        Ok(Self {
            folder,
            _lock: file,
        })
    }

    /// Removes what was made here of another workspace's crates. Cargo tells crates by their names and by their places
    /// below the workspace, so that two plugins of one name, or two copies of the SDK, are the same to it. `cargo`
    /// starts in the workspace; `selection` says for which profile and target it builds.
    pub(crate) fn belongs_to(
        &self,
        workspace: &Path,
        cargo: impl Fn() -> Command,
        selection: &[&str],
    ) -> Result<()> {
        let owner = self.folder.join(OWNER);
        let own = workspace.to_string_lossy();
        if fs::read_to_string(&owner).is_ok_and(|before| before == own) {
            return Ok(());
        }
        let mut metadata = cargo();
        metadata.args(["metadata", "--quiet", "--format-version", "1"]);
        let output = cargo_ended(metadata.stderr(Stdio::inherit()).output(), &metadata)?;
        ensure!(
            output.status.success(),
            "the crates that `{own}` needs could not be had ({})",
            output.status
        );
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
        let local = packages
            .iter()
            .filter(|package| package["source"].is_null());
        let mut clean = cargo();
        clean.args(["clean", "--quiet"]).args(selection);
        clean.arg("--target-dir").arg(&self.folder);
        for name in local.filter_map(|package| package["name"].as_str()) {
            clean.args(["--package", name]);
        }
        let status = cargo_ended(clean.status(), &clean)?;
        ensure!(
            status.success(),
            "clearing `{}` failed ({status})",
            self.folder.display()
        );
        fs::write(&owner, own.as_bytes()).with_context(|| format!("writing `{}`", owner.display()))
    }
}
