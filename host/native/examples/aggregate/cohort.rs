//! The updates that sides aggregate.

use std::sync::Arc;

use folkmoot_native::native;
use folkmoot_params::{Evaluator, Params, Seed};
use folkmoot_plugin::{Client, Update};

pub(crate) struct Cohort {
    pub(crate) global: Params,
    pub(crate) deltas: Vec<Params>,
    pub(crate) examples: Vec<u64>,
}

impl Cohort {
    /// Small normal-like values; tensors as an adapter has them.
    pub(crate) fn new(updates: usize, size: usize) -> Self {
        let width = size / 100;
        let zero: Vec<_> = (0..100)
            .map(|index| {
                let count = if index == 99 {
                    size - 99 * width
                } else {
                    width
                };
                (format!("layer.{index:02}"), vec![count], vec![0f32; count])
            })
            .collect();
        let like = Params::from_tensors(zero).unwrap();
        let draw = |index: u64, scale: f32| {
            let drawn = like.gaussian(Seed(index)).scale(scale);
            Evaluator::default()
                .commit(std::slice::from_ref(&drawn))
                .unwrap();
            drawn
        };
        Self {
            global: draw(0, 0.02),
            deltas: (1..=updates as u64)
                .map(|index| draw(index, 0.01))
                .collect(),
            examples: (0..updates as u64).map(|index| 100 + 13 * index).collect(),
        }
    }

    pub(crate) fn updates(&self) -> Vec<Arc<Update>> {
        let one = |(id, delta): (usize, &Params)| {
            Arc::new(Update {
                client: Client {
                    id: id as u32,
                    examples: self.examples[id],
                    ..Client::default()
                },
                steps: 10,
                lr: 1e-3,
                staleness: 0,
                delta: delta.clone(),
                message: Default::default(),
            })
        };
        self.deltas.iter().enumerate().map(one).collect()
    }

    pub(crate) fn native_updates(&self) -> native::run::Updates {
        let one = |(id, delta): (usize, &Params)| {
            native::update(
                id as u32,
                self.examples[id],
                native::params::Params(delta.clone()),
            )
        };
        native::updates(self.deltas.iter().enumerate().map(one).collect())
    }

    pub(crate) fn shares(&self) -> Vec<f64> {
        let total: u64 = self.examples.iter().sum();
        self.examples
            .iter()
            .map(|own| *own as f64 / total as f64)
            .collect()
    }
}
