//! Data that moves onto a filesystem of its own, on real disks.

use super::{
    alone,
    apart::Apart,
    loops::{Loop, SIZE, sh},
};

/// What the scripts share. fstab is the namespace's own; `tree DIR` says all of a tree that a move must not change; `old` is what lies below
/// the mount point.
const HELPERS: &str = r#"rm -rf $base/etc; cp -a /etc $base/etc; mount --bind $base/etc /etc; : > /etc/fstab
    all() { find . -not -type s -not -path ./.glrl-move.json -not -path ./lost+found "$@"; }
    tree() { (cd $1; all -type d -printf '%p %M %U %G\n' | sort; all -not -type d -printf '%p %M %U %G %n %s %T@ %l\n' | sort
        all -type f -exec sha256sum {} + | sort; all -not -type l -exec getfattr -d -m user {} + | sort; all -not -type l -exec getfacl -n {} + | sort) 2> /dev/null; }
    mount --make-rprivate /; rm -rf $base/data; mkdir -p $base/old; on=$(findmnt -n -o TARGET -T $base); below=$base/old/${base#$on}/data
    old() { mount --bind $on $base/old; tree $below; umount $base/old; }; free() { if mountpoint -q $base/data; then exit 9; fi; }
    same() { tree $base/data > $base/now; diff $base/now $base/expected; }
    move() { glrl converge --role $base/move.yml "$@"; }"#;

/// A directory with everything that a directory can hold.
const FILLED: &str = r#"mkdir -p $base/data/db/deep; cd $base/data; chown 7:8 .; chmod 750 .; chmod 2770 db
    for n in 1 2 3; do head -c 3000000 /dev/urandom > db/file$n; done; ln db/file1 db/deep/again; ln -s ../db/file2 db/link; ln -s /no/where db/dangling
    truncate -s 100M db/sparse; echo end >> db/sparse; mkfifo db/fifo; mknod db/null c 1 3; echo x > 'db/odd name
with a line'; chmod 4711 db/file3; chown 33:44 db/file3; setfattr -n user.glrl -v value db/file2; setfacl -m u:9:r db/file2
    setfacl -d -m g:9:rx db/deep; touch -h -d 2001-02-03T04:05:06.789 db/link; touch -d 2002-02-03T04:05:06.789 db/file1; mkdir db/empty
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("db/sock")' 2> /dev/null || true
    cd /; tree $base/data > $base/expected"#;

/// Roles `move`, `ask` and `none`, which mount a disk at `$base/data`: with consent to move, without it, and without a word of it.
fn moving(disk: &Loop) -> Apart {
    let apart = Apart::new();
    for (name, consent) in [
        ("move", ", move_data: true"),
        ("ask", ", move_data: false"),
        ("none", ""),
    ] {
        let path = apart.path().display();
        let resources = format!("  - mount: {{ path: {path}/data, device: {}{consent} }}\n", disk.path);
        apart.role(name, &resources);
    }
    apart.before(HELPERS)
}

fn formatted(fs_type: &str, size: u64) -> Loop {
    let disk = Loop::new(size);
    sh(&format!("mkfs.{fs_type}"), &["-q", &disk.path]);
    disk
}

#[test]
fn everything_in_a_directory_moves_and_stays() {
    let _alone = alone();
    for fs_type in ["xfs", "ext4", "btrfs"] {
        let disk = formatted(fs_type, SIZE);
        let ended = moving(&disk)
            .before(FILLED)
            .sh("glrl plan --role $base/move.yml; same; free
            move; mountpoint $base/data; same; old > $base/before; cmp $base/before $base/expected
            test ! -e $base/data/db/sock -a ! -e $base/data/.glrl-move.json; grep -c $base/data /etc/fstab
            test $(stat -c %b $base/data/db/sparse) -lt 100; move --detailed-exitcode; echo all the same");
        assert!(
            ended.status == Some(0) && ended.said.contains("all the same"),
            "{fs_type}: {:?} {}",
            ended.status,
            ended.said
        );
        assert!(
            ended.said.contains("find /mnt/") && ended.said.contains("mount --bind"),
            "{}",
            ended.said
        );
    }
}

/// The proposals say how much there is, and how much room.
#[test]
fn without_consent_it_is_refused_with_what_to_say() {
    let _alone = alone();
    let disk = formatted("xfs", SIZE);
    let apart = moving(&disk).before(FILLED);
    for (role, told) in [
        ("ask", "run again with `--set move_data=true`"),
        ("none", "set `move_data: true`"),
    ] {
        for command in ["plan", "converge"] {
            let ended = apart.sh(&format!(
                "glrl {command} --role $base/{role}.yml || status=$?; same; exit $status"
            ));
            assert_eq!(ended.status, Some(3), "{}", ended.said);
            let right = ended.said.contains(told)
                && ended.said.contains("MiB in 14 files")
                && ended.said.contains("room for about");
            assert!(right, "{role} {command}: {}", ended.said);
        }
    }
}

/// Nothing is changed where the data would not fit, somebody uses it, something is mounted in it, or the filesystem is not empty.
#[test]
fn what_cannot_be_moved_stays() {
    let _alone = alone();
    let disk = formatted("ext4", 64 << 20);
    let large = "head -c 70000000 /dev/zero > $base/data/db/file1; tree $base/data > $base/expected";
    let nearly = "head -c 47000000 /dev/zero > $base/data/db/file1; tree $base/data > $base/expected";
    for (how, before, told) in [
        ("too large", large, "has room for about"),
        ("nearly", nearly, "has room for"),
        (
            "in use",
            "(cd $base/data/db; exec sleep 60) & sleeper=$!; sleep 0.2",
            "sleep (pid ",
        ),
        (
            "mounted in",
            "d=$base/data/db/empty; mount -t tmpfs -o mode=2755,gid=$(stat -c %g $d) none $d",
            "while something is mounted in it",
        ),
        (
            "not empty",
            &format!(
                "mkdir -p /run/glrl/x; mount {} /run/glrl/x; echo > /run/glrl/x/precious; umount /run/glrl/x",
                disk.path
            ),
            "precious",
        ),
    ] {
        let ended = moving(&disk).before(FILLED).before(before).sh(
            "move || status=$?; test -z \"$sleeper\" || kill $sleeper; free; test ! -s /etc/fstab; same
            old > $base/before; cmp $base/before $base/expected; echo the same; exit $status",
        );
        assert!(
            matches!(ended.status, Some(1 | 3)) && ended.said.contains("the same") && ended.said.contains(told),
            "{how}: {:?} {}",
            ended.status,
            ended.said
        );
    }
}

/// Whenever it is killed, what is at the path is whole; and what was written there since is in what the next run moves. Each run has an
/// eighth longer than the one before, from a millisecond to 12 seconds: the fastest machine and the busiest are cut short equally often.
#[test]
fn a_move_that_is_killed_is_finished_by_the_next_run() {
    let _alone = alone();
    let disk = formatted("xfs", SIZE);
    let ended = moving(&disk).before(FILLED).sh("us=1000; cut=0
        while ! grep -q $base/data /etc/fstab || test -e $base/data/.glrl-move.json; do
            us=$((us * 9 / 8)); test $us -lt 12000000
            move > $base/said 2>&1 & run=$!; sleep $((us / 1000000)).$(printf %06d $((us % 1000000))); kill -KILL $run 2> /dev/null || true
            wait $run || cut=$((cut + 1)); same
            if ! mountpoint -q $base/data; then echo $us >> $base/data/db/log; tree $base/data > $base/expected; fi
        done
        move; same; mountpoint $base/data; old > $base/before; cmp $base/before $base/expected; move --detailed-exitcode
        test ! -e $base/data/.glrl-move.json; test $cut -gt 9; echo killed $cut times, and all is there");
    assert!(
        ended.status == Some(0) && ended.said.contains("and all is there"),
        "{:?} {}",
        ended.status,
        ended.said
    );
    println!("{}", &ended.said[ended.said.rfind("killed").unwrap_or_default()..]);
}

/// At the moments that matter: while it is copied, when it is whole, when it is mounted, when fstab has it.
#[test]
fn each_moment_of_a_move_can_be_its_last() {
    let _alone = alone();
    for (program, dies, mounted) in [
        // Half of it is copied.
        ("cp", "mkdir /run/glrl/move/db; kill -KILL $PPID; exit 1", false),
        ("mount", "kill -KILL $PPID; sleep 1; exit 1", false),
        (
            "mount",
            "$base/real/mount \"$@\"; kill -KILL $PPID; sleep 1; exit 1",
            true,
        ),
    ] {
        let disk = formatted("xfs", SIZE);
        let apart = moving(&disk).before(FILLED);
        let ended = apart.sh(&format!(
            "mkdir $base/real $base/dies; cp /bin/mount $base/real/mount
            printf '#!/bin/sh\\nbase=%s\\n%s\\n' $base '{}' > $base/dies/{program}; chmod 755 $base/dies/{program}
            real=$(realpath $(command -v {program})); $base/real/mount --bind $base/dies/{program} $real
            move && exit 1; umount -l $real; same; echo between; test {mounted} = $(mountpoint -q $base/data && echo true || echo false)
            {mounted} || {{ echo more >> $base/data/db/log; tree $base/data > $base/expected; }}
            move; same; old > $base/before; cmp $base/before $base/expected; move --detailed-exitcode; echo all the same",
            dies.replace('\'', "'\\''")
        ));
        assert!(
            ended.status == Some(0) && ended.said.contains("all the same"),
            "{program}, {dies}: {:?} {}",
            ended.status,
            ended.said
        );
    }
}

/// A copy that has been used is nobody's to throw away, though its marker is still there.
#[test]
fn a_copy_that_was_written_to_is_kept() {
    let _alone = alone();
    let disk = formatted("xfs", SIZE);
    let by_hand = format!("mount {} /run/glrl/x", disk.path);
    let ended = moving(&disk).before(FILLED).sh(&format!(
        "mkdir $base/dies /run/glrl/x; printf '#!/bin/sh\\nkill -KILL $PPID\\n' > $base/dies/mount; chmod 755 $base/dies/mount
        cp /bin/mount $base/mount; $base/mount --bind $base/dies/mount /bin/mount; move && exit 1; umount $(realpath /bin/mount)
        {by_hand}; echo new >> /run/glrl/x/db/file1; umount /run/glrl/x
        move || status=$?; same; {by_hand}; tail -c4 /run/glrl/x/db/file1; exit $status"
    ));
    assert!(
        ended.status == Some(3) && ended.said.contains(" new ") && ended.said.contains("written to since"),
        "{:?} {}",
        ended.status,
        ended.said
    );
}
