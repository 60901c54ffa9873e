//! The servers that the tests run on.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::system::programs::{Program, find};

/// A server's programs.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    pub(super) server: PathBuf,
    pub(super) mariadb: bool,
    /// What it is told beside what a test tells it.
    pub(super) options: &'static [&'static str],
    /// Makes MariaDB's datadir; MySQL's server does that itself.
    install: PathBuf,
}

/// Declares each test once for every server: `mariadb::NAME` (this machine's), `mariadb_trixie::NAME` (11.8), `mysql_sid::NAME` (9).
macro_rules! on_every_server {
    ($($name:ident),+ $(,)?) => {
        on_every_server!(@ mariadb: $($name),+);
        on_every_server!(@ mariadb_trixie: $($name),+);
        on_every_server!(@ mysql_sid: $($name),+);
    };
    (@ $server:ident: $($name:ident),+) => {
        mod $server {
            $(
                #[test]
                #[ignore = "starts a real server as root"]
                fn $name() {
                    super::$name(&crate::backup::tests::servers::Programs::$server());
                }
            )+
        }
    };
}
pub(super) use on_every_server;

/// The same for MariaDB of this machine and MySQL, where one release of a flavour is as the other.
macro_rules! on_both_flavours {
    ($($name:ident),+ $(,)?) => {
        $crate::backup::tests::support::on_every_server!(@ mariadb: $($name),+);
        $crate::backup::tests::support::on_every_server!(@ mysql_sid: $($name),+);
    };
}
pub(super) use on_both_flavours;

impl Programs {
    /// MariaDB of this machine.
    pub(super) fn mariadb() -> Self {
        Self {
            server: find("mariadbd").unwrap(),
            mariadb: true,
            options: &[],
            install: find("mariadb-install-db").unwrap(),
        }
    }

    /// MariaDB 11.8.
    pub(super) fn mariadb_trixie() -> Self {
        Self {
            server: fetched("mariadb-trixie/programs/mariadbd"),
            install: fetched("mariadb-trixie/programs/mariadb-install-db"),
            ..Self::mariadb()
        }
    }

    /// MySQL 9, with GTIDs, which MariaDB always has.
    pub(super) fn mysql_sid() -> Self {
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

    /// Makes a datadir as a server finds it at its first start: a copy, for making it takes MySQL half a minute on a slow machine.
    pub(super) fn initialize(&self, datadir: &Path) {
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
            self.make(&making.path().join("data"));
            fs::rename(making.path().join("data"), &fresh).unwrap();
        }
        drop(one);
        let copy = Program::new("cp").args(["-a", "--sparse=auto"]).args([&fresh, datadir]);
        copy.stdout().unwrap();
    }

    fn make(&self, datadir: &Path) {
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
