//! Runs that are killed, and what a node is like afterwards.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use glrl_lab::Node;

use super::glrl::{LIMIT, glrl, write};

/// Puts a program in front of the real one that kills glrl when the real one is done, once.
pub(super) fn deadly(node: &Node, program: &str) -> Result<()> {
    followed_by(node, program, "kill -KILL $PPID; exit $status")
}

/// Puts a program in front of the real one that does something when the real one is done, once. systemctl only answers, until it is to
/// reload what systemd has made of fstab.
fn followed_by(node: &Node, program: &str, then: &str) -> Result<()> {
    let path = format!("/usr/local/sbin/{program}");
    let only = if program == "systemctl" { "*daemon-reload*" } else { "*" };
    let real = node.run(&format!("command -v {program}"))?.trim().to_owned();
    write(
        node,
        &path,
        &format!(
            "#!/bin/sh\ncase \"$*\" in {only}) ;; *) exec {real} \"$@\" ;; esac\n{real} \"$@\"\nstatus=$?\nrm {path}\n{then}\n"
        ),
    )?;
    node.run(&format!("chmod 755 {path}")).map(drop)
}

/// Converges, and kills the run as soon as the program is done.
pub(super) fn killed_after(node: &Node, role: &str, program: &str) -> Result<()> {
    deadly(node, program)?;
    let output = glrl(node, &format!("converge --role {role}"))?;
    ensure!(!output.success(), "the run was to be killed after {program}");
    let there = node.ssh(&format!("test -e /usr/local/sbin/{program}"))?.success();
    ensure!(!there, "the run ended before {program}: {}", output.stderr);
    Ok(())
}

/// Converges, and takes the power away from the node as soon as the program is done, while glrl waits for it. Nothing is synced
/// before: what is only in the node's memory, and what its disks were not told to keep, is gone (`glrl_lab::Node::power_cut`).
pub(super) fn power_cut_after(node: &Node, role: &str, program: &str) -> Result<()> {
    followed_by(node, program, "touch /run/done; exec sleep 600")?;
    let done = node.ssh_within(
        &format!(
            "glrl converge --role {role} > /run/said 2>&1 < /dev/null & glrl=$!; \
             until test -e /run/done || ! kill -0 $glrl; do sleep 0.02; done; test -e /run/done || ! cat /run/said"
        ),
        LIMIT,
    )?;
    node.power_cut();
    ensure!(done.success(), "the run ended before {program}: {}", done.stdout);
    node.boot()?;
    println!("{}# power cut after {program}", node.name());
    // Its going may not have reached the disk, nor its contents: at the next power cut it would come back, as a program that does nothing.
    node.run(&format!("rm -f /usr/local/sbin/{program}; sync")).map(drop)
}

/// A moment of a run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Moment {
    /// This program runs, by the name that the kernel has for it (proc(5), comm).
    While(&'static str),
    /// It is done with a resource.
    Applied(&'static str),
}

/// How a run ends before its time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Point {
    /// It is killed. The program that it has started goes on.
    Killed(Moment),
    /// The node has no power; it is booted again.
    PowerCut(Moment),
}

/// Converges up to the point; the plan of what is left can then be made.
pub(super) fn converge_cut_short(node: &Node, role: &str, point: Point) -> Result<()> {
    let (moment, then, status) = match point {
        Point::Killed(moment) => (moment, "kill -KILL $glrl; wait $glrl", 137),
        Point::PowerCut(moment) => (moment, "kill -0 $glrl", 0),
    };
    let reached = match moment {
        Moment::While(program) => {
            format!("grep --quiet --no-messages --line-regexp '{program}' /proc/[0-9]*/comm")
        }
        Moment::Applied(id) => format!("grep --quiet '\"applied\".*\"{id}\"' /tmp/events"),
    };
    let output = node.ssh_within(
        &format!(
            "glrl converge --role {role} --json > /tmp/events 2>&1 & glrl=$!; \
             until {reached} || ! kill -0 $glrl; do sleep 0.02; done; {then}"
        ),
        LIMIT,
    )?;
    ensure!(
        output.status == status,
        "the run was over before {point:?}: {}",
        node.run("tail -5 /tmp/events")?
    );
    if let Point::PowerCut(_) = point {
        node.power_cut();
        node.boot()?;
    }
    let left = glrl(node, &format!("plan --role {role} --quiet"))?;
    ensure!(left.success(), "after {point:?} the plan ends with {}", left.status);
    Ok(())
}

/// All of a node that its role has a say in: packages, units, volumes, filesystems, mounts, accounts, and each file of the configuration
/// with its mode, owner and checksum. What is different on every installation is left out: identities, times, generated passwords. It is
/// waited for the end of a boot, and what systemd starts for a moment is left out too.
pub(super) fn state(node: &Node) -> Result<String> {
    node.run(
        "systemctl is-system-running --wait > /dev/null; udevadm settle
         dpkg-query -W -f '${Package} ${Version} ${Status}\\n'
         systemctl list-unit-files --no-legend --no-pager
         systemctl list-units --no-legend --no-pager --plain --type=service,mount --state=active |
             awk '!/^(lvm-activate-|systemd-(hostnamed|timedated|localed|fsckd))/ { print $1, $3, $4 }'
         vgs --noheadings -o vg_name,vg_size,vg_free,lv_count; lvs --noheadings -o vg_name,lv_name,lv_size,lv_attr
         findmnt --noheadings --list -o TARGET,SOURCE,FSTYPE --types xfs,nfs4,ext4
         cat /etc/fstab
         crontab -l; ls -lR /var/spool/cron | awk '{ print $1, $3, $4, $9 }'
         getent passwd; getent group
         find /etc /root /usr/local -xdev -type f -not -path '/etc/lvm/archive/*' -not -path '/etc/lvm/backup/*' \
             -not -name ld.so.cache -not -name .bash_history -not -name '*.cache' -not -path '/root/.ssh/*' \
             -printf '%p %m %u %g\\n' -exec sha256sum '{}' +
         find /backup /etc /root /var/lib/mysql -xdev -name '.*.glrl' 2> /dev/null || true",
    )
}

/// Two nodes' states are one.
pub(super) fn same(one: &str, other: &str) -> Result<()> {
    let (one, other): (BTreeSet<&str>, BTreeSet<&str>) = (one.lines().collect(), other.lines().collect());
    let differing: Vec<_> = one.symmetric_difference(&other).collect();
    ensure!(differing.is_empty(), "the states differ in {differing:#?}");
    Ok(())
}
