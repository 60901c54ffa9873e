//! The lab itself, on real nodes.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use glrl_lab::{Disk, Lab, NodeSpec};

const DATA: &str = "/dev/disk/by-id/virtio-data";

#[test]
fn restored_twins_are_two_nodes_on_one_network() -> Result<()> {
    let lab = Lab::start([NodeSpec::new("backup"), NodeSpec::new("mysql")])?;
    let (backup, mysql) = (&lab["backup"], &lab["mysql"]);
    mysql.run("ping -c 1 -W 20 backup")?;
    backup.run("ping -c 1 -W 20 mysql")?;
    assert_eq!(mysql.run("hostname")?, "mysql\n");
    assert_eq!(
        mysql.run("getent hosts verify")?.split_whitespace().next(),
        Some("192.168.56.12")
    );
    let uuid = "cat /proc/sys/kernel/random/uuid";
    assert_ne!(mysql.run(uuid)?, backup.run(uuid)?);
    let clock: u64 = mysql.run("date +%s")?.trim().parse()?;
    let here = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    assert!(
        here.abs_diff(clock) < 30,
        "the node's clock is {clock}, the host's {here}"
    );
    // Offline: QEMU's gateway would lead to the host's own loopback, were it not restricted.
    let host = TcpListener::bind(("127.0.0.1", 0))?;
    let port = host.local_addr()?.port();
    let reach = format!("timeout 5 bash -c 'exec 3<>/dev/tcp/10.0.2.2/{port}'");
    assert!(!mysql.ssh(&reach)?.success(), "a node reaches the host");

    backup.cut_off(true);
    assert!(!mysql.ssh("ping -c 1 -W 1 backup")?.success());
    backup.cut_off(false);
    mysql.run("ping -c 3 -W 20 backup")?;
    Ok(())
}

#[test]
fn disks_grow_and_outlive_a_power_cut() -> Result<()> {
    let prepared = tempfile::NamedTempFile::new()?;
    fs::write(prepared.path(), "prepared")?;
    fs::File::options()
        .write(true)
        .open(prepared.path())?
        .set_len(4 << 20)?;
    let lab = Lab::start([NodeSpec::new("a")
        .disk(Disk::empty("data"))
        .disk(Disk::copy_of("old", prepared.path()))])?;
    let node = &lab["a"];
    assert_eq!(size(node, DATA)?, 2 << 30);
    node.run(&format!("cmp --bytes=100MiB {DATA} /dev/zero"))?;
    assert_eq!(node.run("head -c 8 /dev/disk/by-id/virtio-old")?, "prepared");

    node.grow_disk("data", 3 << 30)?;
    node.add_disk(&Disk::sized("more", 64 << 20))?;
    let checkpoint = node.checkpoint()?;
    node.run("echo new >/root/file && sync")?;
    node.rollback(&checkpoint)?;
    assert!(
        !node.ssh("test -e /root/file")?.success(),
        "the checkpoint kept the later file"
    );

    // sync(1) without a file flushes file systems, not the write cache of a bare disk.
    node.run(&format!(
        "echo written >{DATA} && sync {DATA} && echo kept >/root/kept && sync"
    ))?;
    let pid = node.pid().context("it runs")?;
    node.power_cut();
    assert!(!is_qemu(pid), "QEMU {pid} runs after the power cut");
    assert!(node.ssh("true").is_err());
    node.grow_disk("more", 96 << 20)?;
    node.boot()?;
    assert_eq!(
        node.run(&format!("head -c 8 {DATA}; cat /root/kept; hostname"))?,
        "written\nkept\na\n"
    );
    assert_eq!(size(node, DATA)?, 3 << 30);
    assert_eq!(size(node, "/dev/disk/by-id/virtio-more")?, 96 << 20);

    node.power_cut();
    node.rollback(&checkpoint)?;
    assert!(
        !node.ssh("test -e /root/kept")?.success(),
        "the checkpoint kept the later file"
    );
    Ok(())
}

#[test]
fn apt_installs_offline_and_files_pass() -> Result<()> {
    let lab = Lab::start([NodeSpec::new("mysql").disk(Disk::empty("data"))])?;
    let node = &lab["mysql"];
    assert!(
        !node.ssh("command -v vgs")?.success(),
        "lvm2 is for the roles to install"
    );
    node.run("DEBIAN_FRONTEND=noninteractive apt-get install -y lvm2")?;
    node.run(&format!("pvcreate {DATA} && vgcreate data {DATA}"))?;
    assert!(node.run("vgs --noheadings -o vg_name")?.contains("data"));

    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("inner"))?;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    fs::write(folder.path().join("inner/file"), &bytes)?;
    node.put(folder.path(), "/root/it's a folder")?;
    node.get("/root/it's a folder/inner/file", &folder.path().join("back"))?;
    ensure!(
        fs::read(folder.path().join("back"))? == bytes,
        "the file came back changed"
    );
    node.put(&folder.path().join("back"), "/opt/new/file")?;
    assert_eq!(node.run("stat -c '%a %s' /opt/new/file")?, "644 3000000\n");
    Ok(())
}

#[test]
fn a_prepared_node_starts_and_leaves_nothing() -> Result<()> {
    let lab = Lab::start([NodeSpec::new("a").prepared("echo ready >/root/prepared")])?;
    assert_eq!(lab["a"].run("cat /root/prepared")?, "ready\n");
    let pid = lab["a"].pid().context("it runs")?;
    assert!(is_qemu(pid));
    drop(lab);
    assert!(!is_qemu(pid));
    Ok(())
}

#[test]
fn a_lab_on_the_command_line_ends_with_its_server() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let state = folder
        .path()
        .join("a folder with a name far too long for the path of a socket, as it is ".repeat(2));
    let lab = |arguments: &[&str]| -> Result<String> {
        let output = Command::new(env!("CARGO_BIN_EXE_lab"))
            .arg("--state-dir")
            .arg(&state)
            .args(arguments)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "lab {arguments:?}: {said}");
        Ok(String::from_utf8(output.stdout)?)
    };
    lab(&["status"]).unwrap_err();
    lab(&["up", "--name", "a", "--disk", "1G"])?;
    assert!(lab(&["up"]).unwrap_err().to_string().contains("up already"));
    assert_eq!(lab(&["ssh", "a", "echo", "$((6*7))"])?, "42\n");
    assert_eq!(lab(&["ssh", "a", "lsblk -bdno SIZE", DATA])?.trim(), "1073741824");
    lab(&["put", "a", env!("CARGO_MANIFEST_PATH"), "/root/manifest"])?;
    let back = folder.path().join("back");
    lab(&["get", "a", "/root/manifest", &back.to_string_lossy()])?;
    assert_eq!(fs::read(back)?, fs::read(env!("CARGO_MANIFEST_PATH"))?);

    let status = lab(&["status"])?;
    let pid: u32 = status
        .split("QEMU ")
        .nth(1)
        .and_then(|rest| rest.split(')').next())
        .context("a pid")?
        .parse()?;
    assert!(is_qemu(pid), "{status}");
    // Killed, the server cannot take its nodes down: they must go with it.
    let server = parent(pid)?;
    ensure!(
        Command::new("kill")
            .args(["-KILL", &server.to_string()])
            .status()?
            .success()
    );
    let killed = Instant::now();
    while is_qemu(pid) {
        assert!(
            killed.elapsed() < Duration::from_secs(30),
            "QEMU {pid} outlives its server"
        );
        thread::sleep(Duration::from_millis(20));
    }
    lab(&["status"]).unwrap_err();

    lab(&["up", "--name", "a"])?;
    lab(&["cut", "a"])?;
    assert!(lab(&["status"])?.contains("off"));
    lab(&["ssh", "a", "true"]).unwrap_err();
    lab(&["down"])?;
    lab(&["down"])?;
    Ok(())
}

fn size(node: &glrl_lab::Node, device: &str) -> Result<u64> {
    Ok(node.run(&format!("blockdev --getsize64 {device}"))?.trim().parse()?)
}

/// Whether a process is there, no zombie, and QEMU.
fn is_qemu(pid: u32) -> bool {
    let command = fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline"));
    command.is_ok_and(|command| command.starts_with(b"qemu-system"))
}

fn parent(pid: u32) -> Result<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    Ok(line.context("a parent")?.trim().parse()?)
}
