//! A disk that carries something is refused, and stays as it is.

use anyhow::{Result, ensure};
use glrl_lab::{Disk, Lab, NodeSpec};

use super::glrl::{MYSQL, PREPARED, glrl, install};

#[test]
fn a_disk_with_a_filesystem_is_refused_and_unchanged() -> Result<()> {
    let lab = Lab::start([NodeSpec::new("mysql").disk(Disk::empty("data")).prepared(PREPARED)])?;
    let mysql = &lab["mysql"];
    install(mysql)?;
    mysql.run("mkfs.ext4 -q -L precious /dev/disk/by-id/virtio-data")?;
    let checksum = || mysql.run("sha256sum < /dev/disk/by-id/virtio-data");
    let before = checksum()?;
    for command in ["plan", "converge"] {
        // Waiting for the backup server is not what this is about.
        let output = glrl(mysql, &format!("{command} --role {MYSQL} --set backup_wait=1s"))?;
        let text = format!("{}{}", output.stdout, output.stderr);
        ensure!(output.status == 3, "{command} ended with {}", output.status);
        ensure!(
            text.contains("ext4") && text.contains("precious"),
            "{command} does not say what is on it"
        );
        ensure!(checksum()? == before, "{command} changed the disk");
    }
    ensure!(mysql.ssh("vgs mysql")?.status != 0, "a volume group was made");
    Ok(())
}
