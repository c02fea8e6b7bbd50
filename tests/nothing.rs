//! Tests only: see `folkmoot.rs`.
