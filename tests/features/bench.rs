use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};

use folkmoot_build::toolchain::Toolchain;
use folkmoot_data::{Catalogue, Progress};
use folkmoot_plugin::{Kind, Library, Limits, Plugin, Sandbox};
use folkmoot_train::{Base, Form};
use serde_json::Value;

/// This crate's folder.
pub(crate) fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    here().parent().unwrap()
}

/// A JSON file of `golden/`.
pub(crate) fn golden(name: &str) -> Value {
    let text = std::fs::read_to_string(here().join("golden").join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The target folder of this build's profile.
pub(crate) fn target() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(2).unwrap().to_owned()
}

/// The program, run from `folder`.
pub(crate) fn folkmoot(folder: &Path) -> Command {
    let program = target().join("folkmoot");
    assert!(
        program.is_file(),
        "`{}` is not built: run `cargo xtask test`",
        program.display()
    );
    let mut command = Command::new(program);
    command.current_dir(folder);
    command
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The cache that the program uses too.
pub(crate) fn cache() -> PathBuf {
    match std::env::var_os("FOLKMOOT_CACHE") {
        Some(folder) => PathBuf::from(folder),
        None => dirs::cache_dir().unwrap().join("folkmoot"),
    }
}

/// A file of the catalogue, in the cache that the program uses too.
pub(crate) fn fetched(name: &str) -> PathBuf {
    // Tests of one process take turns, lest they fetch the same file at the same time.
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap();
    let catalogue = Catalogue::new(None).unwrap();
    let mut told = |progress| {
        if let Progress::Note(note) = progress {
            eprintln!("{note}");
        }
    };
    catalogue
        .get(name)
        .unwrap()
        .fetch(&cache().join("files"), &mut told)
        .unwrap()
}

/// The GGUF file of SmolLM2-135M-Instruct.
pub(crate) fn model_file() -> PathBuf {
    fetched("smollm2-135m-instruct")
}

/// Its weights, read once.
pub(crate) fn model() -> Arc<Base> {
    static MODEL: OnceLock<Arc<Base>> = OnceLock::new();
    MODEL
        .get_or_init(|| Arc::new(Base::read(&model_file(), Form::default()).unwrap()))
        .clone()
}

/// A sandbox with a cache of its own.
pub(crate) fn sandbox(limits: Limits) -> Sandbox {
    static CACHE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let cache = CACHE.get_or_init(|| tempfile::tempdir().unwrap());
    Sandbox::new(limits, cache.path(), Arc::new(|_| {})).unwrap()
}

/// Where this repository's plugins lie as components, built with the code that embeds them.
pub(crate) fn built_plugins() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let out = target().join("test-plugins");
        let folders = folkmoot_build::plugin_folders(&root().join("plugins")).unwrap();
        let scratch = target().parent().unwrap().join("plugins");
        folkmoot_build::build(&Toolchain::find().unwrap(), &folders, &scratch, &out).unwrap();
        out
    })
}

/// A plugin of this repository in the sandbox.
pub(crate) fn plugin(name: &str, kind: Kind) -> Plugin {
    let library = Library::new(vec![built_plugins().to_owned()], &[]);
    library
        .load(&sandbox(Limits::default()), name, kind)
        .unwrap()
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|number| number.as_f64().unwrap())
        .collect()
}

pub(crate) fn ids(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_u64().unwrap() as u32)
        .collect()
}

/// Fails unless |found - expected| ≤ tolerance · |expected|.
#[track_caller]
pub(crate) fn close(what: &str, found: f64, expected: f64, tolerance: f64) {
    let off = (found - expected).abs();
    assert!(
        off <= tolerance * expected.abs(),
        "{what}: {found} where {expected} is expected, off by {:.2e} relative",
        off / expected.abs()
    );
}
