//! From files to token ids: tables, the catalogue of public files, tokenizers and templates.
//! Nothing here knows clients, rounds or tensors.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that panics has failed")
)]

pub mod benchmark;
mod catalogue;
mod dataset;
mod digest;
pub mod duplicates;
pub mod heterogeneity;
mod mapping;
mod nearest;
mod prepare;
mod table;
mod template;
mod tokenizer;
mod tokens;

pub use catalogue::{
    Catalogue, Entry, Hub, HubFiles, HubKind, Kind, Manual, Members, Mixed, Npm, Package, Part,
    Progress, Source, TableSource, Variant, hub_data, hub_model,
};
pub use dataset::{
    Broken, Dataset, Example, Fault, HeldOut, Labels, Meaning, OnBroken, OnTooLong, Pairing,
    Report, Role, Sample, Shape, Turn,
};
pub use digest::digest_of;
pub use mapping::{Filter, Mapping};
pub use prepare::{Origin, Plan, Prepared};
pub use table::{Files, Format, Row, Table, Wanted};
pub use template::{Learnt, Template, Tokenized};
pub use tokenizer::{Offsets, Tokenizer};
pub use tokens::Tokens;
