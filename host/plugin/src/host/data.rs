//! `data`: what a partitioner sees of a data set.

use folkmoot_params::Seed;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use std::sync::Arc;
use wasmtime::Result;
use wasmtime::component::Resource;

use super::{Host, refuse};
use crate::bindings::folkmoot::plugin::data;

/// A data set as a partitioner sees it. Errors go to the plugin, which may pass them on.
pub trait View: Send + Sync {
    fn examples(&self) -> u32;
    fn columns(&self) -> Vec<String>;
    fn categories(&self, column: &str) -> Result<(Vec<u32>, Vec<String>), String>;
    fn numbers(&self, column: &str) -> Result<Vec<f64>, String>;
    fn lengths(&self) -> Result<Vec<u32>, String>;
    fn text(&self, example: u32) -> Option<String>;
}

/// A view with its stream of random numbers.
pub struct Drawable {
    view: Arc<dyn View>,
    rng: ChaCha8Rng,
}

impl Drawable {
    pub(crate) fn new(view: Arc<dyn View>, seed: Seed) -> Self {
        Self {
            view,
            rng: seed.rng(),
        }
    }
}

impl data::HostDataset for Host {
    fn examples(&mut self, this: Resource<Drawable>) -> Result<u32> {
        Ok(self.table.get(&this)?.view.examples())
    }

    fn columns(&mut self, this: Resource<Drawable>) -> Result<Vec<String>> {
        let columns = self.table.get(&this)?.view.columns();
        self.answer(columns)
    }

    fn categories(
        &mut self,
        this: Resource<Drawable>,
        column: String,
    ) -> Result<Result<(Vec<u32>, Vec<String>), String>> {
        let categories = self.table.get(&this)?.view.categories(&column);
        self.copied_out(&column);
        self.answer(categories)
    }

    fn numbers(
        &mut self,
        this: Resource<Drawable>,
        column: String,
    ) -> Result<Result<Vec<f64>, String>> {
        let numbers = self.table.get(&this)?.view.numbers(&column);
        self.copied_out(&column);
        self.answer(numbers)
    }

    fn lengths(&mut self, this: Resource<Drawable>) -> Result<Vec<u32>> {
        let lengths = self.table.get(&this)?.view.lengths();
        let lengths = lengths.map_err(|cause| refuse(format!("`dataset.lengths`: {cause}")))?;
        self.answer(lengths)
    }

    fn text(&mut self, this: Resource<Drawable>, example: u32) -> Result<String> {
        let text = self.table.get(&this)?.view.text(example);
        let text =
            text.ok_or_else(|| refuse(format!("`dataset.text`: there is no example {example}")))?;
        self.answer(text)
    }

    fn random(&mut self, this: Resource<Drawable>) -> Result<u64> {
        Ok(self.table.get_mut(&this)?.rng.next_u64())
    }

    fn drop(&mut self, this: Resource<Drawable>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl data::Host for Host {}
