//! The archiver against what one would type, in turns: `tar | zstd | tee >(sha256sum)`, `mariadb-backup | zstd`, and back. The data is a
//! MariaDB datadir that sysbench has filled and then written to at random; the programs come from the distribution. Run it with
//! `make bench-backup`. Everything is read from the page cache and nothing is synced: what is compared is the work, not the disk.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program that measures programs"
)]

use std::{
    env,
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use age::secrecy::ExposeSecret;
use glrl::backup::{
    EncryptionSettings, Grade, Interrupt, Settings, Step,
    bench::{hold, pack, run, unpack},
    settings::ArchiveSettings,
    verify,
};

/// zstd's level, on both sides.
const LEVEL: i32 = 1;
const TABLES: u64 = 8;

fn main() {
    let number = |name, otherwise| env::var(name).map_or(otherwise, |text| text.parse().expect(name));
    // 560,000 rows of sysbench's in each of 8 tables are about 1 GB.
    let (rows, rounds) = (number("ROWS", 560_000), number("ROUNDS", 5));
    let work = tempfile::Builder::new()
        .prefix("glrl-bench-")
        .tempdir()
        .expect("a directory");
    fs::set_permissions(work.path(), PermissionsExt::from_mode(0o755)).expect("its mode");
    let database = Database::new(work.path(), rows);
    let bench = Bench {
        frozen: database.frozen(),
        work: work.path(),
        server: database.start(),
    };
    // One of them alone, if that is asked for.
    let part = env::var("PART").unwrap_or_default();
    let wanted = |name: &str| part.is_empty() || part == name;
    if wanted("archive") {
        bench.archive(rounds);
    }
    if wanted("restore") {
        bench.restore(rounds);
    }
    if wanted("lock") {
        bench.hold(10 * rounds);
    }
    if wanted("verify") {
        bench.verify();
    }
}

/// A datadir of its own, and how its server is started.
struct Database<'a> {
    work: &'a Path,
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = shell(&format!("kill {}", self.0.id()));
        let _ = self.0.wait();
    }
}

impl<'a> Database<'a> {
    /// Made, filled, written to at random, and shut down.
    fn new(work: &'a Path, rows: u64) -> Self {
        let database = Self { work };
        shell(&format!(
            "mkdir -m 777 {0}/tmp && mariadb-install-db --no-defaults --skip-test-db --auth-root-authentication-method=normal \
             --user=mysql --datadir={0}/data --tmpdir={0}/tmp > /dev/null",
            work.display()
        ))
        .expect("a new datadir");
        let server = database.start();
        let socket = database.socket();
        shell(&format!(
            "mariadb -u root -S {} -e 'CREATE DATABASE sbtest'",
            socket.display()
        ))
        .expect("a schema");
        let sysbench = |how: &str| {
            shell(&format!(
                "sysbench oltp_write_only --db-driver=mysql --mysql-socket={} --mysql-user=root --tables={TABLES} \
                 --table-size={rows} --threads=2 {how} > /dev/null",
                socket.display()
            ))
            .expect("sysbench");
        };
        sysbench("prepare");
        // Of what prepare has logged, mariadb-backup copies nothing: both shall have the same work.
        shell(&format!("mariadb -u root -S {} -e 'RESET MASTER'", socket.display())).expect("an empty binary log");
        sysbench("--time=20 run");
        drop(server);
        database
    }

    fn socket(&self) -> PathBuf {
        self.work.join("data/s")
    }

    fn start(&self) -> Running {
        let place = |name: &str| self.work.join(name).display().to_string();
        let child = Command::new("mariadbd")
            .args(["--no-defaults", "--skip-networking", "--user=mysql"])
            .args(["--log-bin=binlog", "--server-id=7"])
            .args(["--innodb-buffer-pool-size=512M", "--innodb-log-file-size=96M"])
            .arg("--innodb-flush-log-at-trx-commit=2")
            .arg(format!("--datadir={}", place("data")))
            .arg(format!("--tmpdir={}", place("tmp")))
            .arg(format!("--socket={}", place("data/s")))
            .arg(format!("--pid-file={}", place("data/pid")))
            .arg(format!("--log-error={}", place("tmp/error.log")))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mariadbd");
        let ping = format!(
            "mariadb-admin -u root -S {} ping > /dev/null 2>&1",
            self.socket().display()
        );
        let running = Running(child);
        let deadline = Instant::now() + Duration::from_mins(1);
        while shell(&ping).is_err() {
            assert!(Instant::now() < deadline, "mariadbd does not answer");
            sleep(Duration::from_millis(100));
        }
        running
    }

    /// A copy of its files while no server runs: what a snapshot shows.
    fn frozen(&self) -> PathBuf {
        let frozen = self.work.join("frozen");
        shell(&format!(
            "rm -rf {1} && cp -a {0} {1}",
            self.work.join("data").display(),
            frozen.display()
        ))
        .expect("a copy");
        frozen
    }
}

struct Bench<'a> {
    work: &'a Path,
    frozen: PathBuf,
    server: Running,
}

impl Bench<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    fn glrl(&self) -> glrl::backup::bench::Archived {
        self.glrl_for(&EncryptionSettings::default(), "glrl.tar.zst")
    }

    /// A key pair of its own, as age-keygen makes it.
    fn key(&self) -> EncryptionSettings {
        let identity = age::x25519::Identity::generate();
        let path = self.path("key.txt");
        fs::write(&path, identity.to_string().expose_secret()).expect("a key");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("its mode");
        EncryptionSettings {
            recipients: vec![identity.to_public().to_string().parse().expect("a public key")],
            identity_file: Some(path.to_str().expect("UTF-8").parse().expect("an absolute path")),
            ..EncryptionSettings::default()
        }
    }

    fn glrl_for(&self, encryption: &EncryptionSettings, name: &str) -> glrl::backup::bench::Archived {
        let mut to = File::create(self.path(name)).expect("an archive");
        let settings = ArchiveSettings {
            level: LEVEL,
            ..ArchiveSettings::default()
        };
        pack(&self.frozen, &mut to, &settings, encryption).expect("an archive")
    }

    fn archive(&self, rounds: u64) {
        let work = self.work.display();
        let tar = format!(
            "tar -C {work}/frozen -cf - . | zstd -q -{LEVEL} -T0 | tee >(sha256sum > {work}/tar.sha256) > {work}/tar.zst"
        );
        let bare = format!("tar -C {work}/frozen -cf - . | zstd -q -{LEVEL} -T0 > {work}/bare.zst");
        let tool = format!(
            "mariadb-backup --no-defaults --backup --stream=mbstream --user=root --socket={work}/data/s --datadir={work}/data \
             --target-dir={work}/tmp/backup 2> {work}/tmp/backup.log | zstd -q -{LEVEL} -T0 > {work}/tool.zst"
        );
        self.glrl();
        let key = self.key();
        let mut times: [Vec<f64>; 5] = Default::default();
        for _ in 0..rounds {
            times[0].push(seconds(|| drop(self.glrl())));
            times[1].push(seconds(|| drop(self.glrl_for(&key, "glrl.tar.zst.age"))));
            for (command, times) in [&tar, &bare, &tool].into_iter().zip(&mut times[2..]) {
                times.push(seconds(|| shell(command).expect("a pipe")));
            }
        }
        let bytes = size(&self.frozen);
        let archived = fs::metadata(self.path("glrl.tar.zst")).expect("an archive").len();
        println!(
            "{} MB of data, 1 : {:.2}, {rounds} rounds",
            mb(bytes),
            to_f64(bytes) / to_f64(archived)
        );
        println!(
            "{:<44} {:>9} {:>10} {:>8} {:>9}",
            "to an archive", "s", "MB/s", "ratio", "archive"
        );
        let glrl = median(&times[0]);
        let names = [
            "glrl: tar, zstd, sha256, blake3, each file's",
            "the same, encrypted",
            "tar | zstd -T0 | tee >(sha256sum)",
            "tar | zstd -T0",
            "mariadb-backup --stream | zstd -T0",
        ];
        let files = ["glrl.tar.zst", "glrl.tar.zst.age", "tar.zst", "bare.zst", "tool.zst"];
        for ((name, times), file) in names.iter().zip(&times).zip(files) {
            let time = median(times);
            let length = fs::metadata(self.path(file)).expect("an archive").len();
            println!(
                "{name:<44} {time:>9.2} {:>10.0} {:>8.2} {:>6} MB",
                to_f64(bytes) / 1e6 / time,
                time / glrl,
                mb(length)
            );
        }
    }

    fn restore(&self, rounds: u64) {
        let archived = self.glrl();
        let (clear, key) = (EncryptionSettings::default(), self.key());
        let (sealed, sealed_archive) = (self.glrl_for(&key, "glrl.tar.zst.age"), self.path("glrl.tar.zst.age"));
        let (archive, into) = (self.path("glrl.tar.zst"), self.path("into"));
        let peer = format!("zstd -q -d < {} | tar -C {} -xf -", archive.display(), into.display());
        let read = format!("zstd -q -d < {} | tar -tf - > /dev/null", archive.display());
        let emptied = || {
            let _ = fs::remove_dir_all(&into);
            fs::create_dir(&into).expect("a directory");
        };
        let mut times: [Vec<f64>; 5] = Default::default();
        for _ in 0..rounds {
            emptied();
            times[0].push(seconds(|| {
                unpack(&archive, &archived, Some(&into), &clear).expect("an intact archive");
            }));
            emptied();
            times[1].push(seconds(|| shell(&peer).expect("a pipe")));
            times[2].push(seconds(|| {
                unpack(&archive, &archived, None, &clear).expect("an intact archive");
            }));
            times[3].push(seconds(|| shell(&read).expect("a pipe")));
            times[4].push(seconds(|| {
                unpack(&sealed_archive, &sealed, None, &key).expect("an intact archive");
            }));
        }
        let gigabytes = to_f64(size(&self.frozen)) / 1e9;
        println!("{:<44} {:>9} {:>10} {:>8}", "from an archive", "s", "s per GB", "ratio");
        let names = [
            "glrl: unpacked, every hash checked",
            "zstd -d | tar -x",
            "glrl: read, every hash checked",
            "zstd -d | tar -t",
            "glrl: read, encrypted",
        ];
        // What each is compared with.
        for (index, (name, own)) in names.iter().zip([0, 0, 2, 2, 2]).enumerate() {
            let (time, own) = (median(&times[index]), median(&times[own]));
            println!("{name:<44} {time:>9.2} {:>10.2} {:>8.2}", time / gigabytes, time / own);
        }
    }

    fn settings(&self) -> Settings {
        let path = |name: &str| {
            let path = self.path(name);
            fs::create_dir_all(&path).expect("a directory");
            path.to_str().expect("UTF-8").parse().expect("an absolute path")
        };
        let mut settings = Settings {
            instance: "bench".parse().expect("a name"),
            run_directory: path("run"),
            state_directory: path("state"),
            ..Settings::default()
        };
        let socket = self.path("data/s");
        settings.server.socket = Some(socket.to_str().expect("UTF-8").parse().expect("an absolute path"));
        settings.target.directory = path("target");
        settings.target.mounted = false;
        settings.archive.level = LEVEL;
        // The copy that stands for a snapshot takes as long as a copy takes.
        settings.lock.budget = Duration::from_mins(2);
        settings.verify.scratch = path("state/scratch");
        fs::set_permissions(&*settings.state_directory, PermissionsExt::from_mode(0o700)).expect("its mode");
        settings
    }

    /// How long writers are held up beside what the snapshot takes, a program that sleeps for a tenth of a second standing for lvcreate.
    fn hold(&self, rounds: u64) {
        let settings = self.settings();
        let socket = self.path("data/s");
        let mut load = Command::new("sysbench")
            .args([
                "oltp_write_only",
                "--db-driver=mysql",
                "--mysql-user=root",
                "--threads=2",
            ])
            .args([
                format!("--mysql-socket={}", socket.display()),
                format!("--tables={TABLES}"),
            ])
            .args(["--table-size=1000", "--time=600", "run"])
            .stdout(Stdio::null())
            .spawn()
            .expect("sysbench");
        sleep(Duration::from_secs(2));
        let (mut times, mut bare): (Vec<f64>, Vec<f64>) = (0..rounds)
            .map(|_| {
                let held = hold(&settings, "0.1").expect("a lock");
                // What starting that program and waiting for it takes whoever does no more than that.
                let bare = seconds(|| drop(Command::new("/bin/sleep").arg("0.1").status())) * 1e3;
                (held - 100.0, bare - 100.0)
            })
            .unzip();
        load.kill().and_then(|()| load.wait()).expect("sysbench's end");
        for (what, times) in [("the lock was held for", &mut times), ("by itself it takes", &mut bare)] {
            times.sort_by(f64::total_cmp);
            println!(
                "a snapshot of 100 ms: {what} {:.1} ms more in the median of {rounds}, {:.1} ms at most",
                median(times),
                times[times.len() - 1]
            );
        }
    }

    /// A whole backup and its whole verification.
    fn verify(&self) {
        let settings = self.settings();
        let manifest = run(&settings, &mut |_| {}).expect("a backup");
        let gigabytes = to_f64(manifest.files.bytes) / 1e9;
        println!("{:<44} {:>9} {:>10}", "verification, up to and with", "s", "s per GB");
        let began = Instant::now();
        let verdict = verify(&settings, None, &Interrupt::default(), &mut |step| {
            if let Step::Checked(check) = step {
                let time = began.elapsed().as_secs_f64();
                println!("{:<44} {time:>9.2} {:>10.2}", check.name, time / gigabytes);
            }
        })
        .expect("a verdict");
        assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
        assert!(self.server.0.id() > 0);
    }
}

fn shell(command: &str) -> Result<(), String> {
    let status = Command::new("bash")
        .args(["-o", "pipefail", "-c", command])
        .status()
        .expect("bash");
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command}: {status}"))
    }
}

fn seconds(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64()
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Bytes of the regular files in a directory.
fn size(directory: &Path) -> u64 {
    fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| {
            let entry = entry.expect("an entry");
            let meta = entry.metadata().expect("its size");
            if meta.is_dir() {
                size(&entry.path())
            } else if meta.is_file() {
                meta.len()
            } else {
                0
            }
        })
        .sum()
}

fn mb(bytes: u64) -> u64 {
    bytes / 1_000_000
}

#[expect(clippy::cast_precision_loss, reason = "a size, shown with three digits")]
fn to_f64(bytes: u64) -> f64 {
    bytes as f64
}
