//! `folkmoot run --watch`: builds a plugin's folder anew whenever its source changes, beside the run.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::plugin::build::component;

/// Between two looks at the source.
const PAUSE: Duration = Duration::from_millis(400);

/// Looks that may fail before it is said.
const PATIENCE: u32 = 10;

/// A folder that is being watched.
pub(crate) struct Watch {
    /// The component as it was built first.
    pub(crate) component: PathBuf,
    /// A later one that no round has begun with yet.
    ready: Arc<Mutex<Option<Vec<u8>>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Builds the plugin in `folder`, and begins to watch it; `say` is told what becomes of changes.
    pub(crate) fn start(folder: &Path, say: impl Fn(&str) + Send + 'static) -> Result<Self> {
        let mut seen =
            sources(folder).with_context(|| format!("--watch `{}`", folder.display()))?;
        let component_path = component(folder, None)?;
        let ready: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
        let over = Arc::new(AtomicBool::new(false));
        let thread = {
            let (folder, ready, over) = (folder.to_owned(), ready.clone(), over.clone());
            std::thread::Builder::new()
                .name("plugin-watch".into())
                .spawn(move || {
                    let mut missed = 0;
                    while !over.load(Ordering::Relaxed) {
                        std::thread::sleep(PAUSE);
                        let now = match sources(&folder) {
                            Ok(now) => now,
                            // An editor may be at work: a file that is gone for a moment is no news.
                            Err(error) => {
                                missed += 1;
                                if missed == PATIENCE {
                                    say(&format!(
                                        "cannot be read, the run goes on as it is: {error}"
                                    ));
                                }
                                continue;
                            }
                        };
                        missed = 0;
                        if now == seen {
                            continue;
                        }
                        seen = now;
                        let built = component(&folder, None)
                            .and_then(|path| std::fs::read(path).context("reading the component"));
                        match built {
                            Ok(bytes) => {
                                say("built: the next round begins with it");
                                *ready.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
                            }
                            Err(error) => {
                                say(&format!("not built, the run goes on as it was: {error:#}"));
                            }
                        }
                    }
                })?
        };
        Ok(Self {
            component: component_path,
            ready,
            over,
            thread: Some(thread),
        })
    }

    /// The latest component that was built since the last time it was asked for.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        self.ready
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It only fails where it panicked, which has been printed.
            drop(thread.join());
        }
    }
}

/// A digest of every source file under `folder`.
fn sources(folder: &Path) -> Result<[u8; 32]> {
    let mut digest = Sha256::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder)?;
        let mut paths = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>>>()?;
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Among them what editors put there while a file is open.
            if name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                if !["target", "__pycache__"].contains(&&*name) {
                    folders.push(path);
                }
                continue;
            }
            let source = ["rs", "toml", "py", "c", "h", "wit"];
            let end = path.extension().unwrap_or_default().to_string_lossy();
            if source.contains(&&*end) {
                digest.update(path.to_string_lossy().as_bytes());
                digest.update([0]);
                digest.update(std::fs::read(&path)?);
            }
        }
    }
    Ok(digest.finalize().into())
}
