//! `params` in memory.

use std::cell::RefCell;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Named f32 tensors, ordered by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    tensors: Vec<(String, Vec<u32>, Vec<f32>)>,
}

/// Parameters from (name, shape, row-major values).
pub fn params(tensors: &[(&str, &[u32], &[f32])]) -> Params {
    let owned = tensors.iter();
    let mut tensors: Vec<_> = owned
        .map(|(name, shape, values)| {
            let count = shape.iter().product::<u32>() as usize;
            assert_eq!(count, values.len(), "shape of `{name}`");
            ((*name).to_owned(), shape.to_vec(), values.to_vec())
        })
        .collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    Params { tensors }
}

/// Builds parameters from raw scalars.
pub struct Writer {
    like: Params,
    values: RefCell<Vec<f32>>,
}

impl Writer {
    /// Raw scalars from `offset` on, in storage order.
    pub fn put(&self, offset: u64, values: &[f32]) {
        let offset = offset as usize;
        self.values.borrow_mut()[offset..offset + values.len()].copy_from_slice(values);
    }

    /// The parameters; what was never written is 0.
    pub fn finish(this: Writer) -> Params {
        this.like.with_flat(&this.values.into_inner())
    }
}

/// Operations of the contract: `wit/params.wit` says what each does.
#[allow(missing_docs, reason = "documented once, in wit/params.wit")]
impl Params {
    pub fn names(&self) -> Vec<String> {
        self.tensors
            .iter()
            .map(|(name, _, _)| name.clone())
            .collect()
    }

    pub fn shape(&self, name: &str) -> Option<Vec<u32>> {
        let tensor = self.tensors.iter().find(|(found, _, _)| found == name)?;
        Some(tensor.1.clone())
    }

    pub fn count(&self) -> u64 {
        self.flat().len() as u64
    }

    pub fn filled(&self, value: f32) -> Params {
        self.map(|_| value)
    }

    pub fn select(&self, glob: &str) -> Params {
        let chosen = self
            .tensors
            .iter()
            .filter(|(name, _, _)| matches(glob, name));
        let tensors: Vec<_> = chosen.cloned().collect();
        assert!(!tensors.is_empty(), "`{glob}` selects nothing");
        Params { tensors }
    }

    pub fn merge(&self, other: &Params) -> Params {
        let absent = |name: &str| other.shape(name).is_none();
        let mut tensors = self.tensors.clone();
        tensors.retain(|(name, _, _)| absent(name));
        tensors.extend(other.tensors.clone());
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        Params { tensors }
    }

    pub fn add(&self, other: &Params) -> Params {
        self.zip(other, |a, b| a + b)
    }

    pub fn sub(&self, other: &Params) -> Params {
        self.zip(other, |a, b| a - b)
    }

    pub fn mul(&self, other: &Params) -> Params {
        self.zip(other, |a, b| a * b)
    }

    pub fn div(&self, other: &Params) -> Params {
        self.zip(other, |a, b| a / b)
    }

    pub fn minimum(&self, other: &Params) -> Params {
        self.zip(other, f32::min)
    }

    pub fn maximum(&self, other: &Params) -> Params {
        self.zip(other, f32::max)
    }

    pub fn scale(&self, factor: f32) -> Params {
        self.map(|a| factor * a)
    }

    pub fn offset(&self, addend: f32) -> Params {
        self.map(|a| a + addend)
    }

    pub fn add_scaled(&self, factor: f32, other: &Params) -> Params {
        self.zip(other, |a, b| a + factor * b)
    }

    pub fn sqrt(&self) -> Params {
        self.map(f32::sqrt)
    }

    pub fn square(&self) -> Params {
        self.map(|a| a * a)
    }

    pub fn abs(&self) -> Params {
        self.map(f32::abs)
    }

    pub fn sign(&self) -> Params {
        self.map(|a| if a == 0.0 { a } else { a.signum() })
    }

    pub fn clamp(&self, low: f32, high: f32) -> Params {
        self.map(|a| a.clamp(low, high))
    }

    pub fn sum(&self) -> f64 {
        self.flat().into_iter().map(f64::from).sum()
    }

    pub fn dot(&self, other: &Params) -> f64 {
        let product = |(a, b): (f32, f32)| f64::from(a) * f64::from(b);
        self.flat().into_iter().zip(other.flat()).map(product).sum()
    }

    pub fn norm(&self) -> f64 {
        self.dot(self).sqrt()
    }

    pub fn norms(&self) -> Vec<f64> {
        let square = |values: &[f32]| values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
        self.tensors
            .iter()
            .map(|(_, _, values)| square(values).sqrt())
            .collect()
    }

    pub fn read(&self, offset: u64, length: u32) -> Vec<f32> {
        self.flat()[offset as usize..offset as usize + length as usize].to_vec()
    }

    pub fn write(&self) -> Writer {
        Writer {
            like: self.clone(),
            values: RefCell::new(vec![0.0; self.flat().len()]),
        }
    }

    fn flat(&self) -> Vec<f32> {
        let values = self.tensors.iter().map(|(_, _, values)| values.as_slice());
        values.collect::<Vec<_>>().concat()
    }

    fn with_flat(&self, flat: &[f32]) -> Params {
        let mut rest = flat;
        let tensors = self.tensors.iter().map(|(name, shape, values)| {
            let (own, others) = rest.split_at(values.len());
            rest = others;
            (name.clone(), shape.clone(), own.to_vec())
        });
        Params {
            tensors: tensors.collect(),
        }
    }

    fn map(&self, op: impl Fn(f32) -> f32) -> Params {
        let values: Vec<f32> = self.flat().into_iter().map(op).collect();
        self.with_flat(&values)
    }

    fn zip(&self, other: &Params, op: impl Fn(f32, f32) -> f32) -> Params {
        let shapes = |params: &Params| -> Vec<_> {
            let pairs = params.tensors.iter();
            pairs
                .map(|(name, shape, _)| (name.clone(), shape.clone()))
                .collect()
        };
        assert_eq!(shapes(self), shapes(other), "structures match");
        let values = self.flat().into_iter().zip(other.flat());
        let values: Vec<f32> = values.map(|(a, b)| op(a, b)).collect();
        self.with_flat(&values)
    }
}

/// Σ weight · item.
pub fn weighted_sum(items: &[(&Params, f64)]) -> Params {
    let mut sum = vec![0f64; items[0].0.flat().len()];
    for (item, weight) in items {
        for (sum, value) in sum.iter_mut().zip(item.flat()) {
            *sum += weight * f64::from(value);
        }
    }
    let values: Vec<f32> = sum.into_iter().map(|value| value as f32).collect();
    items[0].0.with_flat(&values)
}

/// Coordinate-wise mean after dropping the `drop` smallest and `drop` largest values.
pub fn trimmed_mean(items: &[&Params], drop: u32) -> Params {
    columns(items, |column| {
        let kept = &column[drop as usize..column.len() - drop as usize];
        (kept.iter().copied().map(f64::from).sum::<f64>() / kept.len() as f64) as f32
    })
}

/// Coordinate-wise median.
pub fn median(items: &[&Params]) -> Params {
    columns(items, |column| {
        let middle = column.len() / 2;
        match column.len() % 2 {
            1 => column[middle],
            _ => ((f64::from(column[middle - 1]) + f64::from(column[middle])) / 2.0) as f32,
        }
    })
}

/// Coordinate-wise mean of the `keep` values that lie nearest to the median.
pub fn mean_near_median(items: &[&Params], keep: u32) -> Params {
    columns(items, |column| {
        let middle = column.len() / 2;
        let median = match column.len() % 2 {
            1 => f64::from(column[middle]),
            _ => (f64::from(column[middle - 1]) + f64::from(column[middle])) / 2.0,
        };
        let far = |value: &f32| (f64::from(*value) - median).abs();
        let mut nearest = column.to_vec();
        nearest.sort_by(|a, b| far(a).total_cmp(&far(b)));
        nearest.truncate(keep as usize);
        nearest.sort_by(f32::total_cmp);
        (nearest.iter().copied().map(f64::from).sum::<f64>() / nearest.len() as f64) as f32
    })
}

/// Squared L2 distance of each item from `center`.
pub fn distances(items: &[&Params], center: &Params) -> Vec<f64> {
    let difference = items.iter().map(|item| item.sub(center));
    difference.map(|own| own.dot(&own)).collect()
}

/// Squared L2 distance of every pair, row-major upper triangle without the diagonal.
pub fn pairwise_distances(items: &[&Params]) -> Vec<f64> {
    let mut distances = Vec::new();
    for (index, a) in items.iter().enumerate() {
        for b in &items[index + 1..] {
            let difference = a.sub(b);
            distances.push(difference.dot(&difference));
        }
    }
    distances
}

/// Normal-like scalars of `like`'s structure, from `label`: the sum of twelve uniforms, less six.
/// The host draws other numbers; a unit test may rely on mean 0 and variance 1 only.
pub fn gaussian(like: &Params, label: &str) -> Params {
    let seed = label.bytes().fold(7u64, |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let uniform = move || f64::from(rng.next_u32()) / f64::from(u32::MAX);
    let draws = RefCell::new(uniform);
    like.map(|_| ((0..12).map(|_| draws.borrow_mut()()).sum::<f64>() - 6.0) as f32)
}

fn columns(items: &[&Params], pick: impl Fn(&[f32]) -> f32) -> Params {
    let flat: Vec<Vec<f32>> = items.iter().map(|item| item.flat()).collect();
    let values = (0..flat[0].len()).map(|index| {
        let mut column: Vec<f32> = flat.iter().map(|values| values[index]).collect();
        column.sort_by(f32::total_cmp);
        pick(&column)
    });
    items[0].with_flat(&values.collect::<Vec<_>>())
}

/// `*` stands for any run of characters.
fn matches(glob: &str, name: &str) -> bool {
    match glob.split_once('*') {
        None => glob == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            let starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            starts.into_iter().any(|at| matches(tail, &rest[at..]))
        }),
    }
}
