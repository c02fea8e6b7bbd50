//! Where plugins are found by name: `./plugins`, the user's folder, then those embedded in the program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::{Kind, NativeProblem, Plugin, PluginError, Sandbox};

/// A plugin that is part of the program.
#[derive(Clone, Copy)]
pub struct Embedded {
    pub name: &'static str,
    pub component: &'static [u8],
}

/// The plugins that can be named.
pub struct Library {
    folders: Vec<PathBuf>,
    embedded: &'static [Embedded],
    /// Native libraries that may run, as the file system spells them.
    allowed: Vec<PathBuf>,
}

impl Library {
    /// Searches `folders` in order, then `embedded`.
    pub fn new(folders: Vec<PathBuf>, embedded: &'static [Embedded]) -> Self {
        Self {
            folders,
            embedded,
            allowed: Vec::new(),
        }
    }

    /// Lets these native libraries run, which they do without a sandbox.
    pub fn allowing(self, paths: &[PathBuf]) -> Result<Self, PluginError> {
        let allowed = paths.iter().map(|path| canonical(path));
        let allowed = allowed.collect::<Result<_, _>>()?;
        Ok(Self { allowed, ..self })
    }

    /// Whether `reference` is a path, not a name that is searched for: it has a slash, or ends as a component or a
    /// native library does.
    pub fn is_path(reference: &str) -> bool {
        let path = Path::new(reference);
        let component = path.extension().is_some_and(|end| end == "wasm");
        reference.contains(['/', '\\']) || component || is_native(path)
    }

    /// Loads the plugin that `reference` names: a path ([`Library::is_path`]), else a name that is searched for.
    /// `kind` is for the error only. Names are of components alone.
    pub fn load(
        &self,
        sandbox: &Sandbox,
        reference: &str,
        kind: Kind,
    ) -> Result<Plugin, PluginError> {
        let path = Path::new(reference);
        if is_native(path) {
            return self.load_native(sandbox, path);
        }
        if Self::is_path(reference) {
            return load_file(sandbox, path);
        }
        if let Some(file) = self.files().get(reference) {
            return load_file(sandbox, file);
        }
        if let Some(plugin) = self.embedded.iter().find(|plugin| plugin.name == reference) {
            return Plugin::load(sandbox, plugin.name, plugin.component);
        }
        // Only names of the right kind help; a plugin that does not load cannot be meant.
        let mut known = Vec::new();
        for name in self.names() {
            if self
                .load(sandbox, &name, kind)
                .is_ok_and(|plugin| plugin.kind == kind)
            {
                known.push(name);
            }
        }
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        let nearest = nearest(reference, &names).map(str::to_owned);
        Err(PluginError::NotFound {
            name: reference.to_owned(),
            kind,
            known,
            nearest,
        })
    }

    /// Loads a native library that may run.
    fn load_native(&self, sandbox: &Sandbox, path: &Path) -> Result<Plugin, PluginError> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let file = canonical(path)?;
        if !self.allowed.contains(&file) {
            return Err(PluginError::Native {
                plugin: name.into_owned(),
                problem: NativeProblem::NotAllowed {
                    path: path.to_owned(),
                },
            });
        }
        let bytes = fs::read(&file).map_err(unreadable(path))?;
        Plugin::load_native(sandbox, &name, &bytes)
    }

    /// The name, of whatever kind, that `name` was probably meant to be.
    pub fn nearest(&self, name: &str) -> Option<String> {
        let names = self.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        nearest(name, &names).map(str::to_owned)
    }

    /// Every name that can be loaded, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.files().into_keys().collect();
        names.extend(self.embedded.iter().map(|plugin| plugin.name.to_owned()));
        names.sort();
        names.dedup();
        names
    }

    /// Where a name is found: a file, or embedded.
    pub fn place(&self, name: &str) -> String {
        match self.files().get(name) {
            Some(path) => path.display().to_string(),
            None => "embedded".into(),
        }
    }

    /// Files by name; an earlier folder wins.
    fn files(&self) -> BTreeMap<String, PathBuf> {
        let mut files = BTreeMap::new();
        for folder in &self.folders {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
            paths.sort();
            for path in paths {
                let component = path.extension().is_some_and(|end| end == "wasm");
                if let (true, Some(stem)) = (component, path.file_stem()) {
                    files
                        .entry(stem.to_string_lossy().into_owned())
                        .or_insert(path);
                }
            }
        }
        files
    }
}

fn load_file(sandbox: &Sandbox, path: &Path) -> Result<Plugin, PluginError> {
    let bytes = fs::read(path).map_err(unreadable(path))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Plugin::load(sandbox, &name, &bytes)
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> PluginError + '_ {
    |error| PluginError::Unreadable {
        path: path.to_owned(),
        cause: error.to_string(),
    }
}

/// Whether `path` is called like a shared library, of whatever system.
fn is_native(path: &Path) -> bool {
    let end = path.extension();
    end.is_some_and(|end| ["so", "dylib", "dll"].iter().any(|own| end == *own))
}

/// `path` as the file system spells it, without links.
fn canonical(path: &Path) -> Result<PathBuf, PluginError> {
    fs::canonicalize(path).map_err(unreadable(path))
}

/// The known name that `name` was probably meant to be.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let scored = known
        .iter()
        .map(|known| (strsim::jaro_winkler(name, known), *known));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(score, _)| *score > 0.75)
        .map(|(_, known)| known)
}
