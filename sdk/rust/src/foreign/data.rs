//! `data` by handles.

use super::resource;

resource! {
    /// A read-only view of the data set.
    Dataset, DatasetDrop;
    examples() -> u32 = DatasetExamples;
    columns() -> Vec<String> = DatasetColumns;
    lengths() -> Vec<u32> = DatasetLengths;
    text(example: u32) -> String = DatasetText;
    random() -> u64 = DatasetRandom;
    ? categories(column: &str) -> (Vec<u32>, Vec<String>) = DatasetCategories;
    ? numbers(column: &str) -> Vec<f64> = DatasetNumbers;
}
