//! `cargo xtask`: everything that is done to this repository, in Rust.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program's own output"
)]

mod bench;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use folkmoot_build::toolchain::{Toolchain, set_up};

#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Set up what is missing, build, fetch the model and the data, run the quickstart experiment
    Quickstart {
        /// Seeds to run it with, e.g. 1,2,3
        #[arg(long, value_delimiter = ',', default_value = "1")]
        seeds: Vec<u64>,
    },
    /// Set up what is missing, build, run every test; arguments go to the test runner
    Test {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build the plugins of this repository to target/plugins-out
    Plugins,
    /// Measure beside a named peer
    Bench {
        #[command(subcommand)]
        bench: bench::Bench,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Quickstart { seeds } => {
            build_program()?;
            for seed in seeds {
                let seed = format!("seed={seed}");
                let experiment = root().join("host/experiments/quickstart.toml");
                let mut folkmoot = Command::new(program());
                start(folkmoot.arg("run").arg(experiment).args(["--set", &seed]))?;
            }
            Ok(())
        }
        Task::Test { arguments } => {
            wasm_toolchain()?;
            c_toolchain();
            emulator();
            // The tests drive the program, so it is built first, with the profile and the features that
            // the tests are built with.
            start(cargo().args(["build", "--workspace", "--release"]))?;
            start(
                cargo()
                    .args(["test", "--workspace", "--release"])
                    .args(arguments),
            )
        }
        Task::Plugins => {
            let toolchain = wasm_toolchain()?;
            let folders = folkmoot_build::plugin_folders(&root().join("plugins"))?;
            let (scratch, out) = (
                root().join("target/plugins"),
                root().join("target/plugins-out"),
            );
            for plugin in folkmoot_build::build(&toolchain, &folders, &scratch, &out)? {
                println!("{}", plugin.path.display());
            }
            Ok(())
        }
        Task::Bench { bench } => bench::run(&bench),
    }
}

fn wasm_toolchain() -> Result<Toolchain> {
    set_up(&mut |line| eprintln!("{line}"))
}

/// clang for the example in C, which a test builds. Where it cannot be installed, that test says so.
fn c_toolchain() {
    let there = Path::new("/usr/include/wasm32-wasi/stdlib.h").is_file() && starts("clang");
    if !there && std::env::var_os("CLANG").is_none() {
        install("clang lld wasi-libc libclang-rt-14-dev-wasm32");
    }
}

/// QEMU for the test that compares processors. Where it cannot be installed, that test says so.
fn emulator() {
    if cfg!(all(target_arch = "x86_64", target_os = "linux")) && !starts("qemu-x86_64") {
        install("qemu-user");
    }
}

fn starts(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Debian's packages, for tests alone.
fn install(packages: &str) {
    let install = format!("apt-get install --yes {packages}");
    for command in ["apt-get update", &install] {
        eprintln!("setting up what tests need: {command}");
        let mut words = command.split(' ');
        let mut program = Command::new(words.next().unwrap_or_default());
        program
            .args(words)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout(std::process::Stdio::null());
        if let Err(error) = start(&mut program) {
            eprintln!("{error:#}");
        }
    }
}

/// Builds the program; its build script builds the plugins, for which the WASM target must be there.
pub(crate) fn build_program() -> Result<()> {
    let toolchain = wasm_toolchain()?;
    eprintln!("building folkmoot; plugins with {toolchain}");
    start(cargo().args(["build", "--release", "--package", "folkmoot"]))
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The program as cargo built it.
pub(crate) fn program() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("release/folkmoot")
}

/// Cargo, without what the one that runs this says of this package: scripts that ask for it would run again, and all
/// that rests on them would be built again, each time that cargo is called in another way.
pub(crate) fn cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command.current_dir(root());
    command
}

pub(crate) fn start(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{command:?} failed ({status})");
    Ok(())
}
