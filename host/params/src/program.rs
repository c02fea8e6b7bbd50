//! An expression as steps over one block: each input read once, each result kept in a register of a
//! block's size only as long as something needs it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crate::expression::{Binary, Expression, Node, Pick, Unary, View};
use crate::kernels::TOGETHER;
use crate::network::Columns;
use crate::source::Source;
use crate::watch::Watch;
use crate::{Params, ParamsError, Structure};

/// Scalars from which on a result is written past the caches.
const STREAMED: usize = 1 << 21;

/// Results that are kept at once, a block of each on every thread, at most.
const MOST_REGISTERS: usize = 1 << 14;

/// Steps of all programs of one evaluation at most; what takes more than [`TOGETHER`] items counts as
/// several.
const MOST_STEPS: usize = 1 << 22;

/// Where a step finds a block of scalars.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operand {
    Register(usize),
    /// In place, in a leaf.
    Leaf(usize),
}

pub(crate) enum Step {
    Load {
        leaf: usize,
        out: usize,
    },
    Fill {
        value: f32,
        out: usize,
    },
    Unary {
        op: Unary,
        a: Operand,
        out: usize,
    },
    Binary {
        op: Binary,
        a: Operand,
        b: Operand,
        out: usize,
    },
    /// sum ← (0 or sum) + Σ weight · item.
    Accumulate {
        first: bool,
        items: Vec<(Operand, f64)>,
        sum: usize,
    },
    Round {
        sum: usize,
        out: usize,
    },
    /// base + the rounded sum.
    RoundOnto {
        sum: usize,
        base: Operand,
        out: usize,
    },
    Columns {
        pick: Arc<Columns>,
        items: Vec<Operand>,
        out: usize,
    },
    /// Writes root number `root`.
    Store {
        root: usize,
        a: Operand,
    },
}

impl Step {
    /// How many inputs it reads, 1 at least: it takes about so many passes over a block.
    pub(crate) fn items(&self) -> usize {
        match self {
            Self::Accumulate { items, .. } => items.len(),
            Self::Columns { items, .. } => items.len(),
            _ => 1,
        }
    }
}

/// What computes some roots over tensors that lie side by side in every input.
pub(crate) struct Program {
    /// Scalars of the roots' structure.
    pub(crate) range: Range<usize>,
    pub(crate) steps: Vec<Step>,
    /// Evaluated inputs, and their scalar that belongs to the first of `range`.
    pub(crate) leaves: Vec<(Source, usize)>,
    /// Leaves that no weighted sum reads: it looks ahead by itself.
    pub(crate) looked_ahead: Vec<usize>,
    /// Roots that are not stored but reduced.
    pub(crate) folded: Vec<Operand>,
    pub(crate) registers: usize,
    pub(crate) sums: usize,
    /// Whether the roots are too large for the caches.
    pub(crate) streamed: bool,
}

/// What is to be computed: roots of one structure, of which the first `stored` are written.
pub(crate) struct Roots<'a> {
    pub(crate) structure: &'a Arc<Structure>,
    pub(crate) stored: &'a [Params],
    pub(crate) folded: &'a [Params],
}

/// The programs for the tensors that `domain` touches, in storage order. Refuses what keeps more than
/// [`MOST_REGISTERS`] results at once or takes more than [`MOST_STEPS`] steps, and gives up at the deadline:
/// who records an expression may be a stranger.
pub(crate) fn compile(
    roots: &Roots,
    domain: &Range<usize>,
    deadline: Option<Instant>,
) -> Result<Vec<Program>, ParamsError> {
    compile_by(MOST_STEPS, roots, domain, deadline)
}

/// The same, with so many steps at most.
fn compile_by(
    most: usize,
    roots: &Roots,
    domain: &Range<usize>,
    deadline: Option<Instant>,
) -> Result<Vec<Program>, ParamsError> {
    let tensors = roots.structure.tensors();
    let (mut programs, mut shared) = (Vec::new(), Shared::new(most));
    let mut watch = Watch::new(deadline);
    let mut tensor = tensors.partition_point(|tensor| tensor.range().end <= domain.start);
    while tensor < tensors.len() && tensors[tensor].offset < domain.end {
        let mut graph = Graph::new(roots.structure, tensor);
        let mut lower = |roots: &[Params]| -> Result<Vec<usize>, ParamsError> {
            let lowered = roots.iter().map(|root| graph.lower(root, &mut watch));
            lowered.collect()
        };
        let (stored, folded) = (lower(roots.stored)?, lower(roots.folded)?);
        let end = graph.end;
        let program = graph.emit(&stored, &folded, &mut shared, &mut watch)?;
        if program.registers.max(program.sums) > MOST_REGISTERS {
            return Err(ParamsError::TooLarge {
                what: "results at once",
                most: MOST_REGISTERS,
            });
        }
        for step in &program.steps {
            shared.count(step.items())?;
        }
        watch.look()?;
        programs.push(program);
        tensor = end;
    }
    Ok(programs)
}

/// What the programs of one evaluation have in common.
struct Shared {
    /// Taken by all of them so far, and at most.
    steps: usize,
    most: usize,
    /// Every program has its own steps, but all sort so many items in the same way.
    columns: HashMap<(Pick, usize), Arc<Columns>>,
}

impl Shared {
    fn new(most: usize) -> Self {
        Self {
            steps: 0,
            most,
            columns: HashMap::new(),
        }
    }

    /// Counts as many steps as take `items`.
    fn count(&mut self, items: usize) -> Result<(), ParamsError> {
        self.steps += items.div_ceil(TOGETHER);
        match self.steps > self.most {
            true => Err(ParamsError::TooLarge {
                what: "steps",
                most: self.most,
            }),
            false => Ok(()),
        }
    }

    /// What picks from columns of so many items; its comparators count like items, once.
    fn columns(
        &mut self,
        pick: Pick,
        items: usize,
        watch: &Watch,
    ) -> Result<Arc<Columns>, ParamsError> {
        if let Some(known) = self.columns.get(&(pick, items)) {
            return Ok(known.clone());
        }
        let made = Arc::new(Columns::new(pick, items));
        self.count(made.comparators())?;
        // Making it may have taken longer than many turns.
        watch.look()?;
        self.columns.insert((pick, items), made.clone());
        Ok(made)
    }
}

/// An operation on others of the same graph; operands come before it.
enum Local {
    Leaf {
        leaf: usize,
        direct: bool,
    },
    Fill(f32),
    Unary(Unary, usize),
    Binary(Binary, usize, usize),
    /// After another sum, if there is one.
    Accumulate(Option<usize>, Vec<(usize, f64)>),
    Round(usize),
    /// Another, and a sum that is rounded and added to it.
    RoundOnto(usize, usize),
    Columns(Pick, Vec<usize>),
}

impl Local {
    fn operands(&self) -> Vec<usize> {
        match self {
            Self::Leaf { .. } | Self::Fill(_) => Vec::new(),
            Self::Unary(_, a) | Self::Round(a) => vec![*a],
            Self::Binary(_, a, b) | Self::RoundOnto(a, b) => vec![*a, *b],
            Self::Accumulate(before, items) => {
                let items = items.iter().map(|(item, _)| *item);
                before.iter().copied().chain(items).collect()
            }
            Self::Columns(_, items) => items.clone(),
        }
    }
}

/// What is left to do while an expression is lowered; explicit, since expressions may be deep.
enum Task {
    Visit(Params),
    Unary(*const Node, Unary),
    Binary(*const Node, Binary),
    Accumulate {
        first: bool,
        weights: Vec<f64>,
    },
    Round(*const Node),
    Columns(*const Node, Pick, usize),
    /// The node is what was just lowered: a selection or a merge computes nothing by itself.
    Same(*const Node),
}

struct Graph<'a> {
    structure: &'a Arc<Structure>,
    /// The tensors from the first to before `end` are alike for every input met so far.
    first: usize,
    end: usize,
    locals: Vec<Local>,
    known: HashMap<*const Node, usize>,
    leaves: Vec<(Source, usize)>,
    /// Keeps alive what `known` points to.
    held: Vec<Params>,
}

impl<'a> Graph<'a> {
    fn new(structure: &'a Arc<Structure>, first: usize) -> Self {
        Self {
            structure,
            first,
            end: structure.tensors().len(),
            locals: Vec::new(),
            known: HashMap::new(),
            leaves: Vec::new(),
            held: Vec::new(),
        }
    }

    fn push(&mut self, local: Local) -> usize {
        self.locals.push(local);
        self.locals.len() - 1
    }

    /// The operation that computes `root` over the tensors of this graph.
    fn lower(&mut self, root: &Params, watch: &mut Watch) -> Result<usize, ParamsError> {
        let mut tasks = vec![Task::Visit(root.clone())];
        let mut results: Vec<usize> = Vec::new();
        while let Some(task) = tasks.pop() {
            watch.turn()?;
            let made = match task {
                Task::Visit(params) => {
                    self.visit(&params, &mut tasks, &mut results);
                    continue;
                }
                Task::Unary(node, op) => {
                    let a = pop(&mut results);
                    (Some(node), Local::Unary(op, a))
                }
                Task::Binary(node, op) => {
                    let (b, a) = (pop(&mut results), pop(&mut results));
                    (Some(node), Local::Binary(op, a, b))
                }
                Task::Accumulate { first, weights } => {
                    let items = results.split_off(results.len() - weights.len());
                    let before = (!first).then(|| pop(&mut results));
                    (
                        None,
                        Local::Accumulate(before, items.into_iter().zip(weights).collect()),
                    )
                }
                Task::Round(node) => {
                    let sum = pop(&mut results);
                    (Some(node), Local::Round(sum))
                }
                Task::Columns(node, pick, count) => {
                    let items = results.split_off(results.len() - count);
                    (Some(node), Local::Columns(pick, items))
                }
                Task::Same(node) => {
                    if let Some(&index) = results.last() {
                        self.known.insert(node, index);
                    }
                    continue;
                }
            };
            let index = self.push(made.1);
            if let Some(node) = made.0 {
                self.known.insert(node, index);
            }
            results.push(index);
        }
        Ok(pop(&mut results))
    }

    fn visit(&mut self, params: &Params, tasks: &mut Vec<Task>, results: &mut Vec<usize>) {
        let node = Arc::as_ptr(params.node());
        if let Some(&index) = self.known.get(&node) {
            results.push(index);
            return;
        }
        self.held.push(params.clone());
        let expression = match params.node().view() {
            View::Value(source) => {
                let index = self.leaf(params, source);
                self.known.insert(node, index);
                results.push(index);
                return;
            }
            View::Expression(expression) => expression,
        };
        match expression {
            Expression::Filled(value) => {
                let index = self.push(Local::Fill(value));
                self.known.insert(node, index);
                results.push(index);
            }
            Expression::Unary(op, a) => tasks.extend([Task::Unary(node, op), Task::Visit(a)]),
            Expression::Binary(op, a, b) => {
                tasks.extend([Task::Binary(node, op), Task::Visit(b), Task::Visit(a)]);
            }
            Expression::Select(from) => tasks.extend([Task::Same(node), Task::Visit(from)]),
            Expression::Merge(base, over) => {
                let chosen = self.branch(&base, &over);
                tasks.extend([Task::Same(node), Task::Visit(chosen)]);
            }
            Expression::WeightedSum(items) => {
                tasks.push(Task::Round(node));
                tasks.extend(groups(items).into_iter().rev().flat_map(|(first, group)| {
                    let weights = group.iter().map(|(_, weight)| *weight).collect();
                    let sum = std::iter::once(Task::Accumulate { first, weights });
                    sum.chain(group.into_iter().rev().map(|(item, _)| Task::Visit(item)))
                        .collect::<Vec<_>>()
                }));
            }
            Expression::Columns(pick, items) => {
                tasks.push(Task::Columns(node, pick, items.len()));
                tasks.extend(items.into_iter().rev().map(Task::Visit));
            }
        }
    }

    /// The side of a merge that has the tensors from the first on; ends the graph where the side changes.
    fn branch(&mut self, base: &Params, over: &Params) -> Params {
        let tensors = self.structure.tensors();
        let has = |index: usize| over.structure().get(&tensors[index].name).is_some();
        let side = has(self.first);
        let same = (self.first + 1..self.end).take_while(|index| has(*index) == side);
        self.end = self.first + 1 + same.count();
        match side {
            true => over.clone(),
            false => base.clone(),
        }
    }

    /// An evaluated input; ends the graph where its scalars no longer lie side by side.
    fn leaf(&mut self, params: &Params, source: Source) -> usize {
        let tensors = self.structure.tensors();
        let own = params.structure();
        let start = match Arc::ptr_eq(own, self.structure) {
            true => tensors[self.first].offset,
            false => {
                let place = own.position(&tensors[self.first].name);
                // Every input was checked to have the tensors of its result.
                let place = place.unwrap_or_default();
                let pairs = tensors[self.first..self.end]
                    .iter()
                    .zip(&own.tensors()[place..]);
                let same = pairs.take_while(|(a, b)| a.name == b.name).count();
                self.end = self.first + same.max(1);
                own.tensors()[place].offset
            }
        };
        let until = source.contiguous_until(start);
        if until != usize::MAX {
            let base = tensors[self.first].offset;
            let within = |index: &usize| tensors[*index].range().end - base <= until - start;
            let whole = (self.first..self.end).take_while(within).count();
            self.end = self.first + whole.max(1);
        }
        let direct = source.is_direct(start);
        self.leaves.push((source, start));
        let leaf = self.leaves.len() - 1;
        self.push(Local::Leaf { leaf, direct })
    }

    /// How many operations and roots need each operation.
    fn uses(&self, roots: &[usize]) -> Vec<usize> {
        let mut uses = vec![0usize; self.locals.len()];
        for root in roots {
            uses[*root] += 1;
        }
        // Operands come before what needs them; what nothing needs, needs nothing.
        for index in (0..self.locals.len()).rev() {
            if uses[index] > 0 {
                self.locals[index]
                    .operands()
                    .into_iter()
                    .for_each(|operand| uses[operand] += 1);
            }
        }
        uses
    }

    /// Joins an operation with the one operand that nothing else needs, where one loop does both with the
    /// same roundings: a pass over the block less for each.
    fn fuse(&mut self, roots: &[usize]) {
        let uses = self.uses(roots);
        for index in 0..self.locals.len() {
            let alone = |operand: usize| (uses[operand] == 1).then(|| &self.locals[operand]);
            let scaled = |operand: usize| match alone(operand) {
                Some(Local::Unary(Unary::Scale(factor), of)) => Some((*factor, *of)),
                _ => None,
            };
            let fused = match self.locals[index] {
                Local::Unary(Unary::Offset(addend), a) => match alone(a) {
                    Some(Local::Unary(Unary::Sqrt, of)) => {
                        Local::Unary(Unary::SqrtOffset(addend), *of)
                    }
                    _ => continue,
                },
                Local::Binary(Binary::Add, a, b) => {
                    match (scaled(a), scaled(b), alone(a), alone(b)) {
                        (Some((first, a)), Some((second, b)), _, _) => {
                            Local::Binary(Binary::Combine(first, second), a, b)
                        }
                        (None, Some((factor, b)), _, _) => {
                            Local::Binary(Binary::AddScaled(factor), a, b)
                        }
                        // A sum has no order.
                        (Some((factor, a)), None, _, _) => {
                            Local::Binary(Binary::AddScaled(factor), b, a)
                        }
                        (_, _, _, Some(Local::Round(sum))) => Local::RoundOnto(a, *sum),
                        (_, _, Some(Local::Round(sum)), _) => Local::RoundOnto(b, *sum),
                        _ => continue,
                    }
                }
                _ => continue,
            };
            self.locals[index] = fused;
        }
    }

    /// Steps in the order of the operations, with registers that are used again as soon as they are free.
    fn emit(
        mut self,
        stored: &[usize],
        folded: &[usize],
        shared: &mut Shared,
        watch: &mut Watch,
    ) -> Result<Program, ParamsError> {
        let roots: Vec<usize> = stored.iter().chain(folded).copied().collect();
        self.fuse(&roots);
        // What is folded is needed after the last step.
        let mut uses = self.uses(&roots);
        let (mut registers, mut sums) = (Slots::default(), Slots::default());
        let mut places: Vec<Place> = Vec::with_capacity(self.locals.len());
        let mut steps = Vec::new();
        let mut summed = vec![false; self.leaves.len()];
        // In the order in which the operations come.
        let mut stores: Vec<usize> = (0..stored.len()).collect();
        stores.sort_by_key(|root| stored[*root]);
        let mut stores = stores.into_iter().peekable();
        for (index, local) in self.locals.iter().enumerate() {
            watch.turn()?;
            if uses[index] == 0 {
                places.push(Place::Nowhere);
                continue;
            }
            let at = |operand: usize| places[operand].operand();
            let place = match local {
                Local::Leaf { leaf, direct: true } => Place::Operand(Operand::Leaf(*leaf)),
                Local::Leaf {
                    leaf,
                    direct: false,
                } => {
                    let out = registers.take();
                    steps.push(Step::Load { leaf: *leaf, out });
                    Place::register(out)
                }
                Local::Fill(value) => {
                    let out = registers.take();
                    steps.push(Step::Fill { value: *value, out });
                    Place::register(out)
                }
                Local::Unary(op, a) => {
                    let (op, a, out) = (*op, at(*a), registers.take());
                    steps.push(Step::Unary { op, a, out });
                    Place::register(out)
                }
                Local::Binary(op, a, b) => {
                    let (op, a, b, out) = (*op, at(*a), at(*b), registers.take());
                    steps.push(Step::Binary { op, a, b, out });
                    Place::register(out)
                }
                Local::Accumulate(before, items) => {
                    let sum = match before {
                        Some(before) => places[*before].sum(),
                        None => sums.take(),
                    };
                    let items = items.iter().map(|(item, weight)| (at(*item), *weight));
                    let (first, items): (_, Vec<_>) = (before.is_none(), items.collect());
                    for (item, _) in &items {
                        if let Operand::Leaf(leaf) = item {
                            summed[*leaf] = true;
                        }
                    }
                    steps.push(Step::Accumulate { first, items, sum });
                    Place::Sum(sum)
                }
                Local::Round(before) => {
                    let (sum, out) = (places[*before].sum(), registers.take());
                    steps.push(Step::Round { sum, out });
                    sums.give(sum);
                    Place::register(out)
                }
                Local::RoundOnto(base, before) => {
                    let (sum, base, out) = (places[*before].sum(), at(*base), registers.take());
                    steps.push(Step::RoundOnto { sum, base, out });
                    sums.give(sum);
                    Place::register(out)
                }
                Local::Columns(pick, items) => {
                    let pick = shared.columns(*pick, items.len(), watch)?;
                    let items = items.iter().map(|item| at(*item)).collect();
                    let out = registers.take();
                    steps.push(Step::Columns { pick, items, out });
                    Place::register(out)
                }
            };
            places.push(place);
            let mut release = |operand: usize, places: &[Place]| {
                uses[operand] -= 1;
                if let (0, Place::Operand(Operand::Register(register))) =
                    (uses[operand], places[operand])
                {
                    registers.give(register);
                }
            };
            for operand in local.operands() {
                release(operand, &places);
            }
            while let Some(root) = stores.next_if(|root| stored[*root] == index) {
                steps.push(Step::Store {
                    root,
                    a: places[index].operand(),
                });
                release(index, &places);
            }
        }
        let looked_ahead = (0..summed.len()).filter(|leaf| !summed[*leaf]).collect();
        let tensors = &self.structure.tensors()[self.first..self.end];
        let range = match (tensors.first(), tensors.last()) {
            (Some(first), Some(last)) => first.offset..last.range().end,
            _ => 0..0,
        };
        Ok(Program {
            range,
            steps,
            leaves: self.leaves,
            looked_ahead,
            folded: folded.iter().map(|root| places[*root].operand()).collect(),
            registers: registers.made,
            sums: sums.made,
            streamed: self.structure.count() >= STREAMED,
        })
    }
}

/// A result that the tasks before have left.
fn pop(results: &mut Vec<usize>) -> usize {
    // Every task is pushed below the visits that leave its operands.
    results.pop().unwrap_or_default()
}

/// Items of a weighted sum in the groups that one step adds: evaluated items together, others alone,
/// since each of these needs a register of its own. Whether a group is the first comes with it.
fn groups(items: Vec<(Params, f64)>) -> Vec<(bool, Vec<(Params, f64)>)> {
    let mut groups: Vec<(bool, Vec<(Params, f64)>)> = Vec::new();
    for (item, weight) in items {
        let evaluated = |item: &Params| item.node().value().is_some();
        match groups.last_mut() {
            Some((_, group))
                if group.len() < TOGETHER
                    && evaluated(&item)
                    && group.iter().all(|(item, _)| evaluated(item)) =>
            {
                group.push((item, weight));
            }
            _ => groups.push((groups.is_empty(), vec![(item, weight)])),
        }
    }
    groups
}

/// Where an operation's result lies.
#[derive(Clone, Copy)]
enum Place {
    Operand(Operand),
    Sum(usize),
    /// Nothing needs it.
    Nowhere,
}

impl Place {
    fn register(register: usize) -> Self {
        Self::Operand(Operand::Register(register))
    }

    fn operand(self) -> Operand {
        match self {
            Self::Operand(operand) => operand,
            Self::Sum(_) | Self::Nowhere => {
                unreachable!("only `Round` takes a sum, and what is needed lies somewhere")
            }
        }
    }

    fn sum(self) -> usize {
        match self {
            Self::Sum(sum) => sum,
            Self::Operand(_) | Self::Nowhere => {
                unreachable!("`Round` and `Accumulate` come after a sum")
            }
        }
    }
}

/// Numbers that are given out and taken back.
#[derive(Default)]
struct Slots {
    made: usize,
    free: Vec<usize>,
}

impl Slots {
    fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.made += 1;
            self.made - 1
        })
    }

    fn give(&mut self, slot: usize) {
        self.free.push(slot);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::watch::TURNS;
    use crate::{median, trimmed_mean, weighted_sum};

    fn params(a: f32, b: f32) -> Params {
        Params::from_tensors([
            ("a".to_owned(), vec![1], vec![a]),
            ("b".to_owned(), vec![1], vec![b]),
        ])
        .unwrap()
    }

    /// A chain that is walked anew for each of its uses would take 400 million visits here.
    #[test]
    fn selections_and_merges_are_walked_once() {
        let x = params(1.0, 2.0);
        let part = x.select("b").unwrap().scale(2.0);
        let mut chain = x.clone();
        for _ in 0..10_000 {
            chain = chain.select("*").unwrap().merge(&part).unwrap();
        }
        let mut sum = x.clone();
        for _ in 0..20_000 {
            sum = sum.add(&chain).unwrap();
        }
        assert_eq!(sum.values(), [20_001.0, 80_002.0]);
    }

    /// What a weighted sum reads it looks ahead for by itself; a hundred thousand other inputs are not
    /// searched for in as many steps each.
    #[test]
    fn inputs_outside_of_weighted_sums_are_looked_ahead_for() {
        let x = params(1.0, 2.0);
        let mut all = x.clone();
        for _ in 0..100_000 {
            all = all.add(&x.with_values(vec![0.5, 0.25]).unwrap()).unwrap();
        }
        let summed = x.with_values(vec![3.0, 4.0]).unwrap();
        let all = all.add(&weighted_sum(&[(&summed, 2.0)]).unwrap()).unwrap();
        let roots = Roots {
            structure: x.structure(),
            stored: &[],
            folded: std::slice::from_ref(&all),
        };
        let programs = compile(&roots, &(0..2), None).unwrap();
        assert_eq!(programs.len(), 1);
        assert_eq!(programs[0].leaves.len(), 100_002);
        let expected: Vec<usize> = (0..100_001).collect();
        assert_eq!(programs[0].looked_ahead, expected);
    }

    /// So many tensors of which each needs a program of its own: its neighbours come from other parameters.
    fn alternating(tensors: usize) -> Params {
        let entries = (0..tensors).map(|index| {
            let side = ["even", "odd"][index % 2];
            (format!("{index:04}.{side}"), vec![1], vec![1.0])
        });
        let x = Params::from_tensors(entries).unwrap();
        x.merge(&x.select("*.odd").unwrap()).unwrap()
    }

    fn compiled(most: usize, root: &Params) -> Result<Vec<Program>, ParamsError> {
        let roots = Roots {
            structure: root.structure(),
            stored: &[],
            folded: std::slice::from_ref(root),
        };
        compile_by(most, &roots, &(0..root.count()), None)
    }

    /// A table for each program would take 6 MB and longer than all the rest of it.
    #[test]
    fn programs_share_how_they_sort() {
        let x = alternating(500);
        let items = vec![&x; 1 << 14];
        for root in [median(&items).unwrap(), trimmed_mean(&items, 800).unwrap()] {
            let programs = compiled(MOST_STEPS, &root).unwrap();
            assert_eq!(programs.len(), 500);
            let steps = programs.iter().flat_map(|program| &program.steps);
            let tables = steps.filter_map(|step| match step {
                Step::Columns { pick, .. } => Some(pick),
                _ => None,
            });
            let tables: Vec<&Arc<Columns>> = tables.collect();
            assert_eq!(tables.len(), 500);
            assert!(tables.iter().all(|table| Arc::ptr_eq(table, tables[0])));
        }
    }

    /// What is sorted counts by its items, and how by its comparators, however few the steps.
    #[test]
    fn columns_count_by_their_items() {
        const MOST: usize = 100_000;
        fn sum(items: &[&Params], drop: fn(usize) -> usize) -> Params {
            let all = (0..64).map(|index| trimmed_mean(items, drop(index)).unwrap());
            all.reduce(|sum, one| sum.add(&one).unwrap()).unwrap()
        }
        let too_large = Some(ParamsError::TooLarge {
            what: "steps",
            most: MOST,
        });
        // 127 steps and 8,192 times eight items in each of 500 programs.
        let x = alternating(500);
        let many = sum(&vec![&x; 1 << 10], |_| 400);
        assert_eq!(compiled(MOST, &many).err(), too_large);
        // One program alone, but with 64 tables of about 20,000 comparators each.
        let x = params(1.0, 2.0);
        let items = vec![&x; 1 << 10];
        assert_eq!(compiled(MOST, &sum(&items, |index| index)).err(), too_large);
        assert!(compiled(MOST, &sum(&items, |_| 400)).is_ok());
    }

    /// The deadline ends either half of a compilation, not only what comes after.
    #[test]
    fn lowering_and_emitting_keep_the_deadline() {
        let x = params(1.0, 2.0);
        let mut chain = x.clone();
        for _ in 0..2 * TURNS {
            chain = chain.offset(1.0);
        }
        let late = || Watch::new(Some(Instant::now() - Duration::from_secs(1)));
        let mut graph = Graph::new(x.structure(), 0);
        let lowered = graph.lower(&chain, &mut late());
        assert_eq!(lowered, Err(ParamsError::OutOfTime));
        let mut graph = Graph::new(x.structure(), 0);
        let root = graph.lower(&chain, &mut Watch::new(None)).unwrap();
        let emitted = graph.emit(&[], &[root], &mut Shared::new(MOST_STEPS), &mut late());
        assert_eq!(emitted.err(), Some(ParamsError::OutOfTime));
    }

    /// Parameters that are wanted twice, and out of the order in which they are computed.
    #[test]
    fn every_root_is_stored() {
        let x = params(1.0, 2.0);
        let (first, other) = (x.scale(2.0), x.filled(7.0));
        let second = first.offset(1.0);
        let wanted = [second.clone(), other.clone(), first.clone(), second.clone()];
        crate::Evaluator::default().commit(&wanted).unwrap();
        assert!(wanted.iter().all(Params::is_evaluated));
        assert_eq!(second.values(), [3.0, 5.0]);
        assert_eq!(first.values(), [2.0, 4.0]);
        assert_eq!(other.values(), [7.0, 7.0]);
        // The same place of a graph, for two nodes.
        let chosen = [x.select("*").unwrap(), x.select("*").unwrap()];
        crate::Evaluator::default().commit(&chosen).unwrap();
        assert_eq!(chosen[0].values(), [1.0, 2.0]);
        assert_eq!(chosen[1].values(), [1.0, 2.0]);
    }
}
