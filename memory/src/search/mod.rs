//! Search: what a text is found by, its words and its meaning, and the index that ranks.

mod bm25;
mod terms;
mod vector;

pub use bm25::{Bm25, Match};
pub use terms::terms;
pub use vector::Vector;
pub(crate) use vector::{cosine, length};
