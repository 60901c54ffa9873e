//! The programs on real servers, on a datadir and a socket of their own: MariaDB of this machine, MariaDB and MySQL of other releases
//! that `tests/servers.sh` brings (`servers.rs`). All but LVM: the volume is a directory, and its snapshot a copy of it made while the
//! lock is held.
//!
//! They need root, and are left out unless asked for: `make database`, or `cargo test --lib backup:: -- --ignored` behind it.

pub(crate) mod chance;
pub(crate) mod components;
pub(crate) mod copies;
pub(crate) mod corrupt;
pub(crate) mod damage;
pub(crate) mod encrypted;
pub(crate) mod end_to_end;
pub(crate) mod endings;
pub(crate) mod gaps;
pub(crate) mod hosts;
pub(crate) mod inventory;
pub(crate) mod isolation;
pub(crate) mod keeping;
pub(crate) mod law;
pub(crate) mod locking;
pub(crate) mod login;
pub(crate) mod placement;
pub(crate) mod restore;
pub(crate) mod servers;
pub(crate) mod support;
pub(crate) mod telling;
pub(crate) mod told;
pub(crate) mod until;
pub(crate) mod whose;
