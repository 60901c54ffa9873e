//! The programs on real servers, on a datadir and a socket of their own: MariaDB of this machine, MariaDB and MySQL of other releases
//! that `tests/servers.sh` brings (`servers.rs`). All but LVM: the volume is a directory, and its snapshot a copy of it made while the
//! lock is held.
//!
//! They need root, and are left out unless asked for: `make database`, or `cargo test --lib backup:: -- --ignored` behind it.

mod chance;
mod components;
mod copies;
mod corrupt;
mod damage;
mod encrypted;
mod end_to_end;
mod endings;
mod gaps;
mod hosts;
mod inventory;
mod isolation;
mod keeping;
mod law;
mod locking;
mod login;
mod placement;
mod restore;
mod servers;
mod support;
mod telling;
mod told;
mod until;
mod whose;
