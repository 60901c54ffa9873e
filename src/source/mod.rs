//! Places in role files, and messages about them. The lowest layer: it knows nothing of roles.

mod diagnostic;
mod place;

pub use diagnostic::{Diagnostic, Diagnostics, Hint, suggest};
pub use place::{FileId, Place, Sources};
