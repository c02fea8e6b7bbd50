//! What metrics of text share: Python's notion of white space, and the Porter stemmer as NLTK has it.
//!
//! The references of text metrics are Python libraries, and their results hang on Python's own rules:
//! these modules follow them character by character.

pub mod porter;
pub mod python;
