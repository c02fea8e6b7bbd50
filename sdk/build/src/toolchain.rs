//! A Rust toolchain that can compile to WASM: found, or set up on request.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail, ensure};

use crate::clean_command;

/// The one target of plugins: no WASI, no JavaScript.
pub const TARGET: &str = "wasm32-unknown-unknown";

const RUSTUP: &str = "rustup target add wasm32-unknown-unknown";
const DEBIAN: &str = "apt-get install --yes rustc-web cargo-web rust-web-src";

/// A toolchain that compiles plugins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Toolchain {
    /// `cargo` whose toolchain has the target's standard library.
    Target,
    /// Debian's compiler with the library's sources, which are compiled along; its own linker is not
    /// packaged, so that of the toolchain on the path is used.
    BuildStd { linker: PathBuf },
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target => write!(f, "cargo with the target {TARGET}"),
            Self::BuildStd { .. } => {
                write!(f, "/usr/bin/cargo with the standard library's sources")
            }
        }
    }
}

impl Toolchain {
    /// The toolchain that is there, or an error with the command that installs one.
    pub fn find() -> Result<Self> {
        let libraries = ["--print", "target-libdir", "--target", TARGET];
        if printed(Path::new("rustc"), &libraries).is_some_and(|path| has_std(&path)) {
            return Ok(Self::Target);
        }
        let debian = Path::new("/usr/bin/rustc");
        if let Some(sysroot) = printed(debian, &["--print", "sysroot"])
            && sysroot
                .join("lib/rustlib/src/rust/library/std/Cargo.toml")
                .is_file()
            && Path::new("/usr/bin/cargo").is_file()
            && let Some(linker) = linker(&[sysroot])
        {
            return Ok(Self::BuildStd { linker });
        }
        ensure!(
            printed(Path::new("rustc"), &["--print", "sysroot"]).is_some(),
            "there is no Rust toolchain on the path\n\nhint: https://rustup.rs installs one; then run `{RUSTUP}`"
        );
        bail!(
            "no Rust toolchain here can compile to {TARGET}\n\nhint: run `{RUSTUP}`; where rustup cannot, on Debian: `{DEBIAN}`"
        )
    }

    /// `cargo` of this toolchain, ready for a subcommand.
    pub fn cargo(&self) -> Command {
        match self {
            Self::Target => clean_command(Path::new("cargo")),
            Self::BuildStd { linker } => {
                let mut cargo = clean_command(Path::new("/usr/bin/cargo"));
                // Unstable flags on a stable compiler: the price of a target without a packaged library.
                cargo
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("RUSTC", "/usr/bin/rustc");
                cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
                cargo.args(["-Z", "build-std=std,panic_abort"]);
                cargo
            }
        }
    }
}

/// The toolchain that is there, or else one installed now; `say` is told every command before it runs.
pub fn set_up(say: &mut dyn FnMut(&str)) -> Result<Toolchain> {
    if let Ok(found) = Toolchain::find() {
        return Ok(found);
    }
    let attempts: [&[&str]; 2] = [&[RUSTUP], &["apt-get update", DEBIAN]];
    for commands in attempts {
        let run = |command: &&str| {
            say(&format!("setting up the WASM target: {command}"));
            let mut words = command.split(' ');
            let program = words.next().unwrap_or_default();
            let status = Command::new(program)
                .args(words)
                .env("DEBIAN_FRONTEND", "noninteractive")
                .stdout(std::process::Stdio::null())
                .status();
            match status {
                Ok(status) if status.success() => true,
                Ok(status) => {
                    say(&format!("`{command}` failed ({status})"));
                    false
                }
                Err(error) => {
                    say(&format!("`{command}` did not start: {error}"));
                    false
                }
            }
        };
        if commands.iter().all(run)
            && let Ok(found) = Toolchain::find()
        {
            return Ok(found);
        }
    }
    Toolchain::find()
}

/// The path that `program arguments` prints, if it runs.
fn printed(program: &Path, arguments: &[&str]) -> Option<PathBuf> {
    let output = clean_command(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success()).then(|| PathBuf::from(text.trim()))
}

fn has_std(libraries: &Path) -> bool {
    let entries = std::fs::read_dir(libraries).into_iter().flatten().flatten();
    entries
        .into_iter()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

/// `rust-lld` of the given toolchain or of the one on the path, else `wasm-ld`'s kin on the path.
fn linker(sysroots: &[PathBuf]) -> Option<PathBuf> {
    let host = printed(Path::new("rustc"), &["--print", "sysroot"]);
    let host_triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let candidates = sysroots.iter().cloned().chain(host);
    let lld = candidates.map(|root| {
        root.join("lib/rustlib")
            .join(&host_triple)
            .join("bin/rust-lld")
    });
    lld.into_iter().find(|path| path.is_file())
}
