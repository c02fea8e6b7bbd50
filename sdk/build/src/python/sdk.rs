//! The Python SDK, carried along.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::contract::{Carried, write};

macro_rules! carried {
    ($($file:literal)*) => {
        &[$(($file, include_str!(concat!("../../../python/folkmoot/", $file)))),*]
    };
}

/// The files of `sdk/python/folkmoot/`.
const FILES: &[Carried] = carried! {
    "__init__.py" "backend.py" "choices.py" "component.py" "data.py" "evaluation.py" "kind.py"
    "memory/__init__.py" "memory/data.py" "memory/evaluation.py" "memory/params.py" "memory/run.py"
    "metric.py" "params.py" "plugin.py" "refusal.py" "run.py" "settings.py" "single.py" "statistics.py"
    "testing.py"
};

/// Writes the package `folkmoot` into a folder under `scratch` and answers that folder, which belongs on the path
/// of Python's modules.
pub fn write_sdk(scratch: &Path) -> Result<PathBuf> {
    let sdk = scratch.join("sdk");
    write(FILES, &sdk.join("folkmoot"))?;
    Ok(sdk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::listed;

    #[test]
    fn the_whole_sdk_is_carried() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python/folkmoot");
        let mut carried: Vec<&str> = FILES.iter().map(|file| file.0).collect();
        carried.sort_unstable();
        assert_eq!(carried, listed(&folder, ".py"));
    }
}
