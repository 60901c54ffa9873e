//! The one integration binary: cases as data, the built program from the outside, and real machines.

mod cases;
mod cli;
mod node;
mod support;
