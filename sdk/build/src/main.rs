//! `folkmoot-build FOLDER… --out FOLDER`: builds plugin crates without the `folkmoot` program.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use folkmoot_build::build;
use folkmoot_build::toolchain::Toolchain;

#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program's own output"
)]
fn main() -> ExitCode {
    let mut folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let out = match folders.iter().position(|word| word == Path::new("--out")) {
        Some(at) if at + 2 == folders.len() => folders.split_off(at).pop(),
        _ => None,
    };
    let (Some(out), false) = (out, folders.is_empty()) else {
        eprintln!("usage: folkmoot-build FOLDER… --out FOLDER");
        return ExitCode::from(2);
    };
    let scratch = out.join(".build");
    match Toolchain::find().and_then(|toolchain| build(&toolchain, &folders, &scratch, &out)) {
        Ok(built) => {
            built
                .iter()
                .for_each(|plugin| println!("{}", plugin.path.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
