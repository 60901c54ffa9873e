//! The local user: a process that plays one game without end, in directories of its own.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::symlink,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use nix::{
    fcntl::{AT_FDCWD, RenameFlags, renameat2},
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::stat::Mode,
    unistd::mkfifo,
};

use super::{as_user, ground::Ground};

/// One byte is told for so many moves.
pub(super) const COUNTED: usize = 16;

/// Nobody plays longer, whatever becomes of the test.
const LONGEST: Duration = Duration::from_mins(1);

/// The games. Each round has one, at another pace.
const GAMES: [&str; 10] = [
    "exchange a directory with a link",
    "move a directory away and put a link there, once the purge has begun",
    "exchange a file with a link",
    "put a hard link in a file's place",
    "put a fifo in a file's place",
    "exchange two directories",
    "link in the middle of a path",
    "put something in the place of what is being written",
    "mount in a user namespace",
    "all of it",
];

pub(super) fn game(round: usize) -> &'static str {
    GAMES[number(round)]
}

/// Each is played twice in a row: in memory and on a disk.
fn number(round: usize) -> usize {
    round / 2 % GAMES.len()
}

/// Starts it.
pub(super) fn start(ground: &Ground, round: usize) -> Child {
    as_user()
        .args([
            "--exact",
            "adversary::eve::plays",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
            "--quiet",
        ])
        .current_dir(ground.tree())
        .env("GLRL_EVE", round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process of another user")
}

#[test]
#[ignore = "it is what the other user runs"]
fn plays() {
    let Ok(round) = std::env::var("GLRL_EVE") else { return };
    let round: usize = round.parse().expect("a number");
    let until = Instant::now() + LONGEST;
    let pause = Duration::from_micros([0, 50, 200, 1000, 5000][round / GAMES.len() / 2 % 5]);
    if matches!(self::number(round), 8 | 9) {
        own_namespace();
    }
    let mut out = std::io::stdout().lock();
    for number in 0.. {
        let what = match self::number(round) {
            9 => number % 9,
            game => game,
        };
        for which in 0..6 {
            turn(what, (number + which) % 6);
        }
        if number % COUNTED == 0 && out.write_all(b".").and_then(|()| out.flush()).is_err() || Instant::now() > until {
            return;
        }
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
}

/// Where it can do what it wants, as root of its own; glrl sees nothing of the mounts, but of the directories below them.
fn own_namespace() {
    let _ = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS);
}

const DIRECTORIES: [&str; 6] = [
    "home/eve/.ssh",
    "home/eve/.config",
    "home/eve/app",
    "srv/www/up",
    "srv/www/css",
    "home/eve/old",
];
const FILES: [&str; 6] = [
    "home/eve/.ssh/authorized_keys",
    "home/eve/.config/app",
    "home/eve/note",
    "home/eve/.profile",
    "home/eve/app/conf",
    "home/eve/app/current",
];
/// What links lead to, as root of the tree sees it.
const TARGETS: [&str; 6] = ["/root/.ssh", "/etc/cron.d", "/etc", "/etc", "/etc", "/home/mallory"];
pub(super) const VICTIMS: [&str; 6] = [
    "etc/shadow",
    "etc/victim",
    "root/.ssh/authorized_keys",
    "home/mallory/note",
    "etc/passwd",
    "etc/app",
];

fn exchange(one: &str, other: &str) {
    let _ = renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE);
}

fn turn(game: usize, which: usize) {
    let (directory, file, target) = (DIRECTORIES[which], FILES[which], TARGETS[which]);
    let shelf = format!(
        "{}/.s{which}",
        if directory.starts_with("srv") {
            "srv/www"
        } else {
            "home/eve"
        }
    );
    match game {
        0 => {
            let _ = symlink(target, &shelf);
            exchange(directory, &shelf);
        }
        1 => {
            let first = Path::new("srv/www/aaa/0000");
            if !first.exists() && Path::new("srv/www/up").is_dir() && fs::rename("srv/www/up", "srv/www/gone").is_ok() {
                let _ = symlink("/etc", "srv/www/up");
            }
        }
        2 => {
            let _ = symlink(format!("/{}", VICTIMS[which]), &shelf);
            exchange(file, &shelf);
        }
        3 => exchange(file, &format!("home/eve/.hard{which}")),
        4 => {
            let _ = mkfifo(shelf.as_str(), Mode::S_IRUSR);
            exchange(file, &shelf);
        }
        5 => exchange(directory, DIRECTORIES[(which + 1) % DIRECTORIES.len()]),
        6 => {
            let _ = symlink(
                format!("/{}", directory.rsplit_once('/').map_or("", |(above, _)| above)),
                &shelf,
            );
            let _ = symlink("../../../../etc", format!("{directory}/up"));
            exchange(directory, &shelf);
        }
        7 => {
            let directory = Path::new(file).parent().expect("a directory");
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                if entry.path().extension().is_some_and(|end| end == "glrl") {
                    let _ = symlink(format!("/{}", VICTIMS[which]), &shelf);
                    let _ = fs::rename(&shelf, entry.path());
                }
            }
        }
        _ => {
            let nothing: Option<&str> = None;
            let _ = mount(Some("none"), directory, Some("tmpfs"), MsFlags::empty(), nothing);
            let _ = symlink(target, &shelf);
            exchange(directory, &shelf);
        }
    }
}
