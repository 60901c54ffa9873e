//! What glrl and its backup programs stand on: validated values (`value`), and the one way to a node (`system`).
//!
//! `system` is the only code that touches the node. A provider sees it through `system::Probe`, which has no method that changes anything, and
//! answers with operations as data.

pub mod system;
pub mod value;
