//! The servers that the tests run on.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use glrl_node::system::programs::{Program, find};

/// A server's programs.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) server: PathBuf,
    pub(crate) mariadb: bool,
    /// What it is told beside what a test tells it.
    pub(crate) options: &'static [&'static str],
    /// Makes MariaDB's datadir; MySQL's server does that itself.
    install: PathBuf,
}

/// Declares each test once for every server: `mariadb::NAME` (this machine's), `mariadb_trixie::NAME` (11.8), `mysql_sid::NAME` (9), and the
/// oldest that glrl works with, `mariadb_jammy::NAME` (10.6) and `mysql_jammy::NAME` (8.0). For what depends on the release: statements and
/// options that others call otherwise, what a server's files and logs look like, how it holds still.
macro_rules! on_every_server {
    ($($name:ident),+ $(,)?) => {
        on_every_server!(@ mariadb mariadb: $($name),+);
        on_every_server!(@ mariadb_trixie mariadb_trixie: $($name),+);
        on_every_server!(@ mariadb_jammy mariadb_jammy: $($name),+);
        on_every_server!(@ mysql_sid mysql_sid: $($name),+);
        on_every_server!(@ mysql_jammy mysql_jammy: $($name),+);
    };
    (@ $module:ident $server:ident: $($name:ident),+) => {
        mod $module {
            $(
                #[test]
                #[ignore = "starts a real server as root"]
                fn $name() {
                    use $crate::tests::servers::{Programs, skipped};
                    let on: Option<Programs> = Programs::$server().into();
                    match on {
                        Some(on) => super::$name(&on),
                        None => skipped(concat!(stringify!($server), "::", stringify!($name))),
                    }
                }
            )+
        }
    };
}
pub(crate) use on_every_server;

/// The same for MariaDB of this machine and MySQL 9, as `any_mariadb::NAME` and `any_mysql::NAME`: for what glrl does by itself, where one
/// release of a flavour is as the other, and five servers would take the tests twice as long.
macro_rules! on_both_flavours {
    ($($name:ident),+ $(,)?) => {
        $crate::tests::servers::on_every_server!(@ any_mariadb mariadb: $($name),+);
        $crate::tests::servers::on_every_server!(@ any_mysql mysql_sid: $($name),+);
    };
}
pub(crate) use on_both_flavours;

impl Programs {
    /// MariaDB of this machine.
    pub(crate) fn mariadb() -> Self {
        Self {
            server: find("mariadbd").unwrap(),
            mariadb: true,
            options: &[],
            install: find("mariadb-install-db").unwrap(),
        }
    }

    /// MariaDB 11.8.
    pub(crate) fn mariadb_trixie() -> Self {
        Self {
            server: fetched("mariadb-trixie/programs/mariadbd"),
            install: fetched("mariadb-trixie/programs/mariadb-install-db"),
            ..Self::mariadb()
        }
    }

    /// MariaDB 10.6, where it can be had.
    pub(crate) fn mariadb_jammy() -> Option<Self> {
        Some(Self {
            server: fetched_of_ubuntu("mariadb-jammy/programs/mariadbd")?,
            install: fetched_of_ubuntu("mariadb-jammy/programs/mariadb-install-db")?,
            ..Self::mariadb()
        })
    }

    /// MySQL 9, with GTIDs, which MariaDB always has.
    pub(crate) fn mysql_sid() -> Self {
        Self {
            server: fetched("mysql-sid/programs/mysqld"),
            mariadb: false,
            options: &[
                "--mysqlx=OFF",
                "--secure-file-priv=NULL",
                "--gtid-mode=ON",
                "--enforce-gtid-consistency=ON",
                "--innodb-redo-log-capacity=8M",
            ],
            install: PathBuf::new(),
        }
    }

    /// MySQL 8.0, where it can be had.
    pub(crate) fn mysql_jammy() -> Option<Self> {
        Some(Self {
            server: fetched_of_ubuntu("mysql-jammy/programs/mysqld")?,
            ..Self::mysql_sid()
        })
    }

    /// The same with a place for what MySQL's components are told: the program and its libraries are in these two directories.
    pub(crate) fn with_components(&self, directory: &Path) -> Self {
        let [programs, plugins] = ["programs", "plugins"].map(|name| directory.join(name));
        fs::create_dir_all(&programs).unwrap();
        let wrapper = fs::read_to_string(&self.server).unwrap();
        let (_, tree) = wrapper.split_once("tree=").unwrap();
        let tree = Path::new(tree.lines().next().unwrap());
        Program::new("cp")
            .args([
                "-rs".as_ref(),
                tree.join("usr/lib/mysql/plugin").as_os_str(),
                plugins.as_os_str(),
            ])
            .stdout()
            .unwrap();
        for tool in ["mysql", "mysqlbinlog"] {
            std::os::unix::fs::symlink(self.server.with_file_name(tool), programs.join(tool)).unwrap();
        }
        let server = programs.join("mysqld");
        let options = format!("--basedir=$tree/usr --plugin-dir={}", plugins.display());
        let wrapper = wrapper
            .replace("--argv0 $program", &format!("--argv0 {}", server.display()))
            .replace("--basedir=$tree/usr", &options);
        fs::write(&server, wrapper).unwrap();
        fs::set_permissions(&server, PermissionsExt::from_mode(0o755)).unwrap();
        Self { server, ..self.clone() }
    }

    /// Makes a datadir as a server finds it at its first start: a copy, for making it takes MySQL half a minute on a slow machine.
    pub(crate) fn initialize(&self, datadir: &Path) {
        static ONE: Mutex<()> = Mutex::new(());
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = servers().join("fresh").join(self.version());
        if !fresh.exists() {
            fs::create_dir_all(fresh.parent().unwrap()).unwrap();
            let making = tempfile::Builder::new()
                .prefix("making-")
                .tempdir_in(fresh.parent().unwrap())
                .unwrap();
            fs::set_permissions(making.path(), PermissionsExt::from_mode(0o777)).unwrap();
            self.make(&making.path().join("data"), &[]);
            fs::rename(making.path().join("data"), &fresh).unwrap();
        }
        drop(one);
        let copy = Program::new("cp").args(["-a", "--sparse=auto"]).args([&fresh, datadir]);
        copy.stdout().unwrap();
    }

    /// Makes one with these options, which the server is to be told too.
    pub(crate) fn make(&self, datadir: &Path, options: &[&str]) {
        let program = if self.mariadb {
            Program::new(self.install.to_string_lossy()).args([
                "--no-defaults",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ])
        } else {
            Program::new(self.server.to_string_lossy()).args([
                "--no-defaults",
                "--initialize-insecure",
                "--innodb-redo-log-capacity=8M",
            ])
        };
        // Servers clean up what they take for their own in a shared /tmp.
        let temporary = datadir.parent().unwrap();
        program
            .args(["--user=mysql".to_owned()])
            .args([format!("--datadir={}", datadir.display())])
            .args([format!("--tmpdir={}", temporary.display())])
            .args(options)
            .timeout(Duration::from_mins(5))
            .stdout()
            .unwrap();
        // Two servers with one identity must never meet.
        let _ = fs::remove_file(datadir.join("auto.cnf"));
    }

    fn version(&self) -> String {
        let said = Program::new(self.server.to_string_lossy())
            .args(["--no-defaults", "--version"])
            .stdout()
            .unwrap();
        let said = String::from_utf8_lossy(&said).into_owned();
        let version = said.split_once("Ver ").unwrap().1.split_whitespace().next().unwrap();
        format!("{}-{version}", if self.mariadb { "mariadb" } else { "mysql" })
    }
}

/// Where `tests/servers.sh` puts them.
fn servers() -> PathBuf {
    std::env::var_os("GLRL_SERVERS").map_or_else(|| PathBuf::from("/var/cache/glrl-servers"), PathBuf::from)
}

fn fetched(program: &str) -> PathBuf {
    let path = servers().join(program);
    assert!(
        path.exists(),
        "{} is missing: tests/servers.sh brings it",
        path.display()
    );
    path
}

/// The same where it need not be there: this machine may reach no mirror of Ubuntu.
fn fetched_of_ubuntu(program: &str) -> Option<PathBuf> {
    Some(servers().join(program)).filter(|path| path.exists())
}

/// Says that a test was not run, past the harness, which keeps to itself what a test that passes prints.
pub(crate) fn skipped(test: &str) {
    let said = format!("{test} is skipped: tests/servers.sh could not bring its server from a mirror of Ubuntu\n");
    let _ = io::stderr().write_all(said.as_bytes());
}
