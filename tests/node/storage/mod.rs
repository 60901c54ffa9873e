//! Storage where it can only be seen whole: device-mapper, a disk that grows under a running machine, and runs that are interrupted.

mod growth;
mod interrupted;
mod levels;
mod server;
mod shrink;
mod swap;
mod unreadable;
mod volumes;

use anyhow::{Result, ensure};
use glrl_lab::Node;

use self::levels::{ROLE, checksums, made};
use super::glrl::nothing_left;

#[test]
fn what_is_beside_the_chain() -> Result<()> {
    let lab = made(2)?;
    let node = &lab["backup"];
    volumes::free_extents_with_a_past_are_refused(node)?;
    volumes::striped_and_thin_volumes_are_foreseen(node)?;
    volumes::what_is_protected_outlives_its_block(node)?;
    server::a_server_is_waited_for(node)?;
    unreadable::what_cannot_be_read_is_refused(node)?;
    swap::swap_is_taken_up_wherever_it_was_cut(node)?;
    a_power_cut_leaves_it_as_declared(node)
}

fn a_power_cut_leaves_it_as_declared(node: &Node) -> Result<()> {
    let before = checksums(node)?;
    node.power_cut();
    node.boot()?;
    nothing_left(node, ROLE)?;
    nothing_left(node, "/root/swap.yml")?;
    ensure!(checksums(node)? == before, "the data is not what it was");
    Ok(())
}
