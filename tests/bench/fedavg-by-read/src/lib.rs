//! FedAvg, w ← w + Σ pᵢ Δᵢ with pᵢ = nᵢ / Σ n, in the plugin's own arithmetic: scalars are read in chunks,
//! added up and written. For the benchmark of what that costs, and for tests that count bytes.

use folkmoot_sdk::{
    Algorithm, Params, Result, Round, State, Updates, Weighting, Writer, export_algorithm,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// FedAvg that reads its scalars.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FedAvgByRead {
    /// Scalars of a chunk.
    #[serde(default = "chunk")]
    #[schemars(range(min = 1))]
    chunk: u32,
}
export_algorithm!(FedAvgByRead);

/// 256 KiB: large enough that a call's own cost does not show, small enough for the caches.
fn chunk() -> u32 {
    1 << 16
}

impl Algorithm for FedAvgByRead {
    const LINEAR: bool = true;

    fn aggregate(
        &self,
        _: &Round,
        global: &Params,
        updates: &Updates,
        _: &State,
    ) -> Result<Params> {
        let (shares, deltas) = (updates.shares(Weighting::Examples), updates.deltas());
        let (count, writer) = (global.count(), global.write());
        let mut at = 0;
        while at < count {
            let length = (count - at).min(u64::from(self.chunk));
            let mut sums = global.read(at, length as u32);
            for (delta, share) in deltas.iter().zip(&shares) {
                let (values, share) = (delta.read(at, length as u32), *share as f32);
                add_scaled(&mut sums, share, &values);
            }
            writer.put(at, &sums);
            at += length;
        }
        Ok(Writer::finish(writer))
    }
}

/// sums ← sums + factor · values. In runs of a fixed length, which the compiler writes out: what a loop costs beside
/// its arithmetic, the check of the deadline among it, is paid once for all of a run.
fn add_scaled(sums: &mut [f32], factor: f32, values: &[f32]) {
    const RUN: usize = 32;
    let (runs, rest) = sums.as_chunks_mut::<RUN>();
    let (run_values, rest_values) = values.as_chunks::<RUN>();
    for (sums, values) in runs.iter_mut().zip(run_values) {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += factor * value;
        }
    }
    for (sum, value) in rest.iter_mut().zip(rest_values) {
        *sum += factor * value;
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::{params, round, state, update, updates};

    use super::*;

    #[test]
    fn chunks_cover_every_scalar() {
        let w = |values: &[f32]| params(&[("w", &[5], values)]);
        let updates = updates(vec![
            update(0, 3, w(&[1.0, 2.0, 3.0, 4.0, 5.0])),
            update(1, 1, w(&[5.0, 6.0, 7.0, 8.0, 9.0])),
        ]);
        for chunk in [1, 2, 5, 9] {
            let plugin = FedAvgByRead { chunk };
            let next = plugin.aggregate(&round(1, 1), &w(&[10.0; 5]), &updates, &state());
            assert_eq!(next.unwrap().read(0, 5), [12.0, 13.0, 14.0, 15.0, 16.0]);
        }
    }
}
