//! Runs programs over blocks that stay in cache, on all threads of the present pool.
//!
//! The scalars are cut into chunks, which threads take as they are free, and these into blocks. Each
//! scalar depends on its own block alone, and a reduction adds lanes, then blocks, then chunks in
//! order: nothing depends on the number of threads.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::kernels::{self, BLOCK, TOGETHER};
use crate::program::{Operand, Program, Roots, Step, compile};
use crate::watch::Watch;
use crate::{Params, ParamsError, Structure};

/// Scalars that one thread takes at a time; blocks start anew in each.
const CHUNK: usize = 32 * BLOCK;

/// Parts of folds that are held at once, 256 MiB of them: where every chunk has millions, few chunks are
/// taken at a time.
const HELD: usize = 1 << 25;

/// Inputs of which a whole block each does not fit into a processor's own cache.
const MANY: usize = 24;

/// A number made of all scalars; the indices are into the roots that are folded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fold {
    Sum(usize),
    Dot(usize, usize),
    /// Σ (a - b)².
    Distance(usize, usize),
    /// How many are NaN or infinite.
    NotFinite(usize),
}

/// Evaluates those of `wanted` that are not yet, all of one structure in one pass; answers how many
/// scalars of the first `checked` of them are not finite.
pub(crate) fn commit(
    wanted: &[Params],
    checked: usize,
    deadline: Option<Instant>,
) -> Result<u64, ParamsError> {
    let mut pending: Vec<(Params, bool)> = Vec::new();
    let mut not_finite = 0;
    for (index, params) in wanted.iter().enumerate() {
        let check = index < checked;
        if params.is_evaluated() {
            if check {
                let (structure, own) = (params.structure(), std::slice::from_ref(params));
                let folds = [Fold::NotFinite(0)];
                not_finite += fold(structure, own, 0..params.count(), &folds, deadline)?[0] as u64;
            }
            continue;
        }
        let same = |other: &&mut (Params, bool)| Arc::ptr_eq(other.0.node(), params.node());
        match pending.iter_mut().find(same) {
            Some(known) => known.1 |= check,
            None => pending.push((params.clone(), check)),
        }
    }
    // What is checked comes first.
    pending.sort_by_key(|(_, check)| !check);
    while let Some((first, _)) = pending.first() {
        let structure = first.structure().clone();
        let alike = |(params, _): &(Params, bool)| Arc::ptr_eq(params.structure(), &structure);
        let (now, later): (Vec<_>, Vec<_>) = pending.into_iter().partition(alike);
        let checked = now.iter().filter(|(_, check)| *check).count();
        let now: Vec<Params> = now.into_iter().map(|(params, _)| params).collect();
        let count = structure.count();
        let mut buffers: Vec<Buffer> = now.iter().map(|_| Buffer::unset(count)).collect();
        let roots = Roots {
            structure: &structure,
            stored: &now,
            folded: &now[..checked],
        };
        let folds: Vec<Fold> = (0..checked).map(Fold::NotFinite).collect();
        let found = run(&roots, 0..count, &mut buffers, &folds, deadline)?;
        not_finite += found.iter().sum::<f64>() as u64;
        for (params, buffer) in now.iter().zip(buffers) {
            params.node().keep(buffer);
        }
        pending = later;
    }
    Ok(not_finite)
}

/// Reduces `operands`, all of one structure, over the scalars of `domain`.
pub(crate) fn fold(
    structure: &Arc<Structure>,
    operands: &[Params],
    domain: Range<usize>,
    folds: &[Fold],
    deadline: Option<Instant>,
) -> Result<Vec<f64>, ParamsError> {
    let roots = Roots {
        structure,
        stored: &[],
        folded: operands,
    };
    run(&roots, domain, &mut [], folds, deadline)
}

fn run(
    roots: &Roots,
    domain: Range<usize>,
    buffers: &mut [Buffer],
    folds: &[Fold],
    deadline: Option<Instant>,
) -> Result<Vec<f64>, ParamsError> {
    let together = (HELD / folds.len().max(1)).max(1);
    run_by(together, roots, domain, buffers, folds, deadline)
}

/// The same, with so many chunks at a time; the sums do not depend on it.
fn run_by(
    together: usize,
    roots: &Roots,
    domain: Range<usize>,
    buffers: &mut [Buffer],
    folds: &[Fold],
    deadline: Option<Instant>,
) -> Result<Vec<f64>, ParamsError> {
    let programs = compile(roots, &domain, deadline)?;
    let starts = domain.clone().step_by(CHUNK);
    let mut chunks: Vec<(Range<usize>, Vec<&mut [f32]>)> = starts
        .map(|start| (start..domain.end.min(start + CHUNK), Vec::new()))
        .collect();
    for buffer in buffers {
        let parts = buffer.as_mut_slice().chunks_mut(CHUNK);
        chunks
            .iter_mut()
            .zip(parts)
            .for_each(|((_, outs), part)| outs.push(part));
    }
    let work = Work {
        programs: &programs,
        folded: roots.folded.len(),
        folds,
        deadline,
    };
    let mut totals = vec![0f64; folds.len()];
    let mut chunks = chunks.into_iter();
    loop {
        let now: Vec<_> = chunks.by_ref().take(together).collect();
        let partial = match now.len() {
            0 => break,
            1 => {
                let mut scratch = Scratch::new(&work);
                let done = now
                    .into_iter()
                    .map(|(range, outs)| work.chunk(&mut scratch, &range, outs));
                done.collect::<Result<Vec<_>, _>>()?
            }
            _ => now
                .into_par_iter()
                .map_init(
                    || Scratch::new(&work),
                    |scratch, (range, outs)| work.chunk(scratch, &range, outs),
                )
                .collect::<Result<Vec<_>, _>>()?,
        };
        for partial in &partial {
            totals
                .iter_mut()
                .zip(partial)
                .for_each(|(total, own)| *total += own);
        }
    }
    Ok(totals)
}

struct Work<'a> {
    programs: &'a [Program],
    folded: usize,
    folds: &'a [Fold],
    deadline: Option<Instant>,
}

/// What one thread computes in.
struct Scratch {
    registers: Vec<Vec<f32>>,
    sums: Vec<Vec<f64>>,
    /// Folded roots of a block in which programs change.
    gathered: Vec<Vec<f32>>,
}

impl Scratch {
    fn new(work: &Work) -> Self {
        let most =
            |count: fn(&Program) -> usize| work.programs.iter().map(count).max().unwrap_or(0);
        Self {
            registers: vec![vec![0.0; BLOCK]; most(|program| program.registers)],
            sums: vec![vec![0.0; BLOCK]; most(|program| program.sums)],
            gathered: Vec::new(),
        }
    }
}

impl Work<'_> {
    /// Scalars of a block: fewer where many inputs are needed at once, so that they stay in the cache
    /// together. A count does not mind how it is grouped, other reductions do.
    fn step(&self) -> usize {
        let counts = |fold: &Fold| matches!(fold, Fold::NotFinite(_));
        let inputs = self
            .programs
            .iter()
            .map(|program| program.looked_ahead.len());
        match self.folds.iter().all(counts) && inputs.max().unwrap_or(0) > MANY {
            true => BLOCK / 8,
            false => BLOCK,
        }
    }

    /// Evaluates one chunk: writes its part of the stored roots, gives its part of each fold.
    fn chunk(
        &self,
        scratch: &mut Scratch,
        range: &Range<usize>,
        mut outs: Vec<&mut [f32]>,
    ) -> Result<Vec<f64>, ParamsError> {
        let mut totals = vec![0f64; self.folds.len()];
        let mut first = self
            .programs
            .partition_point(|program| program.range.end <= range.start);
        let step = self.step();
        let mut watch = Watch::new(self.deadline);
        for start in range.clone().step_by(step) {
            watch.look()?;
            let block = start..range.end.min(start + step);
            while self.programs[first].range.end <= block.start {
                first += 1;
            }
            let program = &self.programs[first];
            if block.end <= program.range.end {
                let next = block.end..(block.end + step).min(program.range.end);
                for leaf in &program.looked_ahead {
                    let (source, start) = &program.leaves[*leaf];
                    let from = start + (next.start - program.range.start);
                    source.prefetch(from..from + next.len());
                }
                run_block(program, scratch, &block, range.start, &mut outs, &mut watch)?;
                let folded: Vec<&[f32]> = program
                    .folded
                    .iter()
                    .map(|operand| read(program, &scratch.registers, *operand, &block))
                    .collect();
                add_folds(self.folds, &folded, &mut totals, &mut watch)?;
                continue;
            }
            // Programs change within this block: what is folded is gathered first.
            let mut gathered = std::mem::take(&mut scratch.gathered);
            gathered.resize_with(self.folded, || vec![0.0; BLOCK]);
            for program in self.programs[first..]
                .iter()
                .take_while(|program| program.range.start < block.end)
            {
                let part = block.start.max(program.range.start)..block.end.min(program.range.end);
                run_block(program, scratch, &part, range.start, &mut outs, &mut watch)?;
                watch.turns(program.folded.len())?;
                for (gathered, operand) in gathered.iter_mut().zip(&program.folded) {
                    let values = read(program, &scratch.registers, *operand, &part);
                    gathered[part.start - block.start..part.end - block.start]
                        .copy_from_slice(values);
                }
            }
            let folded: Vec<&[f32]> = gathered
                .iter()
                .map(|values| &values[..block.len()])
                .collect();
            add_folds(self.folds, &folded, &mut totals, &mut watch)?;
            scratch.gathered = gathered;
        }
        Ok(totals)
    }
}

fn add_folds(
    folds: &[Fold],
    folded: &[&[f32]],
    totals: &mut [f64],
    watch: &mut Watch,
) -> Result<(), ParamsError> {
    for (total, fold) in totals.iter_mut().zip(folds) {
        watch.turn()?;
        *total += match *fold {
            Fold::Sum(a) => kernels::sum(folded[a]),
            Fold::Dot(a, b) => kernels::dot(folded[a], folded[b]),
            Fold::Distance(a, b) => kernels::distance(folded[a], folded[b]),
            Fold::NotFinite(a) => kernels::not_finite(folded[a]),
        };
    }
    Ok(())
}

/// The scalars of an operand that belong to `block`.
fn read<'a>(
    program: &'a Program,
    registers: &'a [Vec<f32>],
    operand: Operand,
    block: &Range<usize>,
) -> &'a [f32] {
    match operand {
        Operand::Register(register) => &registers[register][..block.len()],
        Operand::Leaf(leaf) => {
            let (source, start) = &program.leaves[leaf];
            let start = start + (block.start - program.range.start);
            let values = source.direct(start..start + block.len());
            // The program reads in place only what it found to be readable in place.
            values.unwrap_or_default()
        }
    }
}

/// Takes register `out` out of the others while it is written, so that they can be read.
fn write<T>(
    registers: &mut [Vec<f32>],
    out: usize,
    count: usize,
    work: impl FnOnce(&[Vec<f32>], &mut [f32]) -> T,
) -> T {
    let mut own = std::mem::take(&mut registers[out]);
    let done = work(registers, &mut own[..count]);
    registers[out] = own;
    done
}

/// Runs `program` over `block`; the stored roots' parts begin at scalar `origin`. Gives up at the deadline,
/// since millions of steps or columns of thousands of items take seconds for one block.
fn run_block(
    program: &Program,
    scratch: &mut Scratch,
    block: &Range<usize>,
    origin: usize,
    outs: &mut [&mut [f32]],
    watch: &mut Watch,
) -> Result<(), ParamsError> {
    let count = block.len();
    let Scratch {
        registers, sums, ..
    } = scratch;
    for step in &program.steps {
        watch.turns(step.items())?;
        match step {
            Step::Load { leaf, out } => {
                let (source, start) = &program.leaves[*leaf];
                let start = start + (block.start - program.range.start);
                write(registers, *out, count, |_, own| source.load(start, own));
            }
            Step::Fill { value, out } => {
                write(registers, *out, count, |_, own| own.fill(*value));
            }
            Step::Unary { op, a, out } => write(registers, *out, count, |registers, own| {
                kernels::unary(*op, read(program, registers, *a, block), own);
            }),
            Step::Binary { op, a, b, out } => write(registers, *out, count, |registers, own| {
                let a = read(program, registers, *a, block);
                kernels::binary(*op, a, read(program, registers, *b, block), own);
            }),
            Step::Accumulate { first, items, sum } => {
                let mut slices = [(&[][..], 0f64); TOGETHER];
                for (slice, (item, weight)) in slices.iter_mut().zip(items) {
                    *slice = (read(program, registers, *item, block), *weight);
                }
                kernels::accumulate(*first, &slices[..items.len()], &mut sums[*sum][..count]);
            }
            Step::Round { sum, out } => {
                let sum = &sums[*sum][..count];
                write(registers, *out, count, |_, own| kernels::round(sum, own));
            }
            Step::RoundOnto { sum, base, out } => {
                let sum = &sums[*sum][..count];
                write(registers, *out, count, |registers, own| {
                    kernels::round_onto(sum, read(program, registers, *base, block), own);
                });
            }
            Step::Columns { pick, items, out } => {
                write(registers, *out, count, |registers, own| {
                    let items = items.iter();
                    let items = items.map(|item| read(program, registers, *item, block));
                    pick.run(&items.collect::<Vec<_>>(), own, watch)
                })?;
            }
            Step::Store { root, a } => {
                let part = block.start - origin..block.end - origin;
                let (a, out) = (read(program, registers, *a, block), &mut outs[*root][part]);
                match program.streamed {
                    true => kernels::stream(a, out),
                    false => out.copy_from_slice(a),
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use half::{bf16, f16};
    use rand::{Rng, RngExt};
    use safetensors::tensor::Dtype;

    use super::*;
    use crate::{Evaluator, Seed, mean_near_median, median, trimmed_mean, weighted_sum};

    /// Sizes around the ends of lanes, blocks and chunks.
    const SIZES: [(&str, usize); 5] = [
        ("a", 3),
        ("b", BLOCK),
        ("c", CHUNK + 17),
        ("d", 1),
        ("e", 5 * BLOCK - 7),
    ];

    fn values(rng: &mut impl Rng, count: usize) -> Vec<f32> {
        // Exact in f16 and bf16 too.
        (0..count)
            .map(|_| f32::from(rng.random_range(-99i8..99)) / 16.0)
            .collect()
    }

    /// Tensors of which `like` keeps some: in memory, or in a file of some order and precision, at some
    /// alignment.
    fn leaf(rng: &mut impl Rng, folder: &std::path::Path, keep: impl Fn(&str) -> bool) -> Params {
        let sizes = SIZES.iter().filter(|(name, _)| keep(name));
        let mut tensors: Vec<(String, Vec<f32>)> = sizes
            .map(|(name, count)| ((*name).to_owned(), values(rng, *count)))
            .collect();
        let entries = |tensors: &[(String, Vec<f32>)]| -> Vec<(String, Vec<usize>, Vec<f32>)> {
            tensors
                .iter()
                .map(|(name, own)| (name.clone(), vec![own.len()], own.clone()))
                .collect()
        };
        if rng.random_bool(0.4) {
            return Params::from_tensors(entries(&tensors)).unwrap();
        }
        let swaps = rng.random_range(0..4);
        let bytes: Vec<(String, Dtype, Vec<u8>)> = {
            for _ in 0..swaps {
                let (a, b) = (
                    rng.random_range(0..tensors.len()),
                    rng.random_range(0..tensors.len()),
                );
                tensors.swap(a, b);
            }
            let one = |(name, own): &(String, Vec<f32>)| match rng.random_range(0..3) {
                0 => (
                    name.clone(),
                    Dtype::F32,
                    own.iter().flat_map(|v| v.to_le_bytes()).collect(),
                ),
                1 => (
                    name.clone(),
                    Dtype::F16,
                    own.iter()
                        .flat_map(|v| f16::from_f32(*v).to_le_bytes())
                        .collect(),
                ),
                _ => (
                    name.clone(),
                    Dtype::BF16,
                    own.iter()
                        .flat_map(|v| bf16::from_f32(*v).to_le_bytes())
                        .collect(),
                ),
            };
            tensors.iter().map(one).collect()
        };
        // By hand, since the crate would sort the tensors.
        let mut head = String::from("{");
        let mut start = 0;
        for (index, (name, dtype, own)) in bytes.iter().enumerate() {
            let count = own.len() / if *dtype == Dtype::F32 { 4 } else { 2 };
            let comma = if index > 0 { "," } else { "" };
            let end = start + own.len();
            head.push_str(&format!("{comma}\"{name}\":{{\"dtype\":\"{dtype:?}\",\"shape\":[{count}],\"data_offsets\":[{start},{end}]}}"));
            start = end;
        }
        head.push('}');
        // An odd length makes every scalar unaligned.
        head.extend(std::iter::repeat_n(' ', rng.random_range(0..5)));
        let mut file = (head.len() as u64).to_le_bytes().to_vec();
        file.extend(head.as_bytes());
        bytes.iter().for_each(|(_, _, own)| file.extend(own));
        let path = folder.join(format!("{}.safetensors", rng.next_u64()));
        std::fs::write(&path, file).unwrap();
        Params::open(&path).unwrap()
    }

    /// The same values, evaluated and in memory: what an eager engine would hold.
    fn eager(params: &Params) -> Params {
        params.with_values(params.values().to_vec()).unwrap()
    }

    /// A random operation on random operands.
    fn grow(rng: &mut impl Rng, pool: &[Params]) -> Params {
        let count = pool.len();
        let pick = |rng: &mut dyn Rng| pool[(rng.next_u32() as usize) % count].clone();
        let (a, b) = (pick(rng), pick(rng));
        let some = rng.random_range(1..9);
        let many: Vec<Params> = (0..some).map(|_| pick(rng)).collect();
        let many: Vec<&Params> = many.iter().collect();
        match rng.random_range(0..16) {
            0 => a.add(&b).unwrap(),
            1 => a.sub(&b).unwrap(),
            2 => a.mul(&b).unwrap(),
            3 => a.div(&b.square().offset(1.0)).unwrap(),
            4 => a.minimum(&b).unwrap(),
            5 => a.maximum(&b).unwrap(),
            6 => a.add_scaled(0.37, &b).unwrap(),
            7 => a.abs().sqrt(),
            8 => a.sign().scale(-0.7),
            9 => a.clamp(-1.5, 2.0).unwrap(),
            10 => a.filled(0.25),
            11 => weighted_sum(&many.iter().map(|item| (*item, 0.3)).collect::<Vec<_>>()).unwrap(),
            12 => median(&many).unwrap(),
            13 => trimmed_mean(&many, (many.len() - 1) / 2).unwrap(),
            14 => mean_near_median(&many, many.len().div_ceil(2)).unwrap(),
            // Part of one, the rest of the other.
            _ => a.merge(&b.select("[bd]").unwrap()).unwrap(),
        }
    }

    fn bits(params: &Params) -> Vec<u32> {
        params
            .values()
            .iter()
            .map(|value| value.to_bits())
            .collect()
    }

    /// Lazy or eager, from memory or from files of any order and precision, on one thread or four:
    /// the same bits.
    #[test]
    fn when_and_where_an_expression_is_evaluated_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        for seed in 0..12 {
            let mut rng = Seed(seed).derive("expressions", 0).rng();
            let leaves: Vec<Params> = (0..6)
                .map(|_| leaf(&mut rng, folder.path(), |_| true))
                .collect();
            let mut copy = rng.clone();
            let mut lazy = leaves.clone();
            let mut immediate: Vec<Params> = leaves.iter().map(eager).collect();
            for _ in 0..25 {
                lazy.push(grow(&mut rng, &lazy));
                immediate.push(eager(&grow(&mut copy, &immediate)));
            }
            let wanted = &lazy[lazy.len() - 4..];
            let threads = if seed % 2 == 0 { 1 } else { 4 };
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| Evaluator::default().commit(wanted))
                .unwrap();
            for (found, expected) in wanted.iter().zip(&immediate[immediate.len() - 4..]) {
                assert!(found.is_evaluated());
                assert_eq!(bits(found), bits(expected), "seed {seed}");
            }
        }
    }

    /// A reduction groups its sums in the same way whatever the operands are made of.
    #[test]
    fn reductions_do_not_depend_on_threads_or_sources() {
        let folder = tempfile::tempdir().unwrap();
        let mut rng = Seed(3).rng();
        let items: Vec<Params> = (0..5)
            .map(|_| leaf(&mut rng, folder.path(), |_| true))
            .collect();
        let copies: Vec<Params> = items.iter().map(eager).collect();
        let figures = |items: &[Params], threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let evaluator = Evaluator::default();
                let refs: Vec<&Params> = items.iter().collect();
                let whole = items[0].add(&items[1]).unwrap().scale(0.3);
                let mut figures = vec![
                    evaluator.sum(&items[2]).unwrap(),
                    evaluator.norm(&whole).unwrap(),
                    evaluator.dot(&items[3], &whole).unwrap(),
                ];
                figures.extend(evaluator.norms(&whole).unwrap());
                figures.extend(evaluator.distances(&refs, &whole).unwrap());
                figures.extend(evaluator.pairwise_distances(&refs).unwrap());
                figures.into_iter().map(f64::to_bits).collect::<Vec<_>>()
            })
        };
        let expected = figures(&copies, 1);
        assert_eq!(figures(&items, 1), expected);
        assert_eq!(figures(&items, 4), expected);
        let exact: f64 = copies[2]
            .values()
            .iter()
            .map(|value| f64::from(*value))
            .sum();
        assert_eq!(
            f64::from_bits(expected[0]),
            exact,
            "small binary fractions add up exactly"
        );
    }

    /// However few chunks are held at a time, their parts are added in one order.
    #[test]
    fn reductions_do_not_depend_on_how_many_chunks_are_held() {
        let mut rng = Seed(5).rng();
        let count = 5 * CHUNK + 7;
        let mut draw = || {
            let own = values(&mut rng, count);
            Params::from_tensors([("w".to_owned(), vec![count], own)]).unwrap()
        };
        let operands = [draw().scale(0.3), draw()];
        let roots = Roots {
            structure: operands[0].structure(),
            stored: &[],
            folded: &operands,
        };
        let folds = [Fold::Sum(0), Fold::Dot(0, 1), Fold::Distance(1, 0)];
        let sums = |together: usize| -> Vec<u64> {
            let sums = run_by(together, &roots, 0..count, &mut [], &folds, None).unwrap();
            sums.into_iter().map(f64::to_bits).collect()
        };
        let expected = sums(usize::MAX);
        for together in 1..7 {
            assert_eq!(sums(together), expected, "{together} chunks at a time");
        }
    }

    /// A range that is read is that range of the values, wherever they lie.
    #[test]
    fn a_range_is_a_part_of_the_values() {
        let folder = tempfile::tempdir().unwrap();
        let mut rng = Seed(6).rng();
        for _ in 0..12 {
            let x = leaf(&mut rng, folder.path(), |_| true);
            let sum = x.add(&x.scale(0.3)).unwrap();
            let (count, end) = (x.count() as u64, x.count() as u64 - 9_000);
            let ranges = [
                (0, 0),
                (count, 0),
                (1, 7),
                (2, BLOCK as u64),
                (end, 9_000),
                (0, count),
            ];
            for params in [&x, &sum] {
                let parts: Vec<Vec<f32>> = ranges
                    .iter()
                    .map(|(start, length)| params.read_range(*start, *length).unwrap())
                    .collect();
                let whole = bits(params);
                for ((start, length), part) in ranges.iter().zip(parts) {
                    let part: Vec<u32> = part.iter().map(|value| value.to_bits()).collect();
                    assert_eq!(part, whole[*start as usize..(start + length) as usize]);
                }
            }
        }
    }

    /// A chain of a million operations is neither recursed into nor kept in a million registers.
    #[test]
    fn depth_does_not_matter() {
        let one = Params::from_tensors([("w".to_owned(), vec![2], vec![1.0, 2.0])]).unwrap();
        let mut sum = one.filled(0.0);
        for _ in 0..1_000_000 {
            sum = sum.add(&one).unwrap();
        }
        assert_eq!(sum.values(), [1e6, 2e6]);
        let mut never = one.clone();
        for _ in 0..1_000_000 {
            never = never.scale(0.5);
        }
        drop(never);
    }

    /// However long a single block takes, the deadline ends it: there is no other before which the clock
    /// would be looked at.
    #[test]
    fn the_deadline_ends_a_block() {
        let x = Params::from_tensors([("w".to_owned(), vec![BLOCK], vec![0.5; BLOCK])]).unwrap();
        let mut chain = x.clone();
        for _ in 0..500_000 {
            chain = chain.offset(1.0);
        }
        let sorted = median(&vec![&x; 1 << 14]).unwrap();
        let pairs = vec![Fold::Distance(0, 0); 1 << 21];
        let one = vec![Fold::Sum(0)];
        for (operand, folds) in [(&chain, &one), (&sorted, &one), (&x, &pairs)] {
            let roots = Roots {
                structure: x.structure(),
                stored: &[],
                folded: std::slice::from_ref(operand),
            };
            let programs = compile(&roots, &(0..BLOCK), None).unwrap();
            let start = Instant::now();
            let work = Work {
                programs: &programs,
                folded: 1,
                folds,
                deadline: Some(start + Duration::from_millis(10)),
            };
            let done = work.chunk(&mut Scratch::new(&work), &(0..BLOCK), Vec::new());
            assert_eq!(done, Err(ParamsError::OutOfTime));
            assert!(start.elapsed() < Duration::from_secs(1));
        }
    }

    /// Equal names and shapes are one structure; a selection of a selection still finds its scalars.
    #[test]
    fn selections_of_expressions() {
        let mut rng = Seed(4).rng();
        let folder = tempfile::tempdir().unwrap();
        let (x, y) = (
            leaf(&mut rng, folder.path(), |_| true),
            leaf(&mut rng, folder.path(), |_| true),
        );
        let part = leaf(&mut rng, folder.path(), |name| name == "c" || name == "e");
        let merged = x.add(&y).unwrap().merge(&part.scale(2.0)).unwrap();
        let chosen = merged.select("[bc]").unwrap().select("c").unwrap();
        let expected: Vec<f32> = part
            .tensor("c")
            .unwrap()
            .iter()
            .map(|value| 2.0 * value)
            .collect();
        assert_eq!(chosen.values(), expected);
        assert!(Arc::ptr_eq(x.structure(), y.structure()));
        let known: HashMap<&str, usize> = SIZES.into_iter().collect();
        assert_eq!(merged.tensor("d").unwrap().len(), known["d"]);
        assert_eq!(
            merged.tensor("d").unwrap()[0],
            x.tensor("d").unwrap()[0] + y.tensor("d").unwrap()[0]
        );
    }
}
