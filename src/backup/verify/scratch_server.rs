//! A throw-away server on unpacked data.
//!
//! It can do no harm to a running one, nor to anything else: it runs as an unprivileged user, in a mount namespace where the unpacked
//! volume stands at the place of the original (so that the absolute paths in binary log indexes, `.isl` files and MySQL's dictionary
//! mean the copy, and the original cannot even be seen), in a network namespace without a network, with no option file read, no
//! replication, no events. `AppArmor`'s profile of the installed server does not attach to it: its rules are about other places.
//!
//! Nobody knows the passwords of the accounts in the data, and the server's user is not the one that `unix_socket` accounts mean. So it
//! is started with `--skip-grant-tables`: whoever reaches its socket may do everything, and only root and the server itself can reach it,
//! below a directory of mode 0700. The option also keeps plugins and functions that the data names from being loaded.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    time::{Duration, Instant},
};

use anyhow::{Context, Result as Anyhow, anyhow, bail};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::signal::Signal,
};

use super::{tables::needs_what_is_not_here, verdict::Word};
use crate::{
    backup::{
        archive::Owner,
        config::VerifySettings,
        error::Result,
        interrupt::Interrupt,
        manifest::Manifest,
        server::{Flavour, Server, Use, VARIABLES, Version},
        session::Session,
    },
    system::programs::{Program, Running, find as find_program},
};

/// Engines that a server has without plugins, and that tables are made with when nothing is said.
const BUILT_IN: [&str; 4] = ["InnoDB", "MyISAM", "Aria", "MEMORY"];

const SOCKET: &str = "glrl-verify.sock";
const PID: &str = "glrl-verify.pid";
const LOG: &str = "glrl-verify.log";

/// Why there is no server.
pub(in crate::backup) struct Refused {
    pub(in crate::backup) word: Word,
    pub(in crate::backup) why: String,
}

/// Where a server finds the data: the volume's root directory, the datadir in it, and whom both belong to.
#[derive(Debug)]
pub(in crate::backup) struct Place {
    pub(in crate::backup) volume: PathBuf,
    pub(in crate::backup) datadir: PathBuf,
    pub(in crate::backup) owner: Owner,
}

impl Place {
    /// The socket of a server that runs here.
    pub(in crate::backup) fn socket(&self) -> PathBuf {
        self.datadir.join(SOCKET)
    }

    /// Removes what a server that has run here has left and no server needs.
    pub(in crate::backup) fn tidy(&self) {
        for name in [SOCKET, PID, LOG] {
            let _ = fs::remove_file(self.datadir.join(name));
        }
    }
}

/// The server, until it is stopped. Dropping it kills it.
pub(in crate::backup) struct ScratchServer {
    running: Running,
    log: PathBuf,
    /// Mount points that were missing here, to be removed.
    made: Vec<PathBuf>,
}

/// The program to start: of the flavour, of the release series, and not older than the server that was backed up. Others may refuse the
/// data, or change it first, and neither says anything about the backup.
pub(in crate::backup) fn find(settings: &VerifySettings, wanted: &Server) -> Anyhow<PathBuf> {
    let names: &[&str] = match (&settings.server, wanted.flavour) {
        (Some(path), _) => &[path.as_str()],
        (None, Flavour::MariaDb) => &["mariadbd", "mysqld"],
        (None, Flavour::MySql) => &["mysqld"],
    };
    let path = names
        .iter()
        .find_map(|name| find_program(name).ok())
        .with_context(|| format!("there is no {wanted} here to start on the data: install it, or set verify.server"))?;
    let said = Program::new(path.to_string_lossy())
        .args(["--no-defaults", "--version"])
        .stdout()?;
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let version = said.split_once("Ver ").and_then(|(_, rest)| Version::parse(rest));
    let flavour = if said.contains("MariaDB") {
        Flavour::MariaDb
    } else {
        Flavour::MySql
    };
    let fits = flavour == wanted.flavour
        && version.is_some_and(|version| version.same_series(wanted.version) && version >= wanted.version);
    if !fits {
        bail!(
            "the backup is of {wanted}, and here is {} ({said}): a server of its release series, not older, is needed",
            path.display()
        );
    }
    Ok(path)
}

impl ScratchServer {
    /// Starts the server and waits until it has recovered and answers. `more` are options beside those that the manifest asks for.
    pub(in crate::backup) fn start(
        program: &Path,
        settings: &VerifySettings,
        manifest: &Manifest,
        at: &Place,
        more: &[String],
        interrupt: &Interrupt,
    ) -> Result<Result<(Self, Session), Refused>> {
        let unverified = |why: String| {
            Ok(Err(Refused {
                word: Word::Unverified,
                why,
            }))
        };
        let place = &manifest.volume.mount_point;
        if let Err(error) = may_be_covered(place) {
            return unverified(format!("{error:#}"));
        }
        let arguments = match arguments(settings, manifest) {
            Ok(arguments) => arguments,
            Err(error) => return unverified(format!("{error:#}")),
        };
        let made = make_place(place)?;
        let command = Program::new("setpriv")
            .args([format!("--reuid={}", at.owner.uid), format!("--regid={}", at.owner.gid)])
            .args(["--clear-groups", "--no-new-privs", "--inh-caps=-all"])
            .args(profile())
            .args(["--".as_ref(), program.as_os_str()])
            .args(arguments)
            .args(more);
        let running = match isolated(&at.volume, place, || command.start()) {
            Ok(running) => running,
            Err(error) => {
                remove_place(&made);
                return unverified(format!("the server cannot be shut off from this node: {error:#}"));
            }
        };
        let server = Self {
            running,
            log: at.datadir.join(LOG),
            made,
        };
        let socket = at.socket();
        let deadline = Instant::now() + settings.start_timeout;
        loop {
            interrupt.check()?;
            if let Some(output) = server.running.wait(Duration::from_millis(100))? {
                return Ok(Err(server.ended(&output)));
            }
            if let Ok(session) = Session::connect(&socket.to_string_lossy(), "root", None, None) {
                return Ok(Ok((server, session)));
            }
            if Instant::now() >= deadline {
                return unverified(format!(
                    "the server did not answer within {} s: {}",
                    settings.start_timeout.as_secs(),
                    server.last_words()
                ));
            }
        }
    }

    /// Why the server has ended by itself, if it has.
    pub(super) fn gone(&self) -> Result<Option<Refused>> {
        Ok(self.running.wait(Duration::ZERO)?.map(|output| self.ended(&output)))
    }

    /// Shuts the server down and waits. Returns what was wrong with that.
    pub(in crate::backup) fn stop(&self, interrupt: &Interrupt) -> Result<Option<Refused>> {
        const LONGEST: Duration = Duration::from_mins(15);
        self.running.signal(Signal::SIGTERM);
        let deadline = Instant::now() + LONGEST;
        while Instant::now() < deadline {
            interrupt.check()?;
            if let Some(output) = self.running.wait(Duration::from_millis(100))? {
                return Ok((!output.status.success()).then(|| self.ended(&output)));
            }
        }
        Ok(Some(Refused {
            word: Word::Unverified,
            why: format!("the server did not end within {} s", LONGEST.as_secs()),
        }))
    }

    /// What the server wrote into its log about damage to the data. A statement may succeed all the same: MariaDB reads a column whose
    /// pages are broken as a shorter one (seen with 10.11).
    pub(in crate::backup) fn complaints(&self) -> Vec<String> {
        const WORDS: [&str; 4] = ["corrupt", "checksum", "failed read", "cannot read"];
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log)
            .lines()
            .filter(|line| line.contains("[ERROR]") || line.contains("[Warning]"))
            .filter(|line| WORDS.iter().any(|word| line.to_lowercase().contains(word)))
            .map(str::to_owned)
            .collect()
    }

    /// What a server that has ended says about the data.
    fn ended(&self, output: &Output) -> Refused {
        use std::os::unix::process::ExitStatusExt;
        let logged = fs::read(&self.log).is_ok_and(|log| !log.is_empty());
        let said = if logged {
            self.last_words()
        } else {
            String::from_utf8_lossy(&output.stderr).trim().to_owned()
        };
        // SIGKILL is the kernel's, when memory is short.
        let killed = output.status.signal() == Some(Signal::SIGKILL as i32);
        let short = short_of(&String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default())).map(str::to_owned);
        // One that could not even write its log, or was not started, has not looked at the data.
        let mute = !logged && output.status.code().is_some();
        let unable = killed || mute || short.is_some() || needs_what_is_not_here(&without_paths(&said));
        let said = match short.unwrap_or(said) {
            said if said.is_empty() => "it said nothing; do AppArmor or SELinux confine glrl here?".to_owned(),
            said => said,
        };
        Refused {
            word: if unable { Word::Unverified } else { Word::Corrupt },
            why: format!("the server ended ({}): {said}", output.status),
        }
    }

    /// The errors among the last lines of its log, or these lines.
    fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        let errors: Vec<&str> = lines.iter().copied().filter(|line| line.contains("[ERROR]")).collect();
        let shown = if errors.is_empty() { &lines } else { &errors };
        shown[shown.len().saturating_sub(4)..].join("\n")
    }
}

impl Drop for ScratchServer {
    fn drop(&mut self) {
        self.running.kill();
        remove_place(&self.made);
    }
}

/// The option by which setpriv(1) keeps `AppArmor`'s profile of the installed server off this one. Ubuntu's allows the places of the
/// installed server and no others, and what it forbids would look like damage to the data.
fn profile() -> Option<&'static str> {
    // Nobody but a process that is not confined itself can keep a profile off; where there is none, this says something else or nothing.
    let current = fs::read_to_string("/proc/self/attr/current").unwrap_or_default();
    may_choose_profile(&current).then_some("--apparmor-profile=unconfined")
}

/// Whether `/proc/PID/attr/current` is of a process that `AppArmor` does not confine.
fn may_choose_profile(current: &str) -> bool {
    current.trim_end_matches(['\n', '\0']) == "unconfined"
}

/// A server's words without the files that it names, which may be called anything: `file './shop/encrypted_notes.ibd'`.
fn without_paths(said: &str) -> String {
    let is_path = |part: &&str| part.contains('/') && !part.contains(char::is_whitespace);
    said.split('\'').filter(|part| !is_path(part)).collect()
}

/// What a server complains of in its log that this node is too small for. It says nothing about the data.
fn short_of(log: &str) -> Option<&str> {
    const WORDS: [&str; 6] = [
        "out of memory",
        "cannot allocate memory",
        "no space left",
        "disk is full",
        "disk full",
        "requires innodb_buffer_pool_size",
    ];
    log.lines().find(|line| {
        let line = line.to_lowercase();
        line.contains("[error]") && WORDS.iter().any(|word| line.contains(word))
    })
}

/// Starts something in namespaces of its own, with `volume` mounted at `place`, and no network. A namespace belongs to a thread, and is
/// handed down to what it starts.
pub(in crate::backup) fn isolated<T: Send>(
    volume: &Path,
    place: &Path,
    start: impl FnOnce() -> Anyhow<T> + Send,
) -> Anyhow<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).context("making namespaces")?;
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
                .context("making the namespace's mounts private")?;
            mount(Some(volume), place, none, MsFlags::MS_BIND, none)
                .with_context(|| format!("mounting the data at {}", place.display()))?;
            start()
        });
        thread
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the thread that starts the server has panicked")))
    })
}

/// Whether data may stand at this place for the server. The manifest says where, and a manifest may be hostile: the places of programs,
/// libraries and devices are not for data.
pub(in crate::backup) fn may_be_covered(place: &Path) -> Anyhow<()> {
    const NEVER: [&str; 12] = [
        "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/dev", "/proc", "/sys", "/boot", "/root",
    ];
    let plain = place.is_absolute()
        && place
            .components()
            .skip(1)
            .all(|part| matches!(part, std::path::Component::Normal(_)));
    let system = |never: &str| place.starts_with(never) || Path::new(never).starts_with(place);
    if !plain || NEVER.iter().any(|never| system(never)) {
        bail!(
            "the manifest says that the volume was mounted at {}: no data belongs there",
            place.display()
        );
    }
    Ok(())
}

/// Makes what is missing of a mount point. Returns what was made, the deepest last.
fn make_place(place: &Path) -> Anyhow<Vec<PathBuf>> {
    let missing: Vec<PathBuf> = place
        .ancestors()
        .take_while(|path| !path.exists())
        .map(Path::to_owned)
        .collect();
    let missing: Vec<PathBuf> = missing.into_iter().rev().collect();
    for path in &missing {
        fs::create_dir(path).with_context(|| format!("making the mount point {}", path.display()))?;
    }
    Ok(missing)
}

fn remove_place(made: &[PathBuf]) {
    for path in made.iter().rev() {
        let _ = fs::remove_dir(path);
    }
}

/// The server's options: all that the manifest says about places and formats, and what shuts it off.
fn arguments(settings: &VerifySettings, manifest: &Manifest) -> Anyhow<Vec<String>> {
    let server = &manifest.server;
    let place = &manifest.volume.mount_point;
    let datadir = place.join(&manifest.volume.datadir);
    let within =
        |path: &Path| path.starts_with(place) && path.components().all(|part| part != std::path::Component::ParentDir);
    if !within(&datadir) {
        bail!(
            "the manifest says that the datadir is {}: not in the volume",
            datadir.display()
        );
    }
    let in_datadir = |name: &str| datadir.join(name).display().to_string();
    let mut arguments = vec![
        "--no-defaults".to_owned(),
        format!("--socket={}", in_datadir(SOCKET)),
        format!("--pid-file={}", in_datadir(PID)),
        format!("--log-error={}", in_datadir(LOG)),
        format!("--tmpdir={}", datadir.display()),
        format!("--innodb-buffer-pool-size={}", settings.memory.get()),
        "--skip-networking".to_owned(),
        "--skip-grant-tables".to_owned(),
        "--event-scheduler=OFF".to_owned(),
        "--performance-schema=OFF".to_owned(),
    ];
    arguments.push(
        match server.flavour {
            Flavour::MySql if server.version >= Version(8, 0, 26) => "--skip-replica-start",
            Flavour::MySql | Flavour::MariaDb => "--skip-slave-start",
        }
        .to_owned(),
    );
    if server.flavour == Flavour::MySql {
        // Debian's MySQL does not start without /var/lib/mysql-files, which a node with its programs alone does not have.
        arguments.extend(["--mysqlx=OFF".to_owned(), "--secure-file-priv=NULL".to_owned()]);
    }
    if !server.logs() {
        arguments.push("--skip-log-bin".to_owned());
    }
    // Recovery finds tablespaces that lie elsewhere in the volume there alone.
    let directories = server.variable("innodb_directories").unwrap_or_default();
    let directories: Vec<_> = directories.split(';').map(|path| datadir.join(path.trim())).collect();
    let directories = directories
        .iter()
        .filter(|path| within(path) && **path != datadir.join(""));
    let directories: Vec<_> = directories.map(|path| path.display().to_string()).collect();
    if !directories.is_empty() {
        arguments.push(format!("--innodb-directories={}", directories.join(";")));
    }
    for (name, purpose) in VARIABLES {
        let Some(value) = server.variable(name) else { continue };
        if *purpose == Use::Place && !within(Path::new(value)) {
            bail!("the manifest says that {name} is {value}: not in the volume");
        }
        let option = match *name {
            // Without a binary log its options would switch it on.
            "log_bin_basename" | "log_bin_index" if !server.logs() => continue,
            // MySQL has always two, and refuses to be told.
            "innodb_undo_tablespaces" if server.flavour == Flavour::MySql => continue,
            // One of a plugin is not there, and the server would not start.
            "default_storage_engine" if !BUILT_IN.iter().any(|engine| value.eq_ignore_ascii_case(engine)) => continue,
            "log_bin_basename" => "log-bin".to_owned(),
            name => name.replace('_', "-"),
        };
        if *purpose != Use::Record {
            arguments.push(format!("--{option}={value}"));
        }
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What MariaDB 10.11 says of a broken page, and MySQL 8.0 without the keys.
    #[test]
    fn a_file_that_is_called_encrypted_can_be_damaged() {
        let lacks = |said: &str| needs_what_is_not_here(&without_paths(said));
        assert!(!lacks(
            "[ERROR] InnoDB: Failed to read page 3 from file './shop/encrypted_notes.ibd': Page read is corrupted."
        ));
        assert!(lacks(
            "[ERROR] [MY-012657] [InnoDB] Encryption can't find master key, please check the keyring plugin is loaded."
        ));
        assert!(lacks(
            "[ERROR] InnoDB: Tablespace './shop/t.ibd' is encrypted, can't decrypt."
        ));
    }

    /// What MariaDB 10.11 said with a buffer pool that is too large or too small, and with a full disk; and with a page that is broken.
    #[test]
    fn a_node_that_is_too_small_is_told_from_data_that_is_damaged() {
        for log in [
            "0 [ERROR] mariadbd: Out of memory (Needed 0 bytes)\n0 [ERROR] Unknown/unsupported storage engine: InnoDB",
            "0 [ERROR] InnoDB: innodb_page_size=16384 requires innodb_buffer_pool_size >= 6 MiB current 2 MiB",
            "0 [ERROR] mariadbd: Error writing file './ddl_recovery.log' (Errcode: 28 \"No space left on device\")",
        ] {
            assert_eq!(short_of(log), log.lines().next());
        }
        for log in [
            "0 [Note] InnoDB: the disk is full of good pages",
            "0 [ERROR] InnoDB: Database page corruption on disk or a failed read of file './shop/t.ibd' page [page id: space=7, page number=3]",
            "",
        ] {
            assert_eq!(short_of(log), None);
        }
    }

    /// What `AppArmor` says of two processes, `SELinux` of one, and a kernel without either.
    #[test]
    fn a_profile_is_kept_off_where_apparmor_confines_nothing() {
        assert!(may_choose_profile("unconfined\n"));
        for current in [
            "/usr/sbin/mysqld (enforce)\n",
            "unconfined_u:unconfined_r:unconfined_t:s0\0",
            "",
        ] {
            assert!(!may_choose_profile(current), "{current}");
        }
    }

    #[test]
    fn system_directories_are_never_covered() {
        for place in ["/var/lib/mysql", "/srv/db", "/data", "/mnt/x/y"] {
            assert!(may_be_covered(Path::new(place)).is_ok(), "{place}");
        }
        for place in [
            "/",
            "/usr",
            "/usr/lib/x",
            "/etc",
            "/var/../usr",
            "relative",
            "/dev/shm",
            "/root/x",
        ] {
            assert!(may_be_covered(Path::new(place)).is_err(), "{place}");
        }
    }
}
