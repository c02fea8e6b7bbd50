//! What Extism runs beside Folkmoot: FedAvg over raw bytes as its SDK hands them over, and nothing.

use extism_pdk::{FnResult, plugin_fn};

/// Does nothing.
#[plugin_fn]
pub fn nothing(_: Vec<u8>) -> FnResult<Vec<u8>> {
    Ok(Vec::new())
}

/// w + Σ pᵢ Δᵢ. Little-endian f32: how many updates, their shares p, then w and every Δ one after another.
#[plugin_fn]
pub fn fedavg(input: Vec<u8>) -> FnResult<Vec<u8>> {
    let (count, rest) = scalar(&input);
    let (shares, rest) = rest.split_at(count as usize * 4);
    let size = rest.len() / (count as usize + 1);
    let (global, deltas) = rest.split_at(size);
    let mut sums: Vec<f32> = global
        .as_chunks()
        .0
        .iter()
        .map(|own| f32::from_le_bytes(*own))
        .collect();
    for (delta, share) in deltas.chunks_exact(size).zip(shares.as_chunks().0) {
        let share = f32::from_le_bytes(*share);
        for (sum, value) in sums.iter_mut().zip(delta.as_chunks().0) {
            *sum += share * f32::from_le_bytes(*value);
        }
    }
    Ok(sums.iter().flat_map(|sum| sum.to_le_bytes()).collect())
}

fn scalar(bytes: &[u8]) -> (f32, &[u8]) {
    let (first, rest) = bytes.split_at(4);
    let mut own = [0; 4];
    own.copy_from_slice(first);
    (f32::from_le_bytes(own), rest)
}
