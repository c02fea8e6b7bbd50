//! From files to token ids: tables, the catalogue of public files, tokenizers and templates.
//! Nothing here knows clients, rounds or tensors.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that panics has failed")
)]

mod catalogue;
mod dataset;
mod mapping;
mod nearest;
mod table;
mod template;
mod tokenizer;

pub use catalogue::{
    Catalogue, Entry, Hub, HubKind, Kind, Labels, Members, Package, Progress, Source, TableSource,
    hub_model,
};
pub use dataset::{Dataset, Example, HeldOut, Pairing, Sample, Shape};
pub use mapping::Mapping;
pub use table::{Format, Row, Table};
pub use template::{Template, Tokenized};
pub use tokenizer::{Offsets, Tokenizer};
