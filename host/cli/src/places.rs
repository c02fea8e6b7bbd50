//! Where folkmoot keeps things on this machine.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use folkmoot_engine::{Place, Places, Workers};
use folkmoot_plugin::{Library, Limits, Listener, Sandbox};

use crate::arguments::ExperimentArguments;
use crate::embedded::EMBEDDED;

/// `FOLKMOOT_CACHE`, else the user's cache folder.
pub(crate) fn cache() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("FOLKMOOT_CACHE") {
        return std::path::absolute(&folder).context("FOLKMOOT_CACHE");
    }
    let folder = dirs::cache_dir().context("no cache folder is known; set FOLKMOOT_CACHE")?;
    Ok(folder.join("folkmoot"))
}

/// Plugins by name: `./plugins`, the user's folder, then the embedded ones; and these native libraries by path.
pub(crate) fn library(native: &[PathBuf]) -> Result<Library> {
    let mut folders = vec![PathBuf::from("plugins")];
    folders.extend(dirs::data_dir().map(|folder| folder.join("folkmoot/plugins")));
    let library = Library::new(folders, EMBEDDED).allowing(native);
    library.context("--allow-native")
}

pub(crate) fn sandbox(listener: Listener) -> Result<Sandbox> {
    let compiled = cache()?.join("compiled");
    Ok(Sandbox::new(Limits::default(), &compiled, listener)?)
}

/// How many threads to use; also those of the arithmetic on parameters.
pub(crate) fn threads(asked: Option<usize>) -> Result<usize> {
    let threads = match asked {
        Some(threads) => threads.max(1),
        None => std::thread::available_parallelism()
            .context("counting processors")?
            .get(),
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build_global().context("starting threads")?;
    Ok(threads)
}

/// The user's own entries of the catalogue, if there are any.
pub(crate) fn catalogue() -> Option<PathBuf> {
    let folder = dirs::config_dir()?.join("folkmoot/catalogue");
    folder.is_dir().then_some(folder)
}

/// The user's own benchmarks, if there are any.
pub(crate) fn benchmarks() -> Option<PathBuf> {
    let folder = dirs::config_dir()?.join("folkmoot/benchmarks");
    folder.is_dir().then_some(folder)
}

/// Where `--device` means.
pub(crate) fn place(device: &str) -> Result<Place> {
    let (kind, number) = device.split_once(':').unwrap_or((device, "0"));
    let place = match kind {
        "cpu" if device == kind => Place::Cpu,
        "cuda" => {
            let number = number.parse();
            Place::Cuda(
                number.with_context(|| format!("--device {device}: `{kind}:N` takes a number"))?,
            )
        }
        _ => bail!("--device {device}: cpu, cuda or cuda:N"),
    };
    ensure!(
        place == Place::Cpu || cfg!(feature = "cuda"),
        "--device {device}: this program was built without CUDA; build it with `cargo build --release --features cuda`"
    );
    Ok(place)
}

pub(crate) fn places(arguments: &ExperimentArguments, listener: Listener) -> Result<Places> {
    let threads = threads(arguments.threads)?;
    Ok(Places {
        cache: cache()?.join("files"),
        compiled: cache()?.join("compiled"),
        answers: cache()?.join("answers"),
        catalogue: catalogue(),
        library: library(&arguments.native.allow_native)?,
        sandbox: sandbox(listener)?,
        workers: Workers::new(threads),
        place: place(&arguments.device)?,
    })
}
