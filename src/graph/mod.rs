//! The order of things: declarations become a graph by a list of passes, each a small file.

mod declaration;

pub use declaration::{Declaration, Reference, Retry};
