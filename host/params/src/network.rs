//! Order statistics of many coordinates at once: sorting networks over lanes.
//!
//! A column holds one coordinate of every item. A network compares and exchanges whole vectors of
//! neighbouring coordinates, with no branch on their values. Networks are Batcher's merge exchange
//! (Knuth, The Art of Computer Programming 3, 5.2.2M), cut down to what the pick needs.

use multiversion::multiversion;

use crate::expression::Pick;

/// Coordinates that are sorted at once: by networks of literal indices, which stay in registers, and by
/// those in a table.
const WIDE: usize = 64;

/// What picks a value from every column of some number of items.
pub(crate) struct Columns {
    pick: Pick,
    items: usize,
    /// The comparators, for more items than have a literal network.
    table: Vec<(u32, u32)>,
}

impl Columns {
    /// For `items` values in a column.
    pub(crate) fn new(pick: Pick, items: usize) -> Self {
        let needed = match pick {
            Pick::Median => (items - 1) / 2..items / 2 + 1,
            Pick::Trimmed(drop) => drop..items - drop,
            Pick::NearMedian(_) => 0..items,
        };
        let table = prune(merge_exchange(items), needed);
        Self { pick, items, table }
    }

    /// One value for each coordinate.
    pub(crate) fn run(&self, items: &[&[f32]], out: &mut [f32]) {
        sorted(self, items, out);
    }

    /// What is picked of a sorted column; `at` gives its values.
    #[inline(always)]
    fn of(&self, at: impl Fn(usize) -> f32) -> f32 {
        let (n, middle) = (self.items, self.items / 2);
        let mean = |range: std::ops::Range<usize>| {
            let count = range.len() as f64;
            (range.map(|index| f64::from(at(index))).sum::<f64>() / count) as f32
        };
        match self.pick {
            Pick::Median if n % 2 == 1 => at(middle),
            Pick::Median => mean(middle - 1..middle + 1),
            Pick::Trimmed(drop) => mean(drop..n - drop),
            Pick::NearMedian(keep) => {
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
                mean(low..high)
            }
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn sorted(columns: &Columns, items: &[&[f32]], out: &mut [f32]) {
    by_table(columns, items, out);
}

/// Puts the smaller values into `v[a]`; a NaN stays where it is.
#[inline(always)]
fn exchange<const L: usize>(v: &mut [[f32; L]], a: usize, b: usize) {
    // Of a comparator the first index is the smaller.
    let (low, high) = v.split_at_mut(b);
    for (x, y) in low[a].iter_mut().zip(&mut high[0]) {
        let (first, second) = (*x, *y);
        *x = if second < first { second } else { first };
        *y = if second < first { first } else { second };
    }
}

#[inline(always)]
fn put<const L: usize>(columns: &Columns, v: &[[f32; L]], out: &mut [f32]) {
    let count = out.len().min(L);
    let n = columns.items;
    let mut picked = [0f32; L];
    match columns.pick {
        Pick::Median if n % 2 == 1 => picked = v[n / 2],
        Pick::Median | Pick::Trimmed(_) => {
            let range = match columns.pick {
                Pick::Trimmed(drop) => drop..n - drop,
                _ => n / 2 - 1..n / 2 + 1,
            };
            let kept = range.len() as f64;
            let mut sum = [0f64; L];
            for own in &v[range] {
                for lane in 0..L {
                    sum[lane] += f64::from(own[lane]);
                }
            }
            for lane in 0..L {
                picked[lane] = (sum[lane] / kept) as f32;
            }
        }
        Pick::NearMedian(_) => {
            for (lane, picked) in picked.iter_mut().enumerate().take(count) {
                *picked = columns.of(|index| v[index][lane]);
            }
        }
    }
    out[..count].copy_from_slice(&picked[..count]);
}

#[inline(always)]
fn by_table(columns: &Columns, items: &[&[f32]], out: &mut [f32]) {
    let mut v = vec![[0f32; WIDE]; items.len()];
    let mut start = 0;
    while start < out.len() {
        let count = (out.len() - start).min(WIDE);
        for (lanes, item) in v.iter_mut().zip(items) {
            lanes[..count].copy_from_slice(&item[start..start + count]);
        }
        for &(a, b) in &columns.table {
            exchange(&mut v, a as usize, b as usize);
        }
        put(columns, &v, &mut out[start..]);
        start += WIDE;
    }
}

/// Comparators that sort `n` values.
fn merge_exchange(n: usize) -> Vec<(u32, u32)> {
    let mut pairs = Vec::new();
    let top = n.next_power_of_two() / 2;
    let mut p = top;
    while p > 0 {
        let (mut q, mut r, mut d) = (top, 0, p);
        loop {
            let own = (0..n - d).filter(|i| i & p == r);
            pairs.extend(own.map(|i| (i as u32, (i + d) as u32)));
            if q == p {
                break;
            }
            (d, q, r) = (q - p, q / 2, p);
        }
        p /= 2;
    }
    pairs
}

/// The comparators on which the `needed` places depend.
fn prune(pairs: Vec<(u32, u32)>, needed: std::ops::Range<usize>) -> Vec<(u32, u32)> {
    let mut live: std::collections::BTreeSet<u32> = needed.map(|index| index as u32).collect();
    let mut kept: Vec<(u32, u32)> = Vec::new();
    for (a, b) in pairs.into_iter().rev() {
        if live.contains(&a) || live.contains(&b) {
            live.extend([a, b]);
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
                Columns::new(pick, n).run(&items, &mut found);
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
