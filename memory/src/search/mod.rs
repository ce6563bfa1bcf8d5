//! Lexical search: what a text is searched by, and the index that ranks.

mod bm25;
mod terms;

pub use bm25::{Bm25, Match};
pub use terms::terms;
