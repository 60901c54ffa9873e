//! The lab itself, on real nodes.

use anyhow::Result;
use glrl_lab::{Disk, Lab, NodeSpec};

#[test]
fn two_nodes_meet() -> Result<()> {
    let t = std::time::Instant::now();
    let lab = Lab::start([NodeSpec::new("backup").disk(Disk::empty("data")), NodeSpec::new("mysql").disk(Disk::empty("data"))])?;
    eprintln!("start {:?}", t.elapsed());
    let (backup, mysql) = (&lab["backup"], &lab["mysql"]);
    eprintln!("{}", mysql.run("ping -c 2 backup; hostname; date; lsblk; cat /etc/hosts; ip a")?);
    eprintln!("{}", backup.run("ping -c 2 mysql; cat /proc/sys/kernel/random/uuid")?);
    let t = std::time::Instant::now();
    eprintln!("{}", backup.run("apt-get install -y lvm2 2>&1")?);
    eprintln!("apt {:?}", t.elapsed());
    Ok(())
}
