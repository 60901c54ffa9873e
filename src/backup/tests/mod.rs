//! The programs on a real server, MariaDB's or MySQL's, whichever is installed here, on a datadir and a socket of its own. All but LVM:
//! the volume is a directory, and its snapshot a copy of it made while the lock is held.
//!
//! They need root, and are left out unless asked for: `cargo test --lib backup:: -- --ignored`.

mod damage;
mod end_to_end;
mod endings;
mod isolation;
mod keeping;
mod locking;
mod login;
mod support;
mod telling;
