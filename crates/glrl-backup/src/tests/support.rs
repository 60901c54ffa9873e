//! A server, its writers, and a volume that is a directory.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{JoinHandle, sleep},
    time::{Duration, Instant},
};

use glrl_node::system::programs::{Program, Running};
use mysql::{Conn, OptsBuilder, prelude::Queryable};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{
    model::{
        error::Result,
        id::BackupId,
        interrupt::Interrupt,
        manifest::{self, Manifest},
        step::Step,
        verdict::Verdict,
    },
    operate::job::{back_up, verify},
    settings::Settings,
    tests::servers::Programs,
    volume::{Snapshot, Volume},
};

/// Settings for a server that is busy: so is the machine that the tests run on.
pub(crate) fn patient(server: &Server) -> Settings {
    let mut settings = server.settings();
    settings.lock.budget = Duration::from_secs(20);
    settings
}

/// The verdict on the newest backup.
pub(crate) fn verified(settings: &Settings) -> Verdict {
    verify(settings, None, &Interrupt::default(), &mut |_| {}).unwrap()
}

/// A running server on a temporary datadir.
pub(crate) struct Server {
    pub(crate) directory: TempDir,
    pub(crate) programs: Programs,
    pub(crate) mariadb: bool,
    /// The datadir, below the directory. Its volume is its parent, or itself.
    datadir: &'static str,
    options: Vec<String>,
    running: Option<Running>,
}

impl Server {
    /// A server with a binary log and GTIDs, as a production one has it.
    pub(crate) fn start(on: &Programs) -> Self {
        Self::start_with(on, &["--log-bin=binlog", "--server-id=7"])
    }

    pub(crate) fn start_with(on: &Programs, options: &[&str]) -> Self {
        let server = Self::new(on, "data");
        on.initialize(&server.data());
        server.launched(options.iter().map(|option| (*option).to_owned()).collect())
    }

    /// A server whose volume has more in it than the datadir. Its options, some of which its datadir is made with, may name places there.
    pub(crate) fn start_in_volume(
        on: &Programs,
        made_with: &[&str],
        options: impl FnOnce(&Path) -> Vec<String>,
    ) -> Self {
        let server = Self::new(on, "volume/data");
        let volume = server.volume();
        for name in ["", "extra", "logs", "undo", "redo", "double", "temporary", "aria"] {
            fs::create_dir_all(volume.join(name)).unwrap();
            Program::new("chown")
                .args(["mysql:mysql"])
                .args([volume.join(name)])
                .stdout()
                .unwrap();
        }
        let options = options(&volume);
        if made_with.is_empty() {
            on.initialize(&server.data());
        } else {
            let places = options
                .iter()
                .filter(|option| option.starts_with("--innodb-") || option.starts_with("--aria-"))
                .map(String::as_str);
            on.make(
                &server.data(),
                &made_with.iter().copied().chain(places).collect::<Vec<_>>(),
            );
        }
        server.launched(
            made_with
                .iter()
                .map(|option| (*option).to_owned())
                .chain(options)
                .collect(),
        )
    }

    /// A server whose datadir is in a volume that may hold more; `{volume}` in options is where that is.
    pub(crate) fn start_within(on: &Programs, options: &[&str]) -> Self {
        let server = Self::new(on, "volume/data");
        let volume = server.volume().display().to_string();
        fs::create_dir_all(server.volume()).unwrap();
        on.initialize(&server.data());
        server.launched(
            options
                .iter()
                .map(|option| option.replace("{volume}", &volume))
                .collect(),
        )
    }

    fn launched(mut self, options: Vec<String>) -> Self {
        self.options.extend(options);
        self.launch();
        self
    }

    fn new(on: &Programs, datadir: &'static str) -> Self {
        let directory = tempfile::Builder::new().prefix("glrl-db-").tempdir().unwrap();
        fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let server = Self {
            directory,
            mariadb: on.mariadb,
            datadir,
            options: on.options.iter().map(|option| (*option).to_owned()).collect(),
            programs: on.clone(),
            running: None,
        };
        // Servers clean up what they take for their own in a shared /tmp.
        let temporary = server.directory.path().join("tmp");
        fs::create_dir(&temporary).unwrap();
        fs::set_permissions(&temporary, PermissionsExt::from_mode(0o777)).unwrap();
        server
    }

    fn places(&self) -> [String; 3] {
        let temporary = self.directory.path().join("tmp");
        [
            "--user=mysql".to_owned(),
            format!("--datadir={}", self.data().display()),
            format!("--tmpdir={}", temporary.display()),
        ]
    }

    /// Starts it on its datadir.
    pub(crate) fn launch(&mut self) {
        let log = self.directory.path().join("tmp/error.log");
        let running = Program::new(self.programs.server.to_string_lossy())
            .args(["--no-defaults", "--skip-networking"])
            .args(self.places())
            .args([
                format!("--socket={}", self.socket().display()),
                format!("--pid-file={}", self.data().join("pid").display()),
                format!("--log-error={}", log.display()),
            ])
            .args(&self.options)
            .start()
            .unwrap();
        let said = || fs::read_to_string(&log).unwrap_or_default();
        let deadline = Instant::now() + Duration::from_mins(1);
        while self.try_connect().is_none() {
            assert!(running.wait(Duration::ZERO).unwrap().is_none(), "{}", said());
            assert!(Instant::now() < deadline, "{}", said());
            sleep(Duration::from_millis(50));
        }
        self.running = Some(running);
    }

    /// Shuts it down, so that everything is in its files.
    pub(crate) fn stop(&mut self) {
        let running = self.running.take().unwrap();
        running.signal(Signal::SIGTERM);
        assert!(running.wait(Duration::from_mins(1)).unwrap().is_some());
    }

    /// Shuts it down and starts it again.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.launch();
    }

    /// Empties its datadir, as a new volume is.
    pub(crate) fn clear(&self) {
        for name in names(&self.volume()) {
            let path = self.volume().join(name);
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
    }

    /// Another server with the same options, on a datadir that was restored.
    pub(crate) fn start_copy(&self, datadir: &Path) -> Self {
        let directory = tempfile::Builder::new().prefix("glrl-db-").tempdir().unwrap();
        fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        fs::create_dir(directory.path().join("tmp")).unwrap();
        fs::set_permissions(directory.path().join("tmp"), PermissionsExt::from_mode(0o777)).unwrap();
        std::os::unix::fs::symlink(datadir, directory.path().join("data")).unwrap();
        let mut server = Self {
            directory,
            programs: self.programs.clone(),
            mariadb: self.mariadb,
            datadir: "data",
            options: self.options.clone(),
            running: None,
        };
        server.launch();
        server
    }

    /// Waits for a connection of which this is so in the list of them.
    pub(crate) fn until_some(&self, so: &str) {
        let mut conn = self.connect();
        let sql = format!("SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND {so}");
        until(|| conn.query_first::<u64, _>(&sql).unwrap().is_some());
    }

    /// How many rows a table has.
    pub(crate) fn count(&self, table: &str) -> u64 {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        self.connect().query_first(sql).unwrap().unwrap()
    }

    /// Where its binary log stands.
    pub(crate) fn gtid(&self) -> Option<String> {
        let name = if self.mariadb {
            "gtid_binlog_pos"
        } else {
            "gtid_executed"
        };
        let value: Option<String> = self.connect().query_first(format!("SELECT @@GLOBAL.{name}")).unwrap();
        value
            .map(|text| text.split_whitespace().collect())
            .filter(|text: &String| !text.is_empty())
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join(self.datadir)
    }

    /// The volume that its datadir is in.
    pub(crate) fn volume(&self) -> PathBuf {
        match self.datadir {
            "volume/data" => self.directory.path().join("volume"),
            _ => self.data(),
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.data().join("s")
    }

    fn try_connect(&self) -> Option<Conn> {
        let options = OptsBuilder::new()
            .socket(Some(self.socket().to_str().unwrap()))
            .user(Some("root"))
            .prefer_socket(false);
        Conn::new(options).ok()
    }

    pub(crate) fn connect(&self) -> Conn {
        self.try_connect().unwrap()
    }

    pub(crate) fn execute(&self, statements: &[&str]) {
        let mut conn = self.connect();
        for sql in statements {
            conn.query_drop(sql).unwrap();
        }
    }

    /// A few tables of several engines, with rows, blobs, an event, a second schema.
    pub(crate) fn fill(&self) {
        self.execute(&[
            "CREATE DATABASE shop",
            "CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(200), n INT, KEY (n)) ENGINE=InnoDB",
            "CREATE TABLE shop.blobs (id INT PRIMARY KEY, b LONGBLOB) ENGINE=InnoDB",
            "CREATE TABLE shop.my (id INT PRIMARY KEY, v VARCHAR(20)) ENGINE=MyISAM",
            "INSERT INTO shop.my VALUES (1, 'a'), (2, 'b')",
            "INSERT INTO shop.t (v, n) VALUES (REPEAT('x', 200), 1)",
            "INSERT INTO shop.blobs VALUES (1, REPEAT('y', 2000000))",
            "CREATE DATABASE `wéird-name`",
            "CREATE TABLE `wéird-name`.`a b``c` (id INT PRIMARY KEY) ENGINE=InnoDB",
            "CREATE EVENT shop.e ON SCHEDULE EVERY 1 SECOND DO INSERT INTO shop.t (v, n) VALUES ('event', 2)",
        ]);
        for _ in 0..12 {
            self.execute(&["INSERT INTO shop.t (v, n) SELECT v, n + 1 FROM shop.t"]);
        }
    }

    /// Settings for it, with a target and all directories of its own.
    pub(crate) fn settings(&self) -> Settings {
        settings_in(self.directory.path(), &self.socket(), &self.programs.server)
    }

    /// A backup of it by a snapshot that behaves as it is told.
    pub(crate) fn backup(&self, settings: &Settings, behaviour: &Behaviour) -> Result<Manifest> {
        self.backup_with(settings, behaviour, &Interrupt::default(), &mut |_| {})
    }

    pub(crate) fn backup_with(
        &self,
        settings: &Settings,
        behaviour: &Behaviour,
        interrupt: &Interrupt,
        report: &mut dyn FnMut(Step),
    ) -> Result<Manifest> {
        let (volume, pid) = (self.volume(), self.data().join("pid"));
        backup_of((&volume, &pid), settings, behaviour, interrupt, report)
    }
}

/// Settings for the server with this socket and program, with a target and all directories in this one.
pub(crate) fn settings_in(directory: &Path, socket: &Path, program: &Path) -> Settings {
    let path = |name: &str| {
        let path = directory.join(name);
        fs::create_dir_all(&path).unwrap();
        path.to_str().unwrap().parse().unwrap()
    };
    let mut settings = Settings {
        instance: "test".parse().unwrap(),
        run_directory: path("run"),
        state_directory: path("state"),
        ..Settings::default()
    };
    settings.server.socket = Some(socket.to_str().unwrap().parse().unwrap());
    settings.target.directory = path("target");
    settings.target.mounted = false;
    // As on a node: below what is root's alone.
    fs::set_permissions(&*settings.state_directory, PermissionsExt::from_mode(0o700)).unwrap();
    settings.verify.scratch = path("state/scratch");
    settings.verify.server = Some(program.to_str().unwrap().parse().unwrap());
    settings.verify.memory = glrl_node::value::Size::mib(64);
    settings
}

/// A backup of the server with this volume and file of its process number.
pub(crate) fn backup_of(
    (volume, pid): (&Path, &Path),
    settings: &Settings,
    behaviour: &Behaviour,
    interrupt: &Interrupt,
    report: &mut dyn FnMut(Step),
) -> Result<Manifest> {
    let volume = |_: &Path| {
        Ok(Box::new(Directory {
            path: volume.to_owned(),
            pid: pid.to_owned(),
            behaviour: behaviour.clone(),
        }) as Box<dyn Volume>)
    };
    back_up(settings, &volume, interrupt, report)
}

/// What the snapshot does before, and after, it copies; and how full it says it is.
#[derive(Clone)]
pub(crate) struct Behaviour {
    pub(crate) take: Arc<dyn Fn() -> Result<()> + Send + Sync>,
    pub(crate) opened: Arc<dyn Fn(&Path) + Send + Sync>,
    pub(crate) fill: Arc<dyn Fn() -> Result<f64> + Send + Sync>,
    pub(crate) grow: Arc<dyn Fn() -> Result<Option<u64>> + Send + Sync>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            take: Arc::new(|| Ok(())),
            opened: Arc::new(|_| ()),
            fill: Arc::new(|| Ok(1.5)),
            grow: Arc::new(|| Ok(None)),
        }
    }
}

struct Directory {
    path: PathBuf,
    pid: PathBuf,
    behaviour: Behaviour,
}

impl Volume for Directory {
    fn mount_point(&self) -> &Path {
        &self.path
    }

    fn record(&self, datadir: PathBuf) -> manifest::Volume {
        manifest::Volume {
            group: String::new(),
            name: String::new(),
            mount_point: self.path.clone(),
            datadir,
            filesystem: "directory".to_owned(),
        }
    }

    fn holds(&self, path: &Path) -> Result<bool> {
        Ok(path
            .canonicalize()
            .map_err(anyhow::Error::from)?
            .starts_with(&self.path))
    }

    fn reap(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn prepare(&self, id: &BackupId, _used: Option<u64>) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(Copy {
            of: self.path.clone(),
            pid: self.pid.clone(),
            to: self.path.parent().unwrap().join(format!("snapshot-{id}")),
            behaviour: self.behaviour.clone(),
        }))
    }
}

struct Copy {
    of: PathBuf,
    pid: PathBuf,
    to: PathBuf,
    behaviour: Behaviour,
}

impl Snapshot for Copy {
    fn take(&mut self) -> Result<()> {
        (self.behaviour.take)()?;
        // A lock does not keep InnoDB from writing out its pages: while it stands still, all files are of one moment.
        let _stopped = Stopped::stop(fs::read_to_string(&self.pid).unwrap().trim());
        Program::new("cp")
            .args(["-a", "--sparse=auto"])
            .args([&self.of, &self.to])
            .stdout()?;
        Ok(())
    }

    fn open(&mut self) -> Result<PathBuf> {
        (self.behaviour.opened)(&self.to);
        Ok(self.to.clone())
    }

    fn fill(&self) -> Result<f64> {
        (self.behaviour.fill)()
    }

    fn grow(&self) -> Result<Option<u64>> {
        (self.behaviour.grow)()
    }

    fn record(&self) -> manifest::Snapshot {
        manifest::Snapshot {
            name: "copy".to_owned(),
            bytes: 0,
            fill_percent: 0.0,
        }
    }

    fn remove(&mut self) -> Result<()> {
        let _ = fs::remove_dir_all(&self.to);
        Ok(())
    }
}

/// A process none of whose threads runs.
struct Stopped(Pid);

impl Stopped {
    fn stop(pid: &str) -> Self {
        let stopped = Self(Pid::from_raw(pid.parse().unwrap()));
        kill(stopped.0, Signal::SIGSTOP).unwrap();
        let tasks = Path::new("/proc").join(pid).join("task");
        let stands = |task: &Path| {
            let stat = fs::read_to_string(task.join("stat")).unwrap_or_default();
            stat.is_empty() || stat.rsplit_once(')').unwrap().1.trim_start().starts_with('T')
        };
        while !fs::read_dir(&tasks).unwrap().all(|task| stands(&task.unwrap().path())) {
            sleep(Duration::from_millis(1));
        }
        stopped
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = self.remove();
    }
}

/// Waits until something is so. What takes minutes does not come.
fn until(mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while !so() {
        assert!(Instant::now() < deadline, "what was waited for does not come");
        sleep(Duration::from_millis(5));
    }
}

/// Somebody who inserts, one transaction after another.
pub(crate) struct Writer {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(server: &Server) -> Self {
        let mut conn = server.connect();
        let mut writer = Self {
            stop: Arc::default(),
            written: Arc::default(),
            thread: None,
        };
        let (stop, written) = (writer.stop.clone(), writer.written.clone());
        writer.thread = Some(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                conn.query_drop("INSERT INTO shop.t (v, n) VALUES ('w', 0)").unwrap();
                written.fetch_add(1, Ordering::Relaxed);
            }
        }));
        writer
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Waits until inserts go on. One may have been under way; two are news.
    pub(crate) fn goes_on(&self) {
        let before = self.written();
        until(|| self.written() > before + 1);
    }

    pub(crate) fn stop(self) {
        drop(self);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "an insert has failed");
    }
}

/// What is in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
