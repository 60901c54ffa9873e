//! The one integration binary: cases as data, the examples, the built program from the outside, and real machines.

mod cases;
mod cli;
mod examples;
mod node;
mod support;
