//! What an operation on parameters means, written for one scalar at a time.

use std::collections::BTreeMap;

use folkmoot_params::Params;

/// A scalar; none where the contract leaves it open, and in all that comes of such a one.
pub type Known = Option<f32>;

/// Tensors by name, in storage order.
#[derive(Clone)]
pub struct Tensors(pub BTreeMap<String, Vec<Known>>);

/// Scalars of a block, and of a chunk, by which sums are grouped.
const BLOCK: usize = 4096;
const CHUNK: usize = 32 * BLOCK;
const LANES: usize = 16;

/// The same bits; of NaN there is one.
fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

impl Tensors {
    pub fn new(tensors: &[(String, Vec<usize>, Vec<f32>)]) -> Self {
        let known = |values: &Vec<f32>| values.iter().copied().map(Some).collect();
        Self(
            tensors
                .iter()
                .map(|(name, _, values)| (name.clone(), known(values)))
                .collect(),
        )
    }

    pub fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Same names, same sizes.
    pub fn alike(&self, other: &Self) -> bool {
        let sizes = |own: &Self| {
            own.0
                .iter()
                .map(|(name, values)| (name.clone(), values.len()))
                .collect::<Vec<_>>()
        };
        sizes(self) == sizes(other)
    }

    pub fn map(&self, op: impl Fn(f32) -> f32) -> Self {
        let each = |values: &Vec<Known>| values.iter().map(|value| value.map(&op)).collect();
        Self(
            self.0
                .iter()
                .map(|(name, values)| (name.clone(), each(values)))
                .collect(),
        )
    }

    pub fn filled(&self, value: f32) -> Self {
        let each = |values: &Vec<Known>| vec![Some(value); values.len()];
        Self(
            self.0
                .iter()
                .map(|(name, values)| (name.clone(), each(values)))
                .collect(),
        )
    }

    pub fn zip(&self, other: &Self, op: impl Fn(f32, f32) -> f32) -> Option<Self> {
        self.alike(other).then(|| {
            let each = |name: &String, values: &Vec<Known>| {
                let pairs = values.iter().zip(&other.0[name]);
                pairs.map(|(a, b)| Some(op((*a)?, (*b)?))).collect()
            };
            Self(
                self.0
                    .iter()
                    .map(|(name, values)| (name.clone(), each(name, values)))
                    .collect(),
            )
        })
    }

    /// Those that `chosen` has.
    pub fn only(&self, chosen: &Params) -> Self {
        let names = chosen.structure().tensors().iter();
        Self(
            names
                .map(|tensor| (tensor.name.clone(), self.0[&tensor.name].clone()))
                .collect(),
        )
    }

    pub fn merge(&self, over: &Self) -> Self {
        let mut merged = self.0.clone();
        merged.extend(over.0.clone());
        Self(merged)
    }

    pub fn weighted_sum(items: &[(&Self, f64)]) -> Option<Self> {
        let (first, _) = items.first()?;
        Self::columns(
            &items.iter().map(|(item, _)| *item).collect::<Vec<_>>(),
            |column| {
                let terms = column
                    .iter()
                    .zip(items)
                    .map(|(value, (_, weight))| weight * f64::from(*value));
                Some(terms.fold(0.0, |sum, term| sum + term) as f32)
            },
        )
        .filter(|_| first.count() < usize::MAX)
    }

    /// Mean without the `drop` smallest and largest.
    pub fn trimmed(items: &[&Self], drop: usize) -> Option<Self> {
        if items.len() < 2 * drop + 1 {
            return None;
        }
        Self::sorted(items, |sorted| {
            let kept = &sorted[drop..sorted.len() - drop];
            let sum = kept.iter().fold(0.0, |sum, value| sum + f64::from(*value));
            (sum / kept.len() as f64) as f32
        })
    }

    /// Mean of the `keep` that lie nearest to the median.
    pub fn near_median(items: &[&Self], keep: usize) -> Option<Self> {
        if keep == 0 || items.len() < keep {
            return None;
        }
        Self::sorted(items, |sorted| {
            let n = sorted.len();
            let (low, high) = (f64::from(sorted[(n - 1) / 2]), f64::from(sorted[n / 2]));
            let median = if n % 2 == 1 { high } else { (low + high) / 2.0 };
            let mut kept = sorted;
            while kept.len() > keep {
                let below = median - f64::from(kept[0]);
                let above = f64::from(kept[kept.len() - 1]) - median;
                kept = if below > above {
                    &kept[1..]
                } else {
                    &kept[..kept.len() - 1]
                };
            }
            let sum = kept.iter().fold(0.0, |sum, value| sum + f64::from(*value));
            (sum / kept.len() as f64) as f32
        })
    }

    /// A value of each sorted column. What comes of a NaN is open, and so is which zero is the smaller.
    fn sorted(items: &[&Self], pick: impl Fn(&[f32]) -> f32) -> Option<Self> {
        Self::columns(items, |column| {
            if let [value] = column {
                return Some(*value);
            }
            let open = |value: &f32| value.is_nan() || (*value == 0.0 && value.is_sign_negative());
            if column.iter().any(open) {
                return None;
            }
            column.sort_unstable_by(f32::total_cmp);
            Some(pick(column))
        })
    }

    fn columns(items: &[&Self], pick: impl Fn(&mut [f32]) -> Known) -> Option<Self> {
        let first = items.first()?;
        if !items.iter().all(|item| first.alike(item)) {
            return None;
        }
        let each = |name: &String, count: usize| {
            let columns = (0..count).map(|index| {
                let column: Option<Vec<f32>> =
                    items.iter().map(|item| item.0[name][index]).collect();
                pick(&mut column?)
            });
            columns.collect()
        };
        Some(Self(
            first
                .0
                .iter()
                .map(|(name, own)| (name.clone(), each(name, own.len())))
                .collect(),
        ))
    }

    fn flat(&self) -> Vec<Known> {
        self.0.values().flatten().copied().collect()
    }

    pub fn sum(&self) -> Option<f64> {
        let own = self.flat();
        fold(&own, &own, |a, _| f64::from(a))
    }

    pub fn dot(&self, other: &Self) -> Option<f64> {
        Self::dot_of(&self.flat(), &other.flat())
    }

    pub fn dot_of(a: &[Known], b: &[Known]) -> Option<f64> {
        fold(a, b, |a, b| f64::from(a) * f64::from(b))
    }

    /// From `self` to `item`.
    pub fn distance(&self, item: &Self) -> Option<f64> {
        fold(&item.flat(), &self.flat(), |a, b| {
            let difference = f64::from(a - b);
            difference * difference
        })
    }

    /// Fails unless `params` has these tensors.
    pub fn check(&self, params: &Params) {
        let structure = params.structure();
        assert_eq!(structure.tensors().len(), self.0.len());
        for (tensor, (name, expected)) in structure.tensors().iter().zip(&self.0) {
            assert_eq!(tensor.name, *name);
            let found = params.tensor(name).expect("a tensor that is listed");
            assert_eq!(found.len(), expected.len(), "{name}");
            for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
                if let Some(expected) = expected {
                    assert!(
                        same(*found, *expected),
                        "`{name}` at {index}: {found} where {expected} is expected"
                    );
                }
            }
        }
    }
}

/// Σ term in f64: lanes of a block, their halves onto each other, then blocks of a chunk, then chunks.
fn fold(a: &[Known], b: &[Known], term: impl Fn(f32, f32) -> f64) -> Option<f64> {
    let mut total = 0.0;
    for (a, b) in a.chunks(CHUNK).zip(b.chunks(CHUNK)) {
        let mut chunk = 0.0;
        for (a, b) in a.chunks(BLOCK).zip(b.chunks(BLOCK)) {
            let mut lanes = [0f64; LANES];
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                lanes[index % LANES] += term((*a)?, (*b)?);
            }
            let mut width = LANES / 2;
            while width > 0 {
                let (low, high) = lanes.split_at_mut(width);
                low.iter_mut()
                    .zip(high)
                    .for_each(|(low, high)| *low += *high);
                width /= 2;
            }
            chunk += lanes[0];
        }
        total += chunk;
    }
    Some(total)
}
