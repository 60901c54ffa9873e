//! The one integration binary: cases as data, the examples, the built program from the outside, real devices and real machines.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests make what they look at, and tell what they see"
)]

mod adversary;
mod cases;
mod cli;
mod devices;
mod examples;
mod laws;
mod layers;
mod leaks;
mod node;
mod packages;
mod support;
