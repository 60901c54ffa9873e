//! The one integration binary: cases as data, the built program from the outside, real devices and real machines.

mod cases;
mod cli;
mod devices;
mod node;
mod support;
