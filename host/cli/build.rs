//! Builds the plugins of this repository and embeds their components in the program.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use folkmoot_build::toolchain::Toolchain;
use folkmoot_build::{build, plugin_folders};

#[allow(clippy::print_stdout, reason = "how a build script talks to cargo")]
fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for input in ["plugins", "sdk/rust", "wit", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={}", root.join(input).display());
    }
    let out = PathBuf::from(env::var("OUT_DIR").context("cargo sets OUT_DIR")?);
    // A folder of its own under target/: the cargo that runs this holds the lock of its own.
    let target = out
        .ancestors()
        .nth(4)
        .context("OUT_DIR lies in a target folder")?;
    let folders = plugin_folders(&root.join("plugins"))?;
    let built = build(&Toolchain::find()?, &folders, &target.join("plugins"), &out)?;
    let mut list = String::from("pub(crate) static EMBEDDED: &[folkmoot_plugin::Embedded] = &[\n");
    for plugin in built {
        writeln!(
            list,
            "    folkmoot_plugin::Embedded {{ name: {:?}, component: include_bytes!({:?}) }},",
            plugin.name, plugin.path
        )?;
    }
    list.push_str("];\n");
    fs::write(out.join("embedded.rs"), list).context("writing embedded.rs")
}
