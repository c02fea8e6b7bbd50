//! Messages and states as bytes, to pass through a federation and to lie in a checkpoint.
//!
//! A parcel is a length-prefixed JSON head (names, scalars, bytes) and one safetensors file per named
//! `params`, in order. Equal contents give equal bytes. A parcel is mapped, not read: its scalars stay in
//! the file until they are used.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use folkmoot_params::Params;
use folkmoot_plugin::{Message, State};
use memmap2::Mmap;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Head {
    params: Vec<(String, u64)>,
    scalars: BTreeMap<String, f64>,
    bytes: BTreeMap<String, Vec<u8>>,
}

type Contents = (
    BTreeMap<String, Params>,
    BTreeMap<String, f64>,
    BTreeMap<String, Vec<u8>>,
);

pub(crate) fn pack_message(message: &Message) -> Result<Vec<u8>> {
    pack(&message.params, &message.scalars, &message.bytes)
}

/// The message in the file at `path`, which must not change, but may be removed.
pub(crate) fn open_message(path: &Path) -> Result<Message> {
    let (params, scalars, bytes) = open(path)?;
    Ok(Message {
        params,
        scalars,
        bytes,
    })
}

/// The state in the file at `path`, which must not change, but may be removed.
pub(crate) fn open_state(path: &Path) -> Result<State> {
    let (params, _, bytes) = open(path)?;
    Ok(State { params, bytes })
}

pub(crate) fn pack_state(state: &State) -> Result<Vec<u8>> {
    pack(&state.params, &BTreeMap::new(), &state.bytes)
}

fn pack(
    params: &BTreeMap<String, Params>,
    scalars: &BTreeMap<String, f64>,
    bytes: &BTreeMap<String, Vec<u8>>,
) -> Result<Vec<u8>> {
    let mut files = Vec::new();
    for (name, params) in params {
        files.push((
            name.clone(),
            params
                .to_safetensors()
                .with_context(|| format!("parcel `{name}`"))?,
        ));
    }
    if let Some((name, value)) = scalars.iter().find(|(_, value)| !value.is_finite()) {
        anyhow::bail!("scalar `{name}` of a message is {value}");
    }
    let head = serde_json::to_vec(&Head {
        params: files
            .iter()
            .map(|(name, file)| (name.clone(), file.len() as u64))
            .collect(),
        scalars: scalars.clone(),
        bytes: bytes.clone(),
    })?;
    // Spaces up to eight bytes: the scalars behind are read in place.
    let padded = head.len().next_multiple_of(8);
    let mut parcel = (padded as u64).to_le_bytes().to_vec();
    parcel.extend(&head);
    parcel.resize(8 + padded, b' ');
    files.iter().for_each(|(_, file)| parcel.extend(file));
    Ok(parcel)
}

fn open(path: &Path) -> Result<Contents> {
    let at = || format!("parcel `{}`", path.display());
    let file = File::open(path).with_context(at)?;
    // SAFETY: a map is only undefined behaviour where the file is changed while it lives: parcels lie in
    // folders of this program, which writes them whole and then only removes them.
    #[allow(unsafe_code, reason = "the only way to map a file")]
    let map = unsafe { Mmap::map(&file) }.with_context(at)?;
    unpack(&Arc::new(map)).with_context(at)
}

fn unpack(map: &Arc<Mmap>) -> Result<Contents> {
    let (length, rest) = map.split_at_checked(8).context("without a head")?;
    let length = u64::from_le_bytes(length.try_into().context("without a head")?);
    let length = usize::try_from(length)?;
    let (head, _) = rest.split_at_checked(length).context("cut short")?;
    let head: Head = serde_json::from_slice(head).context("head")?;
    let mut params = BTreeMap::new();
    let mut start = 8 + length;
    for (name, length) in head.params {
        let end = start.checked_add(usize::try_from(length)?);
        let end = end.filter(|end| *end <= map.len()).context("cut short")?;
        let own = Params::mapped(map, start..end).with_context(|| format!("`{name}`"))?;
        params.insert(name, own);
        start = end;
    }
    ensure!(start == map.len(), "{} bytes too many", map.len() - start);
    Ok((params, head.scalars, head.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_as_it_was_sent() {
        let params = Params::from_tensors([("w".to_owned(), vec![2], vec![1.5, -2.0])]).unwrap();
        let message = Message {
            params: BTreeMap::from([("control".to_owned(), params)]),
            scalars: BTreeMap::from([("loss".to_owned(), 0.1)]),
            bytes: BTreeMap::from([("note".to_owned(), vec![0, 255])]),
        };
        let packed = pack_message(&message).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (whole, torn) = (folder.path().join("whole"), folder.path().join("torn"));
        std::fs::write(&whole, &packed).unwrap();
        std::fs::write(&torn, &packed[..packed.len() - 1]).unwrap();
        let again = open_message(&whole).unwrap();
        assert_eq!(again.params["control"].values(), [1.5, -2.0]);
        assert_eq!(
            (again.scalars, again.bytes),
            (message.scalars, message.bytes)
        );
        assert!(open_message(&torn).is_err());
    }
}
