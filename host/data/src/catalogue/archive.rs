//! Single members of zip and tar.gz archives. It never unpacks a whole archive.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use flate2::read::GzDecoder;

use super::entry::Members;
use crate::nearest::nearest;

/// The bytes of `member` of the archive.
pub(super) fn read(archive: &Path, member: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    with_member(archive, member, |reader| {
        reader.read_to_end(&mut bytes)?;
        Ok(())
    })?;
    Ok(bytes)
}

/// Writes the archive's wanted member to `to`, or all of it where none is wanted.
pub(super) fn extract(archive: &Path, member: Option<&Members>, to: &Path) -> Result<()> {
    let Some(member) = member else {
        let copied = std::fs::copy(archive, to);
        copied.with_context(|| format!("writing `{}`", to.display()))?;
        return Ok(());
    };
    extract_nested(archive, member.path(), to)
}

/// Writes the member at the end of the path through nested archives to `to`.
fn extract_nested(archive: &Path, members: &[String], to: &Path) -> Result<()> {
    let [member, deeper @ ..] = members else {
        bail!("`{}`: no member asked for", archive.display())
    };
    if deeper.is_empty() {
        return copy(archive, member, to);
    }
    let folder = tempfile::tempdir()?;
    let name = Path::new(member)
        .file_name()
        .ok_or_else(|| anyhow!("`{member}` is not the name of a file"))?;
    let inner = folder.path().join(name);
    copy(archive, member, &inner)?;
    extract_nested(&inner, deeper, to)
}

fn copy(archive: &Path, member: &str, to: &Path) -> Result<()> {
    with_member(archive, member, |reader| {
        let mut file = File::create(to).with_context(|| format!("writing `{}`", to.display()))?;
        std::io::copy(reader, &mut file)?;
        Ok(())
    })
}

fn with_member(
    archive: &Path,
    member: &str,
    mut use_it: impl FnMut(&mut dyn Read) -> Result<()>,
) -> Result<()> {
    let place = || format!("reading `{member}` of `{}`", archive.display());
    let file = BufReader::new(File::open(archive).with_context(place)?);
    let name = archive
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    let mut seen = Vec::new();
    if name.ends_with(".zip") || name.ends_with(".whl") {
        let mut zip = zip::ZipArchive::new(file).with_context(place)?;
        if let Some(index) = zip.index_for_name(member) {
            return use_it(&mut zip.by_index(index).with_context(place)?).with_context(place);
        }
        seen.extend(zip.file_names().flatten().map(Into::into));
    } else if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
        for item in tar::Archive::new(GzDecoder::new(file))
            .entries()
            .with_context(place)?
        {
            let mut item = item.with_context(place)?;
            let path = item
                .path()
                .with_context(place)?
                .to_string_lossy()
                .into_owned();
            if path == member {
                return use_it(&mut item).with_context(place);
            }
            seen.push(path);
        }
    } else {
        bail!(
            "`{}`: not an archive that can be read: known are .zip, .whl, .tar.gz and .tgz",
            archive.display()
        );
    }
    bail!(
        "`{}`: no member `{member}`{}",
        archive.display(),
        nearest(member, seen.iter().map(String::as_str))
    )
}
