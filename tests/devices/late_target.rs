//! A target that is mounted late: every program that makes, reads or deletes backups waits for it, and mounts it where fstab says so.
//! One whose server is up late is in `node/reboots.rs`.

use super::apart::{Apart, Ended};

/// A namespace whose fstab is this line, and nothing at the target, `$base/target`.
fn node(fstab: &str) -> Apart {
    Apart::new().before(&format!(
        "mkdir -p $base/target; echo \"{fstab}\" > $base/fstab; mount --bind $base/fstab /etc/fstab\n\
         cat > $base/backup.yml <<END\n\
         server: {{ socket: $base/no-server }}\n\
         target: {{ directory: $base/target, stall_timeout: 2s }}\n\
         state_directory: $base/state\n\
         END"
    ))
}

/// Runs glrl with settings of its own.
fn glrl(node: &Apart, arguments: &str, before: &str) -> Ended {
    node.sh(&format!("{before}\nglrl {arguments} --settings $base/backup.yml"))
}

#[test]
fn what_fstab_declares_is_mounted() {
    for program in [
        "backup run",
        "backup binlogs",
        "backup prune",
        "verify",
        "restore --to $base/restored",
    ] {
        let ended = glrl(&node("none $base/target tmpfs size=1m 0 0"), program, "");
        assert!(ended.said.contains("+ mounted"), "{program}: {}", ended.said);
        assert!(!ended.said.contains("is not mounted:"), "{program}: {}", ended.said);
    }
    // Who only looks changes nothing.
    for program in ["backup list", "backup status", "backup prune --dry-run"] {
        let ended = glrl(&node("none $base/target tmpfs size=1m 0 0"), program, "");
        assert_eq!(ended.status, Some(14), "{program}: {}", ended.said);
    }
}

#[test]
fn what_somebody_else_mounts_is_waited_for() {
    let later = "(sleep 3; mount -t tmpfs none $base/target) &";
    let ended = glrl(&node("none $base/target tmpfs noauto 0 0"), "backup run", later);
    assert!(ended.said.contains("+ mounted"), "{}", ended.said);
}

/// Longer than `stall_timeout`: who waits does not stand still.
#[test]
fn the_wait_has_an_end_that_names_the_cause() {
    const DISK: &str = "/dev/disk/by-label/no-such-disk";
    let node = node(&format!("{DISK} $base/target xfs defaults 0 0"));
    let ended = glrl(&node, "backup run --set target.wait=5s", "");
    assert_eq!(ended.status, Some(14), "{}", ended.said);
    let target = node.path().join("target").display().to_string();
    for part in [
        format!("for {target} {DISK} is not mounted; at most 5.0 s"),
        format!("{target} ({DISK}) was not mounted within 5.0 s (target.wait): mount {target} failed"),
        "does not exist".to_owned(),
    ] {
        assert!(ended.said.contains(&part), "no '{part}' in {}", ended.said);
    }
    assert!(!ended.said.contains("nothing went forward"), "{}", ended.said);
    let ended = glrl(&node, "verify --set target.wait=1s", "");
    assert!(ended.said.contains("(target.wait)"), "{}", ended.said);
}

#[test]
fn what_nobody_declares_is_not_waited_for() {
    for (fstab, wait) in [("", "5m"), ("none $base/target tmpfs size=1m 0 0", "0s")] {
        let ended = glrl(&node(fstab), &format!("backup prune --set target.wait={wait}"), "");
        assert_eq!(ended.status, Some(14), "{}", ended.said);
        assert!(
            ended.said.contains("is not mounted: what is written there") && !ended.said.contains("waiting"),
            "{}",
            ended.said
        );
    }
}

#[test]
fn who_waits_can_be_asked_to_end() {
    let node = node("/dev/disk/by-label/no-such-disk $base/target xfs nofail 0 0");
    let ended = node.sh("timeout 20 glrl backup run --settings $base/backup.yml & sleep 3; kill $!; wait $!");
    assert!(ended.said.contains("ended by a signal"), "{}", ended.said);
    assert_ne!(ended.status, Some(124), "it went on: {}", ended.said);
}
