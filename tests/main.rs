//! The one integration binary: the built program from the outside, and real machines.

mod cli;
