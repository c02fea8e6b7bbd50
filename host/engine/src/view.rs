//! A data set as a partitioner sees it.

use folkmoot_data::Dataset;
use folkmoot_plugin::View as PluginView;

/// Rows, with the length of each in tokens.
pub(crate) struct View {
    pub(crate) dataset: Dataset,
    /// None: no model is at hand, and lengths are counted in words.
    pub(crate) lengths: Option<Vec<u32>>,
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
        let texts = self.dataset.texts().map_err(|error| format!("{error:#}"))?;
        let words = texts
            .iter()
            .map(|text| text.split_whitespace().count() as u32);
        Ok(words.collect())
    }

    fn text(&self, example: u32) -> Option<String> {
        self.dataset.text(example as usize).ok()
    }
}
