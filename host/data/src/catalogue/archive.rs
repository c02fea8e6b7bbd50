//! Single members of zip and tar.gz archives. It never unpacks a whole archive.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use flate2::read::GzDecoder;

use super::entry::Members;
use crate::nearest::nearest;

/// The bytes of each of `members` of the archive, found in one pass over it.
pub(super) fn read(archive: &Path, members: &[&str]) -> Result<Vec<Vec<u8>>> {
    let mut once: Vec<&str> = Vec::new();
    for member in members {
        if !once.contains(member) {
            once.push(member);
        }
    }
    let mut bytes = vec![Vec::new(); once.len()];
    if !once.is_empty() {
        with_members(archive, &once, |index, reader| {
            reader.read_to_end(&mut bytes[index])?;
            Ok(())
        })?;
    }
    let of = |member| {
        once.iter()
            .position(|own| own == member)
            .map(|at| bytes[at].clone())
    };
    Ok(members.iter().filter_map(of).collect())
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
    with_members(archive, &[member], |_, reader| {
        let mut file = File::create(to).with_context(|| format!("writing `{}`", to.display()))?;
        std::io::copy(reader, &mut file)?;
        Ok(())
    })
}

/// Hands over each of `members` with its index, in the order of the archive.
fn with_members(
    archive: &Path,
    members: &[&str],
    mut use_it: impl FnMut(usize, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let place = |member: &str| format!("reading `{member}` of `{}`", archive.display());
    let whole = || place(members.first().copied().unwrap_or_default());
    let file = BufReader::new(File::open(archive).with_context(whole)?);
    let name = archive
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    let (mut seen, mut missing) = (Vec::new(), members.len());
    let mut found = vec![false; members.len()];
    if name.ends_with(".zip") || name.ends_with(".whl") {
        let mut zip = zip::ZipArchive::new(file).with_context(whole)?;
        for (own, member) in members.iter().enumerate() {
            if let Some(index) = zip.index_for_name(member) {
                let at = || place(member);
                use_it(own, &mut zip.by_index(index).with_context(at)?).with_context(at)?;
                (found[own], missing) = (true, missing - 1);
            }
        }
        seen.extend(zip.file_names().flatten().map(Into::into));
    } else if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
        for item in tar::Archive::new(GzDecoder::new(file))
            .entries()
            .with_context(whole)?
        {
            if missing == 0 {
                break;
            }
            let mut item = item.with_context(whole)?;
            let path = item
                .path()
                .with_context(whole)?
                .to_string_lossy()
                .into_owned();
            if let Some(own) = members.iter().position(|member| *member == path) {
                use_it(own, &mut item).with_context(|| place(&path))?;
                (found[own], missing) = (true, missing - 1);
            }
            seen.push(path);
        }
    } else {
        bail!(
            "`{}`: not an archive that can be read: known are .zip, .whl, .tar.gz and .tgz",
            archive.display()
        );
    }
    let missing = members.iter().zip(found).find(|(_, found)| !found);
    let Some((member, _)) = missing else {
        return Ok(());
    };
    bail!(
        "`{}`: no member `{member}`{}",
        archive.display(),
        nearest(member, seen.iter().map(String::as_str))
    )
}
