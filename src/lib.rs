//! glrl converges a Linux node to what YAML role files declare.
//!
//! Five laws, each with a test that runs on every kind of resource:
//!
//! 1. Planning cannot write: a provider sees the node through `system::Probe`, which has no method that changes anything.
//! 2. The plan is what happens: a provider answers with operations as data; `plan -v` prints them, `converge` executes them.
//! 3. Converged means an empty plan: after its operations a resource is planned once more, and must come back empty.
//! 4. Nothing is destroyed that is not proven to be empty or glrl's own: unknown never counts as absent.
//! 5. A run may die at any instruction: the next one finishes the job.
//!
//! A layer imports only those below it: `cli → report → {config, engine} → graph → resource → source`, and below them all `system` and
//! `value`, which are the crate `glrl-node`. The backup programs are the crate `glrl-backup`.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make what they look at"))]

mod cli;
pub mod config;
pub mod engine;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod graph;
pub mod report;
pub mod resource;
pub mod source;

pub use cli::run;
pub use glrl_backup as backup;
pub use glrl_node::{system, value};
