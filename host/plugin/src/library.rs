//! Where plugins are found by name: `./plugins`, the user's folder, then those embedded in the program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Kind, Plugin, PluginError, Sandbox};

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
}

impl Library {
    /// Searches `folders` in order, then `embedded`.
    pub fn new(folders: Vec<PathBuf>, embedded: &'static [Embedded]) -> Self {
        Self { folders, embedded }
    }

    /// Loads the plugin that `reference` names: a path to a component (it has a slash or ends in
    /// `.wasm`), else a name that is searched for. `kind` is for the error only.
    pub fn load(
        &self,
        sandbox: &Sandbox,
        reference: &str,
        kind: Kind,
    ) -> Result<Plugin, PluginError> {
        let path = Path::new(reference);
        if reference.contains(['/', '\\']) || path.extension().is_some_and(|end| end == "wasm") {
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
    let bytes = fs::read(path).map_err(|error| PluginError::Unreadable {
        path: path.to_owned(),
        cause: error.to_string(),
    })?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Plugin::load(sandbox, &name, &bytes)
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
