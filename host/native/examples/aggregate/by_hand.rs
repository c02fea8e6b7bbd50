//! What one would write by hand for one algorithm: plain loops, single pass, all threads.

use folkmoot_params::Params;
use rayon::prelude::*;

use crate::Cohort;

/// Scalars that a thread takes at a time, and those whose sums it holds.
const PART: usize = 1 << 16;
const TILE: usize = 1024;

pub(crate) fn side<'a>(
    name: &str,
    cohort: &'a Cohort,
    shares: &'a [f64],
) -> Box<dyn FnMut() -> f32 + 'a> {
    let inputs: Vec<&[f32]> = cohort.deltas.iter().map(Params::values).collect();
    let global = cohort.global.values();
    let count = global.len();
    let n = inputs.len();
    match name {
        "fedavg" => {
            let mut out = vec![0f32; count];
            Box::new(move || {
                parts(&mut out, |from, out| {
                    mean(&inputs, shares, from, out);
                    out.iter_mut()
                        .zip(&global[from..])
                        .for_each(|(out, global)| *out += global);
                });
                out[7]
            })
        }
        "fedadam" => {
            let (mut m, mut v, mut out) =
                (vec![0f32; count], vec![1e-6f32; count], vec![0f32; count]);
            Box::new(move || {
                let parts = out
                    .par_chunks_mut(PART)
                    .zip(m.par_chunks_mut(PART))
                    .zip(v.par_chunks_mut(PART));
                parts.enumerate().for_each(|(part, ((out, m), v))| {
                    let from = part * PART;
                    mean(&inputs, shares, from, out);
                    for (((out, m), v), global) in out.iter_mut().zip(m).zip(v).zip(&global[from..])
                    {
                        let delta = *out;
                        *m = 0.9 * *m + (1.0 - 0.9) * delta;
                        *v = 0.99 * *v + (1.0 - 0.99) * (delta * delta);
                        *out = global + 1e-3 * (*m / (v.sqrt() + 1e-3));
                    }
                });
                out[7]
            })
        }
        "trimmed-mean" | "median" | "median-by-block" => {
            let keep = match name {
                "trimmed-mean" => n / 5..n - n / 5,
                _ => (n - 1) / 2..n / 2 + 1,
            };
            let mut out = vec![0f32; count];
            Box::new(move || {
                parts(&mut out, |from, out| {
                    let mut column = vec![0f32; n];
                    for (index, out) in out.iter_mut().enumerate() {
                        let at = from + index;
                        for (slot, input) in column.iter_mut().zip(&inputs) {
                            *slot = input[at];
                        }
                        column.sort_unstable_by(f32::total_cmp);
                        let kept = &column[keep.clone()];
                        let sum: f64 = kept.iter().copied().map(f64::from).sum();
                        *out = global[at] + (sum / kept.len() as f64) as f32;
                    }
                });
                out[7]
            })
        }
        _ => {
            let mut out = vec![0f32; count];
            Box::new(move || {
                let pairs: Vec<(usize, usize)> = (0..n)
                    .flat_map(|a| (a + 1..n).map(move |b| (a, b)))
                    .collect();
                let tiles = (0..count).into_par_iter().step_by(TILE);
                let distances = tiles
                    .fold(
                        || vec![0f64; pairs.len()],
                        |mut sums, from| {
                            let to = (from + TILE).min(count);
                            for (sum, (a, b)) in sums.iter_mut().zip(&pairs) {
                                let (a, b) = (&inputs[*a][from..to], &inputs[*b][from..to]);
                                let mut own = 0f32;
                                for (a, b) in a.iter().zip(b) {
                                    own += (a - b) * (a - b);
                                }
                                *sum += f64::from(own);
                            }
                            sums
                        },
                    )
                    .reduce(
                        || vec![0f64; pairs.len()],
                        |a, b| a.iter().zip(&b).map(|(a, b)| a + b).collect(),
                    );
                let score = |client: usize| {
                    let own = pairs
                        .iter()
                        .zip(&distances)
                        .filter(|((a, b), _)| *a == client || *b == client);
                    let mut near: Vec<f64> = own.map(|(_, distance)| *distance).collect();
                    near.sort_by(f64::total_cmp);
                    near.iter().take(n - (n / 5).max(1) - 2).sum::<f64>()
                };
                let best = (0..n)
                    .min_by(|a, b| score(*a).total_cmp(&score(*b)))
                    .unwrap();
                parts(&mut out, |from, out| {
                    for (index, out) in out.iter_mut().enumerate() {
                        *out = global[from + index] + inputs[best][from + index];
                    }
                });
                out[7]
            })
        }
    }
}

fn parts(out: &mut [f32], work: impl Fn(usize, &mut [f32]) + Sync) {
    let parts = out.par_chunks_mut(PART).enumerate();
    parts.for_each(|(part, out)| work(part * PART, out));
}

/// Σ share · input, tile by tile, in f64.
fn mean(inputs: &[&[f32]], shares: &[f64], from: usize, out: &mut [f32]) {
    let mut sums = [0f64; TILE];
    for (tile, out) in out.chunks_mut(TILE).enumerate() {
        let at = from + tile * TILE;
        let count = out.len();
        let sums = &mut sums[..count];
        sums.fill(0.0);
        for (input, share) in inputs.iter().zip(shares) {
            for (sum, value) in sums.iter_mut().zip(&input[at..at + count]) {
                *sum += share * f64::from(*value);
            }
        }
        out.iter_mut()
            .zip(&*sums)
            .for_each(|(out, sum)| *out = *sum as f32);
    }
}

/// The time of moving the bytes: every input read by each thread in long runs, every output written.
pub(crate) fn floor(cohort: &Cohort, extra: &[Vec<f32>], outputs: &mut [Vec<f32>]) -> f32 {
    let inputs = cohort.deltas.iter().map(Params::values);
    let inputs = inputs
        .chain([cohort.global.values()])
        .chain(extra.iter().map(Vec::as_slice));
    let mut total = 0f32;
    for input in inputs {
        let sum = |part: &[f32]| {
            let mut lanes = [0u32; 64];
            for block in part.chunks_exact(64) {
                for (lane, value) in lanes.iter_mut().zip(block) {
                    *lane |= value.to_bits();
                }
            }
            lanes.iter().fold(0, |all, lane| all | lane)
        };
        let bits = input.par_chunks(PART).map(sum).reduce(|| 0, |a, b| a | b);
        total += f32::from_bits(bits & 0x3fff_ffff);
    }
    for output in outputs {
        output
            .par_chunks_mut(PART)
            .for_each(|part| part.fill(total));
    }
    total
}
