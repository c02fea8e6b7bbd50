//! A data set as a partitioner sees it.

use std::sync::OnceLock;

use folkmoot_data::Dataset;
use folkmoot_plugin::View as PluginView;

/// Rows, with the length of each in tokens.
pub(crate) struct View {
    dataset: Dataset,
    /// None: no model is at hand, and lengths are counted in words.
    lengths: Option<Vec<u32>>,
    texts: OnceLock<Result<Vec<String>, String>>,
}

impl View {
    pub(crate) fn new(dataset: Dataset, lengths: Option<Vec<u32>>) -> Self {
        Self {
            dataset,
            lengths,
            texts: OnceLock::new(),
        }
    }

    /// Read together when one is first asked for: files are not made for single rows.
    fn texts(&self) -> Result<&[String], String> {
        let read = || self.dataset.texts().map_err(|error| format!("{error:#}"));
        self.texts
            .get_or_init(read)
            .as_deref()
            .map_err(Clone::clone)
    }
}

impl PluginView for View {
    fn examples(&self) -> u32 {
        self.dataset.len() as u32
    }

    fn columns(&self) -> Vec<String> {
        self.dataset.columns().to_vec()
    }

    fn categories(&self, column: &str) -> Result<(Vec<u32>, Vec<String>), String> {
        self.dataset
            .categories(column)
            .map_err(|error| format!("{error:#}"))
    }

    fn numbers(&self, column: &str) -> Result<Vec<f64>, String> {
        self.dataset
            .numbers(column)
            .map_err(|error| format!("{error:#}"))
    }

    fn lengths(&self) -> Result<Vec<u32>, String> {
        if let Some(lengths) = &self.lengths {
            return Ok(lengths.clone());
        }
        let words = self
            .texts()?
            .iter()
            .map(|text| text.split_whitespace().count() as u32);
        Ok(words.collect())
    }

    fn text(&self, example: u32) -> Option<String> {
        self.texts().ok()?.get(example as usize).cloned()
    }
}
