//! Messages and states as bytes, to pass through a federation and to lie in a checkpoint.
//!
//! A parcel is a length-prefixed JSON head (names, scalars, bytes) and one safetensors file per named
//! `params`, in order. Equal contents give equal bytes.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use folkmoot_params::Params;
use folkmoot_plugin::{Message, State};
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

pub(crate) fn unpack_message(bytes: &[u8]) -> Result<Message> {
    let (params, scalars, bytes) = unpack(bytes)?;
    Ok(Message {
        params,
        scalars,
        bytes,
    })
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
    let mut parcel = (head.len() as u64).to_le_bytes().to_vec();
    parcel.extend(head);
    files.iter().for_each(|(_, file)| parcel.extend(file));
    Ok(parcel)
}

fn unpack(parcel: &[u8]) -> Result<Contents> {
    let (length, rest) = parcel
        .split_at_checked(8)
        .context("parcel without a head")?;
    let length = u64::from_le_bytes(length.try_into().context("parcel without a head")?);
    let (head, mut rest) = rest
        .split_at_checked(usize::try_from(length)?)
        .context("parcel cut short")?;
    let head: Head = serde_json::from_slice(head).context("parcel's head")?;
    let mut params = BTreeMap::new();
    for (name, length) in head.params {
        let (file, others) = rest
            .split_at_checked(usize::try_from(length)?)
            .context("parcel cut short")?;
        rest = others;
        let file = Params::from_safetensors(file).with_context(|| format!("parcel `{name}`"))?;
        params.insert(name, file);
    }
    ensure!(rest.is_empty(), "parcel has {} bytes too many", rest.len());
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
        let again = unpack_message(&packed).unwrap();
        assert_eq!(again.params["control"].values(), [1.5, -2.0]);
        assert_eq!(
            (again.scalars, again.bytes),
            (message.scalars, message.bytes)
        );
        assert!(unpack_message(&packed[..packed.len() - 1]).is_err());
    }
}
