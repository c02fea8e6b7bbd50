//! componentize-py in an environment of its own: found, or set up on request.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::clean_command;
use crate::scratch::Scratch;

/// What is installed: one version, so that a plugin is built with the same interpreter everywhere.
const VERSION: &str = "0.25.1";

/// The oldest Python that the SDK runs on outside of a component.
const OLDEST: (u32, u32) = (3, 10);

/// An environment that has componentize-py.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Toolchain {
    folder: PathBuf,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "componentize-py {VERSION} in `{}`",
            self.folder.display()
        )
    }
}

impl Toolchain {
    /// The environment under `cache`, whether it is there or not.
    pub(super) fn at(cache: &Path) -> Self {
        Self {
            folder: cache.join(format!("componentize-py-{VERSION}")),
        }
    }

    /// The environment that was set up under `cache`, or an error with the command that does it.
    pub fn find(cache: &Path) -> Result<Self> {
        let own = Self::at(cache);
        let output = own.componentize().arg("--version").output();
        let works = output.is_ok_and(|output| {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            output.status.success() && said.split_whitespace().any(|word| word == VERSION)
        });
        ensure!(
            works,
            "componentize-py {VERSION}, which makes components of Python, is not set up in `{folder}`\n\nhint: run `python3 -m venv {folder} && {python} -m pip install componentize-py=={VERSION}`",
            folder = own.folder.display(),
            python = own.program("python").display(),
        );
        Ok(own)
    }

    /// Python of this environment.
    pub(super) fn python(&self) -> Command {
        bare(&self.program("python"))
    }

    /// componentize-py of this environment.
    pub(super) fn componentize(&self) -> Command {
        let mut command = bare(&self.program("componentize-py"));
        // What hashes of texts are seeded with becomes part of the component.
        command.env("PYTHONHASHSEED", "0");
        command
    }

    fn program(&self, name: &str) -> PathBuf {
        match cfg!(windows) {
            true => self.folder.join("Scripts").join(format!("{name}.exe")),
            false => self.folder.join("bin").join(name),
        }
    }
}

/// The environment that is there under `cache`, or else one set up now; `say` is told every command before it runs.
pub fn set_up(cache: &Path, say: &mut dyn FnMut(&str)) -> Result<Toolchain> {
    if let Ok(found) = Toolchain::find(cache) {
        return Ok(found);
    }
    let own = Toolchain::at(cache);
    let _alone = Scratch::open(cache)?;
    // Whoever held it may have set it up.
    if let Ok(found) = Toolchain::find(cache) {
        return Ok(found);
    }
    let mut environment = interpreter()?;
    environment.args(["-m", "venv", "--clear"]).arg(&own.folder);
    let mut install = own.python();
    install.args(["-m", "pip", "install", "--quiet"]);
    install.arg(format!("componentize-py=={VERSION}"));
    let steps = [
        (
            &mut environment,
            "on Debian, `apt-get install --yes python3-venv` gives Python its environments",
        ),
        (
            &mut install,
            "pip takes it from the network; its settings (PIP_INDEX_URL, PIP_FIND_LINKS) may name another place",
        ),
    ];
    for (command, hint) in steps {
        let words: Vec<_> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy())
            .collect();
        let words = words.join(" ");
        say(&format!("setting up componentize-py: {words}"));
        let output = command.output();
        let output = output.with_context(|| format!("running `{words}`"))?;
        ensure!(
            output.status.success(),
            "`{words}` failed: {}\n\nhint: {hint}",
            super::last_words(&output)
        );
    }
    Toolchain::find(cache)
}

/// Python on the path, not older than the SDK allows.
pub(super) fn interpreter() -> Result<Command> {
    let mut found = None;
    for name in ["python3", "python"] {
        let version = "import sys; print(*sys.version_info[:2])";
        let output = bare(Path::new(name)).args(["-c", version]).output();
        let Ok(output) = output else { continue };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut numbers = text.split_whitespace().flat_map(str::parse);
        let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
            continue;
        };
        if (major, minor) >= OLDEST {
            return Ok(bare(Path::new(name)));
        }
        found.get_or_insert(format!("`{name}` is Python {major}.{minor}"));
    }
    let found = found.unwrap_or_else(|| "there is none on the path".into());
    bail!(
        "plugins in Python need Python {}.{} or later, {found}\n\nhint: on Debian, `apt-get install --yes python3 python3-venv`",
        OLDEST.0,
        OLDEST.1
    )
}

/// A Python program that sees nothing of the environment it may be called from.
fn bare(program: &Path) -> Command {
    let mut command = clean_command(program);
    for name in ["PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"] {
        command.env_remove(name);
    }
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_the_command() {
        let nowhere = Path::new("/nonexistent");
        let error = Toolchain::find(nowhere).unwrap_err().to_string();
        assert!(
            error.contains("hint: run `python3 -m venv ")
                && error.contains("/bin/python -m pip install componentize-py==0.25.1`"),
            "{error}"
        );
    }
}
