//! Order statistics of many coordinates at once: sorting networks over lanes.
//!
//! A column holds one coordinate of every item. A network compares and exchanges whole vectors of
//! neighbouring coordinates, with no branch on their values. Up to 16 items it is Batcher's merge exchange
//! (Knuth, The Art of Computer Programming 3, 5.2.2M) with literal indices, which stays in registers; more
//! are sorted in groups of 16, which Batcher's odd-even merge then joins as far as the pick needs it.

use std::ops::Range;

use multiversion::multiversion;

use crate::ParamsError;
use crate::expression::Pick;
use crate::kernels::BLOCK;
use crate::watch::Watch;

/// Items that are sorted in registers.
const GROUP: usize = 16;
/// Coordinates of a tile where items are more.
const WIDE: usize = 64;
/// Coordinates for which groups are sorted in one go, a multiple of a tile.
const SPAN: usize = 512;

/// One item's coordinates in a tile, at the start of a cache line: a vector that lies across two takes
/// twice as long.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([f32; WIDE]);

/// What picks a value from every column of some number of items.
pub(crate) struct Columns {
    pick: Pick,
    items: usize,
    /// The comparators that join sorted groups.
    table: Vec<(u32, u32)>,
}

impl Columns {
    /// For `items` values in a column.
    pub(crate) fn new(pick: Pick, items: usize) -> Self {
        let mut columns = Self {
            pick,
            items,
            table: Vec::new(),
        };
        if items > GROUP {
            let mut pairs = Vec::new();
            sort(0, items.next_power_of_two(), items, &mut pairs);
            columns.table = prune(pairs, items, columns.needed());
        }
        columns
    }

    /// The places of a sorted column that count.
    fn needed(&self) -> Range<usize> {
        match self.pick {
            Pick::Median => (self.items - 1) / 2..self.items / 2 + 1,
            Pick::Trimmed(drop) => drop..self.items - drop,
            Pick::NearMedian(_) => 0..self.items,
        }
    }

    /// How many comparators it keeps.
    pub(crate) fn comparators(&self) -> usize {
        self.table.len()
    }

    /// One value for each coordinate. A turn of `watch` is about a pass over a block.
    pub(crate) fn run(
        &self,
        items: &[&[f32]],
        out: &mut [f32],
        watch: &mut Watch,
    ) -> Result<(), ParamsError> {
        match (self.pick, items.len()) {
            (_, 1) => out.copy_from_slice(items[0]),
            (Pick::NearMedian(keep), 2..=GROUP) => near_median(items, keep, out),
            (_, 2..=GROUP) => few(items, &self.needed(), out),
            _ => return many(self, items, out, watch),
        }
        Ok(())
    }
}

/// The mean of the `keep` values of a sorted column that are nearest to its median.
#[inline(always)]
fn around_median(n: usize, keep: usize, at: impl Fn(usize) -> f32) -> f32 {
    let middle = n / 2;
    let median = match n % 2 {
        1 => f64::from(at(middle)),
        _ => (f64::from(at(middle - 1)) + f64::from(at(middle))) / 2.0,
    };
    // Of the sorted values the nearest are neighbours: drop the farther end until they are few.
    let (mut low, mut high) = (0, n);
    while high - low > keep {
        let (below, above) = (
            median - f64::from(at(low)),
            f64::from(at(high - 1)) - median,
        );
        match below > above {
            true => low += 1,
            false => high -= 1,
        }
    }
    let sum: f64 = (low..high)
        .map(|index| f64::from(at(index)))
        .fold(0.0, |sum, value| sum + value);
    (sum / (high - low) as f64) as f32
}

/// Exchanges two values, the smaller to the front: one instruction each. A NaN makes what comes of its
/// column arbitrary, though the same every time.
macro_rules! exchange {
    ($v:ident $a:literal $b:literal) => {
        let (x, y) = ($v[$a], $v[$b]);
        $v[$a] = if y < x { y } else { x };
        $v[$b] = if x < y { y } else { x };
    };
}

/// Functions over columns of a literal number of items. They are written for one coordinate; the compiler
/// makes vectors of it, with every value in a register.
macro_rules! literal_networks {
    ($($n:literal $few:ident: $(($a:literal $b:literal))*;)*) => {
        /// Means of the places `kept` of sorted columns.
        fn few(items: &[&[f32]], kept: &Range<usize>, out: &mut [f32]) {
            match items.len() {
                $($n => $few(items, kept, out),)*
                _ => unreachable!("a literal network exists for 2 to 16 items"),
            }
        }

        $(
            #[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
            fn $few(items: &[&[f32]], kept: &Range<usize>, out: &mut [f32]) {
                let count = out.len();
                let items: [&[f32]; $n] = std::array::from_fn(|index| &items[index][..count]);
                // The places are told apart outside of the loop.
                let (odd, even) = (($n - 1) / 2..$n / 2 + 1, $n % 2 == 0);
                if *kept == odd && !even {
                    for (index, out) in out.iter_mut().enumerate() {
                        let mut v: [f32; $n] = std::array::from_fn(|place| items[place][index]);
                        $(exchange!(v $a $b);)*
                        *out = v[$n / 2];
                    }
                } else if *kept == odd {
                    for (index, out) in out.iter_mut().enumerate() {
                        let mut v: [f32; $n] = std::array::from_fn(|place| items[place][index]);
                        $(exchange!(v $a $b);)*
                        *out = ((f64::from(v[($n - 1) / 2]) + f64::from(v[$n / 2])) / 2.0) as f32;
                    }
                } else {
                    let length = kept.len() as f64;
                    let keep: [bool; $n] = std::array::from_fn(|place| kept.contains(&place));
                    for (index, out) in out.iter_mut().enumerate() {
                        let mut v: [f32; $n] = std::array::from_fn(|place| items[place][index]);
                        $(exchange!(v $a $b);)*
                        let mut sum = 0f64;
                        for place in 0..$n {
                            sum += if keep[place] { f64::from(v[place]) } else { 0.0 };
                        }
                        *out = (sum / length) as f32;
                    }
                }
            }
        )*
    };
}

literal_networks! {
    2 few_2: (0 1);
    3 few_3: (0 2) (0 1) (1 2);
    4 few_4: (0 2) (1 3) (0 1) (2 3) (1 2);
    5 few_5: (0 4) (0 2) (1 3) (2 4) (0 1) (2 3) (1 4) (1 2) (3 4);
    6 few_6: (0 4) (1 5) (0 2) (1 3) (2 4) (3 5) (0 1) (2 3) (4 5) (1 4) (1 2) (3 4);
    7 few_7: (0 4) (1 5) (2 6) (0 2) (1 3) (4 6) (2 4) (3 5) (0 1) (2 3) (4 5) (1 4) (3 6) (1 2) (3 4) (5 6);
    8 few_8: (0 4) (1 5) (2 6) (3 7) (0 2) (1 3) (4 6) (5 7) (2 4) (3 5) (0 1) (2 3) (4 5) (6 7) (1 4) (3 6) (1 2) (3 4) (5 6);
    9 few_9: (0 8) (0 4) (1 5) (2 6) (3 7) (4 8) (0 2) (1 3) (4 6) (5 7) (2 8) (2 4) (3 5) (6 8) (0 1) (2 3) (4 5) (6 7) (1 8) (1 4) (3 6) (5 8) (1 2) (3 4) (5 6) (7 8);
    10 few_10: (0 8) (1 9) (0 4) (1 5) (2 6) (3 7) (4 8) (5 9) (0 2) (1 3) (4 6) (5 7) (2 8) (3 9) (2 4) (3 5) (6 8) (7 9) (0 1) (2 3) (4 5) (6 7) (8 9) (1 8) (1 4) (3 6) (5 8) (1 2) (3 4) (5 6) (7 8);
    11 few_11: (0 8) (1 9) (2 10) (0 4) (1 5) (2 6) (3 7) (4 8) (5 9) (6 10) (0 2) (1 3) (4 6) (5 7) (8 10) (2 8) (3 9) (2 4) (3 5) (6 8) (7 9) (0 1) (2 3) (4 5) (6 7) (8 9) (1 8) (3 10) (1 4) (3 6) (5 8) (7 10) (1 2) (3 4) (5 6) (7 8) (9 10);
    12 few_12: (0 8) (1 9) (2 10) (3 11) (0 4) (1 5) (2 6) (3 7) (4 8) (5 9) (6 10) (7 11) (0 2) (1 3) (4 6) (5 7) (8 10) (9 11) (2 8) (3 9) (2 4) (3 5) (6 8) (7 9) (0 1) (2 3) (4 5) (6 7) (8 9) (10 11) (1 8) (3 10) (1 4) (3 6) (5 8) (7 10) (1 2) (3 4) (5 6) (7 8) (9 10);
    13 few_13: (0 8) (1 9) (2 10) (3 11) (4 12) (0 4) (1 5) (2 6) (3 7) (8 12) (4 8) (5 9) (6 10) (7 11) (0 2) (1 3) (4 6) (5 7) (8 10) (9 11) (2 8) (3 9) (6 12) (2 4) (3 5) (6 8) (7 9) (10 12) (0 1) (2 3) (4 5) (6 7) (8 9) (10 11) (1 8) (3 10) (5 12) (1 4) (3 6) (5 8) (7 10) (9 12) (1 2) (3 4) (5 6) (7 8) (9 10) (11 12);
    14 few_14: (0 8) (1 9) (2 10) (3 11) (4 12) (5 13) (0 4) (1 5) (2 6) (3 7) (8 12) (9 13) (4 8) (5 9) (6 10) (7 11) (0 2) (1 3) (4 6) (5 7) (8 10) (9 11) (2 8) (3 9) (6 12) (7 13) (2 4) (3 5) (6 8) (7 9) (10 12) (11 13) (0 1) (2 3) (4 5) (6 7) (8 9) (10 11) (12 13) (1 8) (3 10) (5 12) (1 4) (3 6) (5 8) (7 10) (9 12) (1 2) (3 4) (5 6) (7 8) (9 10) (11 12);
    15 few_15: (0 8) (1 9) (2 10) (3 11) (4 12) (5 13) (6 14) (0 4) (1 5) (2 6) (3 7) (8 12) (9 13) (10 14) (4 8) (5 9) (6 10) (7 11) (0 2) (1 3) (4 6) (5 7) (8 10) (9 11) (12 14) (2 8) (3 9) (6 12) (7 13) (2 4) (3 5) (6 8) (7 9) (10 12) (11 13) (0 1) (2 3) (4 5) (6 7) (8 9) (10 11) (12 13) (1 8) (3 10) (5 12) (7 14) (1 4) (3 6) (5 8) (7 10) (9 12) (11 14) (1 2) (3 4) (5 6) (7 8) (9 10) (11 12) (13 14);
    16 few_16: (0 8) (1 9) (2 10) (3 11) (4 12) (5 13) (6 14) (7 15) (0 4) (1 5) (2 6) (3 7) (8 12) (9 13) (10 14) (11 15) (4 8) (5 9) (6 10) (7 11) (0 2) (1 3) (4 6) (5 7) (8 10) (9 11) (12 14) (13 15) (2 8) (3 9) (6 12) (7 13) (2 4) (3 5) (6 8) (7 9) (10 12) (11 13) (0 1) (2 3) (4 5) (6 7) (8 9) (10 11) (12 13) (14 15) (1 8) (3 10) (5 12) (7 14) (1 4) (3 6) (5 8) (7 10) (9 12) (11 14) (1 2) (3 4) (5 6) (7 8) (9 10) (11 12) (13 14);
}

/// Means around the median, column by column.
fn near_median(items: &[&[f32]], keep: usize, out: &mut [f32]) {
    let mut column = vec![0f32; items.len()];
    for (index, out) in out.iter_mut().enumerate() {
        for (slot, item) in column.iter_mut().zip(items) {
            *slot = item[index];
        }
        column.sort_unstable_by(f32::total_cmp);
        *out = around_median(column.len(), keep, |place| column[place]);
    }
}

/// Sorts `count` columns of sixteen items; sorted place `p` goes to `out[p · SPAN..]`. The loop is long and
/// its count not a literal, so that the compiler makes vectors of it.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn sort_group(items: &[&[f32]], start: usize, count: usize, out: &mut [f32]) {
    let items: [&[f32]; GROUP] = std::array::from_fn(|place| &items[place][start..start + count]);
    let out = &mut out[..(GROUP - 1) * SPAN + count];
    for lane in 0..count {
        let mut own: [f32; GROUP] = std::array::from_fn(|place| items[place][lane]);
        macro_rules! network {
            ($(($a:literal $b:literal))*) => { $(exchange!(own $a $b);)* };
        }
        network!((0 8) (1 9) (2 10) (3 11) (4 12) (5 13) (6 14) (7 15) (0 4) (1 5) (2 6) (3 7) (8 12) (9 13) (10 14) (11 15) (4 8) (5 9) (6 10) (7 11) (0 2) (1 3) (4 6) (5 7) (8 10) (9 11) (12 14) (13 15) (2 8) (3 9) (6 12) (7 13) (2 4) (3 5) (6 8) (7 9) (10 12) (11 13) (0 1) (2 3) (4 5) (6 7) (8 9) (10 11) (12 13) (14 15) (1 8) (3 10) (5 12) (7 14) (1 4) (3 6) (5 8) (7 10) (9 12) (11 14) (1 2) (3 4) (5 6) (7 8) (9 10) (11 12) (13 14));
        macro_rules! store {
            ($($place:literal)*) => { $(out[$place * SPAN + lane] = own[$place];)* };
        }
        store!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }
}

fn many(
    columns: &Columns,
    items: &[&[f32]],
    out: &mut [f32],
    watch: &mut Watch,
) -> Result<(), ParamsError> {
    let n = items.len();
    let whole = n / GROUP * GROUP;
    let mut rows = vec![0f32; n * SPAN];
    for (span, out) in out.chunks_mut(SPAN).enumerate() {
        let (start, count) = (span * SPAN, out.len());
        for first in (0..whole).step_by(GROUP) {
            let group = &items[first..first + GROUP];
            sort_group(group, start, count, &mut rows[first * SPAN..]);
        }
        for (row, item) in rows.chunks_exact_mut(SPAN).zip(items).skip(whole) {
            row[..count].copy_from_slice(&item[start..start + count]);
        }
        join_groups(columns, &rows, out, watch)?;
    }
    Ok(())
}

/// Joins sorted groups, tile by tile. What lies past the end of `out` in the last tile is not used.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn join_groups(
    columns: &Columns,
    rows: &[f32],
    out: &mut [f32],
    watch: &mut Watch,
) -> Result<(), ParamsError> {
    let mut v = vec![Line([0.0; WIDE]); columns.items];
    for (tile, out) in out.chunks_mut(WIDE).enumerate() {
        // Of thousands of items a tile alone takes some hundredths of a second.
        watch.turns(columns.table.len().div_ceil(BLOCK / WIDE))?;
        let start = tile * WIDE;
        for (line, row) in v.iter_mut().zip(rows.chunks_exact(SPAN)) {
            line.0.copy_from_slice(&row[start..start + WIDE]);
        }
        for &(a, b) in &columns.table {
            join(&mut v, a as usize, b as usize);
        }
        put(columns, &v, out);
    }
    Ok(())
}

/// Exchanges two lines. Both are read before either is written: a store of what is there anyway would
/// become a masked one, behind which the next load has to wait.
#[inline(always)]
fn join(v: &mut [Line], a: usize, b: usize) {
    let (first, second) = (v[a].0, v[b].0);
    let (mut low, mut high) = ([0f32; WIDE], [0f32; WIDE]);
    for lane in 0..WIDE {
        let (x, y) = (first[lane], second[lane]);
        low[lane] = if x < y { x } else { y };
        high[lane] = if x < y { y } else { x };
    }
    v[a] = Line(low);
    v[b] = Line(high);
}

#[inline(always)]
fn put(columns: &Columns, v: &[Line], out: &mut [f32]) {
    if let Pick::NearMedian(keep) = columns.pick {
        for (lane, out) in out.iter_mut().enumerate() {
            *out = around_median(v.len(), keep, |place| v[place].0[lane]);
        }
        return;
    }
    let kept = columns.needed();
    let length = kept.len() as f64;
    let mut sum = [0f64; WIDE];
    for line in &v[kept] {
        for (sum, value) in sum.iter_mut().zip(&line.0) {
            *sum += f64::from(*value);
        }
    }
    for (out, sum) in out.iter_mut().zip(&sum) {
        *out = (sum / length) as f32;
    }
}

/// Comparators that sort places `first` to before `first + length` of `n`, a power of two of which those
/// from `n` on are imagined as the largest; whole groups are sorted already.
fn sort(first: usize, length: usize, n: usize, pairs: &mut Vec<(u32, u32)>) {
    if length < 2 || first >= n || (length == GROUP && first + GROUP <= n) {
        return;
    }
    sort(first, length / 2, n, pairs);
    sort(first + length / 2, length / 2, n, pairs);
    merge(first, length, 1, n, pairs);
}

/// Comparators that merge two sorted halves, of which every `step`th place is meant.
fn merge(first: usize, length: usize, step: usize, n: usize, pairs: &mut Vec<(u32, u32)>) {
    let double = 2 * step;
    if double >= length {
        if first + step < n {
            pairs.push((first as u32, (first + step) as u32));
        }
        return;
    }
    merge(first, length, double, n, pairs);
    merge(first + step, length, double, n, pairs);
    let mut place = first + step;
    while place + step < first + length {
        if place + step < n {
            pairs.push((place as u32, (place + step) as u32));
        }
        place += double;
    }
}

/// The comparators on which the `needed` of `n` places depend.
fn prune(pairs: Vec<(u32, u32)>, n: usize, needed: Range<usize>) -> Vec<(u32, u32)> {
    let mut live = vec![false; n];
    live[needed].fill(true);
    let mut kept: Vec<(u32, u32)> = Vec::new();
    for (a, b) in pairs.into_iter().rev() {
        let (first, second) = (a as usize, b as usize);
        if live[first] || live[second] {
            (live[first], live[second]) = (true, true);
            kept.push((a, b));
        }
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use rand::RngExt;

    /// Every pick over cohorts of 1 to 40 beside sorting.
    #[test]
    fn picks_agree_with_sorting() {
        let mut rng = Seed(3).rng();
        for n in 1..=40usize {
            let rows: Vec<Vec<f32>> = (0..n)
                .map(|_| {
                    (0..77)
                        .map(|_| f32::from(rng.random_range(-9i8..9)) / 4.0)
                        .collect()
                })
                .collect();
            let items: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
            let mean = |values: &[f32]| {
                (values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len() as f64) as f32
            };
            let picks = [
                Pick::Median,
                Pick::Trimmed((n - 1) / 2),
                Pick::Trimmed(n / 5),
                Pick::NearMedian(n.div_ceil(2)),
            ];
            for pick in picks {
                let mut found = vec![0f32; 77];
                let columns = Columns::new(pick, n);
                columns
                    .run(&items, &mut found, &mut Watch::new(None))
                    .unwrap();
                for (index, found) in found.iter().enumerate() {
                    let mut column: Vec<f32> = rows.iter().map(|row| row[index]).collect();
                    column.sort_by(f32::total_cmp);
                    let median = mean(&column[(n - 1) / 2..n / 2 + 1]);
                    let expected = match pick {
                        Pick::Median => median,
                        Pick::Trimmed(drop) => mean(&column[drop..n - drop]),
                        Pick::NearMedian(keep) => {
                            let far = |v: &f32| (f64::from(*v) - f64::from(median)).abs();
                            let mut near = column.clone();
                            near.sort_by(|a, b| far(a).total_cmp(&far(b)).then(a.total_cmp(b)));
                            near.truncate(keep);
                            near.sort_by(f32::total_cmp);
                            mean(&near)
                        }
                    };
                    assert_eq!(*found, expected, "{pick:?} of {column:?}");
                }
            }
        }
    }
}
