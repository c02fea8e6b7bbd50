//! `params`: handles to parameters and the algebra on them, recorded until it is used.

use folkmoot_params::{Params, ParamsError, mean_near_median, median, trimmed_mean, weighted_sum};
use wasmtime::Result;
use wasmtime::component::Resource;

use super::quota::check_glob;
use super::{Host, refuse_params};
use crate::bindings::folkmoot::plugin::params;

/// Parameters being written scalar by scalar.
pub struct Writing {
    like: Params,
    values: Vec<f32>,
}

type Handle = Resource<Params>;

impl Host {
    fn unary(&mut self, this: &Handle, op: impl FnOnce(&Params) -> Params) -> Result<Handle> {
        let result = op(self.table.get(this)?);
        self.give(result)
    }

    fn binary(
        &mut self,
        name: &str,
        this: &Handle,
        other: &Handle,
        op: impl FnOnce(&Params, &Params) -> Result<Params, ParamsError>,
    ) -> Result<Handle> {
        let (this, other) = (self.table.get(this)?, self.table.get(other)?);
        let result = op(this, other).map_err(refuse_params(name))?;
        self.give(result)
    }

    fn all(&mut self, items: &[Handle]) -> Result<Vec<Params>> {
        self.operate(items.len())?;
        let items = items.iter().map(|item| Ok(self.table.get(item)?.clone()));
        items.collect()
    }

    fn over(
        &mut self,
        name: &str,
        items: &[Handle],
        op: impl FnOnce(&[&Params]) -> Result<Params, ParamsError>,
    ) -> Result<Handle> {
        self.operate(items.len())?;
        let items = items.iter().map(|item| self.table.get(item));
        let items = items.collect::<Result<Vec<_>, _>>()?;
        let result = op(&items).map_err(refuse_params(name))?;
        self.give(result)
    }
}

impl params::HostParams for Host {
    fn names(&mut self, this: Handle) -> Result<Vec<String>> {
        let tensors = self.table.get(&this)?.structure().tensors();
        let names: Vec<String> = tensors.iter().map(|tensor| tensor.name.clone()).collect();
        self.answer(names)
    }

    fn shape(&mut self, this: Handle, name: String) -> Result<Option<Vec<u32>>> {
        let tensor = self.table.get(&this)?.structure().get(&name);
        let shape: Option<Vec<u32>> =
            tensor.map(|tensor| tensor.shape.iter().map(|&size| size as u32).collect());
        self.copied_out(&name);
        self.answer(shape)
    }

    fn count(&mut self, this: Handle) -> Result<u64> {
        Ok(self.table.get(&this)?.count() as u64)
    }

    fn filled(&mut self, this: Handle, value: f32) -> Result<Handle> {
        self.unary(&this, |a| a.filled(value))
    }

    fn select(&mut self, this: Handle, glob: String) -> Result<Handle> {
        self.copied_out(&glob);
        check_glob("params.select", &glob)?;
        let chosen = self.table.get(&this)?.select(&glob);
        let chosen = chosen.map_err(refuse_params("select"))?;
        self.retain_structure(&chosen)?;
        self.give(chosen)
    }

    fn merge(&mut self, this: Handle, other: Handle) -> Result<Handle> {
        let merged = self.table.get(&this)?.merge(self.table.get(&other)?);
        let merged = merged.map_err(refuse_params("merge"))?;
        self.retain_structure(&merged)?;
        self.give(merged)
    }

    fn add(&mut self, this: Handle, other: Handle) -> Result<Handle> {
        self.binary("add", &this, &other, Params::add)
    }

    fn sub(&mut self, this: Handle, other: Handle) -> Result<Handle> {
        self.binary("sub", &this, &other, Params::sub)
    }

    fn mul(&mut self, this: Handle, other: Handle) -> Result<Handle> {
        self.binary("mul", &this, &other, Params::mul)
    }

    fn div(&mut self, this: Handle, other: Handle) -> Result<Handle> {
        self.binary("div", &this, &other, Params::div)
    }

    fn minimum(&mut self, this: Handle, other: Handle) -> Result<Handle> {
        self.binary("minimum", &this, &other, Params::minimum)
    }

    fn maximum(&mut self, this: Handle, other: Handle) -> Result<Handle> {
        self.binary("maximum", &this, &other, Params::maximum)
    }

    fn scale(&mut self, this: Handle, factor: f32) -> Result<Handle> {
        self.unary(&this, |a| a.scale(factor))
    }

    fn offset(&mut self, this: Handle, addend: f32) -> Result<Handle> {
        self.unary(&this, |a| a.offset(addend))
    }

    fn add_scaled(&mut self, this: Handle, factor: f32, other: Handle) -> Result<Handle> {
        self.binary("add-scaled", &this, &other, |a, b| a.add_scaled(factor, b))
    }

    fn sqrt(&mut self, this: Handle) -> Result<Handle> {
        self.unary(&this, Params::sqrt)
    }

    fn square(&mut self, this: Handle) -> Result<Handle> {
        self.unary(&this, Params::square)
    }

    fn abs(&mut self, this: Handle) -> Result<Handle> {
        self.unary(&this, Params::abs)
    }

    fn sign(&mut self, this: Handle) -> Result<Handle> {
        self.unary(&this, Params::sign)
    }

    fn clamp(&mut self, this: Handle, low: f32, high: f32) -> Result<Handle> {
        let clamped = self.table.get(&this)?.clamp(low, high);
        self.give(clamped.map_err(refuse_params("clamp"))?)
    }

    fn sum(&mut self, this: Handle) -> Result<f64> {
        let a = self.table.get(&this)?.clone();
        self.evaluate("sum", |evaluator| evaluator.sum(&a))
    }

    fn dot(&mut self, this: Handle, other: Handle) -> Result<f64> {
        let (a, b) = (
            self.table.get(&this)?.clone(),
            self.table.get(&other)?.clone(),
        );
        self.evaluate("dot", |evaluator| evaluator.dot(&a, &b))
    }

    fn norm(&mut self, this: Handle) -> Result<f64> {
        let a = self.table.get(&this)?.clone();
        self.evaluate("norm", |evaluator| evaluator.norm(&a))
    }

    fn norms(&mut self, this: Handle) -> Result<Vec<f64>> {
        let a = self.table.get(&this)?.clone();
        let norms = self.evaluate("norms", |evaluator| evaluator.norms(&a))?;
        self.answer(norms)
    }

    fn read(&mut self, this: Handle, offset: u64, length: u32) -> Result<Vec<f32>> {
        self.has_room("params.read", 4 * u64::from(length))?;
        let params = self.table.get(&this)?.clone();
        self.reserve_if_recorded(&params)?;
        self.evaluate("read", |evaluator| {
            evaluator.commit(std::slice::from_ref(&params))
        })?;
        let scalars = params.read_range(offset, u64::from(length));
        self.answer(scalars.map_err(refuse_params("read"))?)
    }

    fn write(&mut self, this: Handle) -> Result<Resource<Writing>> {
        let like = self.table.get(&this)?.clone();
        self.reserve(&like)?;
        let values = vec![0.0; like.count()];
        Ok(self.table.push(Writing { like, values })?)
    }

    fn drop(&mut self, this: Handle) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl params::HostWriter for Host {
    fn put(&mut self, this: Resource<Writing>, offset: u64, values: Vec<f32>) -> Result<()> {
        self.copied_out(&values);
        let writing = self.table.get_mut(&this)?;
        let range = within(writing.values.len(), offset, values.len() as u64);
        writing.values[range.map_err(refuse_params("writer.put"))?].copy_from_slice(&values);
        Ok(())
    }

    fn finish(&mut self, this: Resource<Writing>) -> Result<Handle> {
        let Writing { like, values } = self.table.delete(this)?;
        let params = like
            .with_values(values)
            .map_err(refuse_params("writer.finish"))?;
        self.give(params)
    }

    fn drop(&mut self, this: Resource<Writing>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl params::Host for Host {
    fn weighted_sum(&mut self, items: Vec<(Handle, f64)>) -> Result<Handle> {
        self.operate(items.len())?;
        let pairs = items
            .iter()
            .map(|(item, weight)| Ok((self.table.get(item)?, *weight)));
        let sum = weighted_sum(&pairs.collect::<Result<Vec<_>>>()?);
        self.give(sum.map_err(refuse_params("weighted-sum"))?)
    }

    fn trimmed_mean(&mut self, items: Vec<Handle>, drop: u32) -> Result<Handle> {
        self.over("trimmed-mean", &items, |items| {
            trimmed_mean(items, drop as usize)
        })
    }

    fn median(&mut self, items: Vec<Handle>) -> Result<Handle> {
        self.over("median", &items, median)
    }

    fn mean_near_median(&mut self, items: Vec<Handle>, keep: u32) -> Result<Handle> {
        self.over("mean-near-median", &items, |items| {
            mean_near_median(items, keep as usize)
        })
    }

    fn distances(&mut self, items: Vec<Handle>, center: Handle) -> Result<Vec<f64>> {
        let (items, center) = (self.all(&items)?, self.table.get(&center)?.clone());
        let items: Vec<&Params> = items.iter().collect();
        let distances = self.evaluate("distances", |evaluator| {
            evaluator.distances(&items, &center)
        })?;
        self.answer(distances)
    }

    fn pairwise_distances(&mut self, items: Vec<Handle>) -> Result<Vec<f64>> {
        let items = self.all(&items)?;
        let items: Vec<&Params> = items.iter().collect();
        let distances = self.evaluate("pairwise-distances", |evaluator| {
            evaluator.pairwise_distances(&items)
        })?;
        self.answer(distances)
    }

    fn gaussian(&mut self, like: Handle, label: String) -> Result<Handle> {
        self.copied_out(&label);
        let seed = self.seed.derive(&format!("gaussian/{label}"), 0);
        let like = self.table.get(&like)?.clone();
        self.reserve(&like)?;
        let drawn = self.evaluate("gaussian", |_| Ok(like.gaussian(seed)))?;
        self.give(drawn)
    }
}

fn within(count: usize, offset: u64, length: u64) -> Result<std::ops::Range<usize>, ParamsError> {
    match offset.checked_add(length) {
        Some(end) if end <= count as u64 => Ok(offset as usize..end as usize),
        _ => Err(ParamsError::OutOfRange {
            offset,
            length,
            count,
        }),
    }
}
