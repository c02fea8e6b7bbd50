//! A data set as a partitioner sees it.

use folkmoot_data::Dataset;
use folkmoot_plugin::View as PluginView;

/// The training rows, with the length of each in tokens.
pub(crate) struct View {
    pub(crate) dataset: Dataset,
    pub(crate) lengths: Vec<u32>,
}

impl PluginView for View {
    fn examples(&self) -> u32 {
        self.dataset.rows.len() as u32
    }

    fn columns(&self) -> Vec<String> {
        let first = self.dataset.rows.first();
        first
            .map(|row| row.fields.keys().cloned().collect())
            .unwrap_or_default()
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
        Ok(self.lengths.clone())
    }

    fn text(&self, example: u32) -> Option<String> {
        let row = self.dataset.rows.get(example as usize)?;
        let response = row.text("response").or_else(|_| row.text("chosen")).ok()?;
        Some(format!("{}\n{response}", row.text("instruction").ok()?))
    }
}
