//! The block kernel's own source, native.

use folkmoot_native::BlockKernel;
use folkmoot_params::Params;
use rayon::prelude::*;

use crate::cohort::Cohort;
use crate::median_by_block;

/// The kernel's own source over blocks, on all threads.
pub(crate) fn side<'a>(cohort: &'a Cohort, shares: &'a [f64]) -> Box<dyn FnMut() -> f32 + 'a> {
    const BLOCK: usize = 1 << 14;
    Box::new(move || {
        let kernel = median_by_block::MedianByBlock {};
        let mut out = vec![0f32; cohort.global.count()];
        out.par_chunks_mut(BLOCK)
            .enumerate()
            .for_each(|(index, out)| {
                let from = index * BLOCK;
                let block = |delta: &Params| delta.values()[from..from + out.len()].to_vec();
                let blocks: Vec<Vec<f32>> = cohort.deltas.iter().map(block).collect();
                let reduced = kernel.reduce(&blocks, shares).unwrap();
                let global = &cohort.global.values()[from..from + out.len()];
                for ((out, reduced), global) in out.iter_mut().zip(reduced).zip(global) {
                    *out = global + reduced;
                }
            });
        out[7]
    })
}
