//! `folkmoot-c FOLDER --out FOLDER`: builds `plugin.c` to a WASM component. Bindings are wit-bindgen's, clang with
//! wasi-libc does the rest. Of wasi-libc a plugin may use what needs no system: memory, strings, mathematics.
//! Whatever else it pulls in is an import that cannot be wrapped into a component, and is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use wit_bindgen_core::{Files, wit_parser::Resolve};
use wit_component::ComponentEncoder;

const TARGET: &str = "wasm32-wasi";
const DEBIAN: &str = "apt-get install --yes clang lld wasi-libc libclang-rt-14-dev-wasm32";

/// The worlds of plugins. A plugin is of the world whose header it includes.
const WORLDS: [&str; 4] = [
    "algorithm-plugin",
    "block-kernel-plugin",
    "partitioner-plugin",
    "metric-plugin",
];

fn main() -> ExitCode {
    let words: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [folder, option, out] = words.as_slice() else {
        eprintln!("usage: folkmoot-c FOLDER --out FOLDER");
        return ExitCode::from(2);
    };
    if option != Path::new("--out") {
        eprintln!("usage: folkmoot-c FOLDER --out FOLDER");
        return ExitCode::from(2);
    }
    match compiler().and_then(|clang| build(&clang, folder, out)) {
        Ok(path) => {
            println!("{}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `CLANG`, else the `clang` on the path, if it compiles and links for WASM; else an error with the command that
/// installs one.
fn compiler() -> Result<PathBuf> {
    let clang = PathBuf::from(std::env::var_os("CLANG").unwrap_or_else(|| "clang".into()));
    let probe = std::env::temp_dir().join(format!("folkmoot-c-{}.c", std::process::id()));
    let text = "#include <stdlib.h>\nvoid *probe(size_t size) { return malloc(size); }\n";
    fs::write(&probe, text).with_context(|| format!("writing `{}`", probe.display()))?;
    let core = probe.with_extension("wasm");
    let output = command(&clang).arg(&probe).arg("-o").arg(&core).output();
    let cause = match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Some(said.lines().next().unwrap_or("it said nothing").to_owned())
        }
        Err(error) => Some(error.to_string()),
    };
    for file in [probe, core] {
        // Left behind at worst: a few hundred bytes among the temporary files.
        let _ = fs::remove_file(file);
    }
    match cause {
        None => Ok(clang),
        Some(cause) => bail!(
            "`{}` cannot compile C for {TARGET}: {cause}\n\nhint: on Debian, run `{DEBIAN}`; elsewhere, set CLANG to the clang of a wasi-sdk",
            clang.display()
        ),
    }
}

/// Writes `out/NAME.wasm`, NAME being the folder's; the bindings stay beside it, for editors.
fn build(clang: &Path, folder: &Path, out: &Path) -> Result<PathBuf> {
    let source = folder.join("plugin.c");
    let text =
        fs::read_to_string(&source).with_context(|| format!("reading `{}`", source.display()))?;
    let folder = fs::canonicalize(folder)?;
    let name = folder.file_name().context("the root folder has no name")?;
    let includes = |world: &&&str| text.contains(&format!("#include \"{}.h\"", snake(world)));
    let world = WORLDS.iter().find(includes).with_context(|| {
        let headers = WORLDS.map(|world| format!("`{}.h`", snake(world)));
        format!(
            "`{}` includes none of {}, so it is no kind of plugin",
            source.display(),
            headers.join(", ")
        )
    })?;
    let scratch = out.join(".build").join(name);
    bindings(world, &scratch)?;
    let (stem, core) = (snake(world), scratch.join("core.wasm"));
    let mut compile = command(clang);
    compile.arg("-I").arg(&scratch).arg(&source);
    compile.arg(scratch.join(format!("{stem}.c")));
    compile.arg(scratch.join(format!("{stem}_component_type.o")));
    let status = compile.arg("-o").arg(&core).status();
    let status = status.with_context(|| format!("running {compile:?}"))?;
    ensure!(
        status.success(),
        "building the plugin in `{}` failed ({status})",
        folder.display()
    );
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&fs::read(&core)?)
        .and_then(|encoder| encoder.encode())
        .with_context(|| format!("`{}` cannot become a component", core.display()))?;
    let path = out.join(name).with_extension("wasm");
    fs::write(&path, component).with_context(|| format!("writing `{}`", path.display()))?;
    Ok(path)
}

/// Writes the bindings of a world into `folder`: a header, a source, and an object that carries the contract.
fn bindings(world: &str, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("creating `{}`", folder.display()))?;
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../wit");
    let (package, _) = resolve.push_dir(&wit)?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut files = Files::default();
    let options = wit_bindgen_c::Opts {
        // What the host lends for a call is given back at its end, whatever the author does.
        autodrop_borrows: wit_bindgen_c::Enabled::Yes,
        ..wit_bindgen_c::Opts::default()
    };
    let mut generator = options.build();
    generator.generate(&mut resolve, world, &mut files)?;
    for (name, bytes) in files.iter() {
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("writing `{}`", path.display()))?;
    }
    Ok(())
}

/// clang with the same code generation for every plugin: a product and a sum are rounded one after the other.
fn command(clang: &Path) -> Command {
    let mut command = Command::new(clang);
    command.arg(format!("--target={TARGET}"));
    command.args(["-mexec-model=reactor", "-msimd128", "-O2", "-std=c11"]);
    command.args(["-ffp-contract=off", "-Wall"]);
    command
}

fn snake(world: &str) -> String {
    world.replace('-', "_")
}
