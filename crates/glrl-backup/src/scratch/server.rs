//! A throw-away server on unpacked data.
//!
//! It can do no harm to a running one, nor to anything else: it runs as an unprivileged user in a view (`isolation`) in which the unpacked
//! volume stands at the place of the original, so that the absolute paths in binary log indexes, `.isl` files and MySQL's dictionary mean
//! the copy, and in which nothing else can be written; without a network, with no option file read, no replication, no events. `AppArmor`'s profile of the installed server does not attach to it: its rules are about other places.
//!
//! It is told all that the original was told that decides whether the data can be read (`options`), and what the settings add; what it
//! lacks all the same is said (`lacks`).
//!
//! Nobody knows the passwords of the accounts in the data, and the server's user is not the one that `unix_socket` accounts mean. So it
//! is started with `--skip-grant-tables`: whoever reaches its socket may do everything, and only root and the server itself can reach it,
//! below a directory of mode 0700. The option also keeps plugins and functions that the data names from being loaded.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Output,
    time::{Duration, Instant},
};

use anyhow::{Context, Result as Anyhow, bail};
use glrl_node::system::programs::{Program, Running, find as find_program};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    model::{
        binlog::LOG,
        error::{Error, Result},
        interrupt::Interrupt,
        manifest::Manifest,
        server::{Flavour, Server, Version},
        verdict::Grade,
    },
    scratch::{
        isolation::MountPoint,
        lacks::{Lacks, remedy},
        options::{self, Plugins},
        place::{PID, Place, SOCKET, TEMPORARY},
    },
    server::session::Session,
    settings::VerifySettings,
    volume::mounts::may_be_covered,
};

/// Why there is no server.
pub(crate) struct Refused {
    pub(crate) word: Grade,
    pub(crate) why: String,
}

/// The server, until it is stopped. Dropping it kills it.
pub(crate) struct ScratchServer {
    running: Running,
    log: PathBuf,
    flavour: Flavour,
    lacks: Lacks,
    remedy: String,
    _mount_point: MountPoint,
}

/// The program to start: of the flavour, of the release series, and not older than the server that was backed up. Others may refuse the
/// data, or change it first, and neither says anything about the backup.
pub(crate) fn find(settings: &VerifySettings, wanted: &Server) -> Anyhow<PathBuf> {
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
    pub(crate) fn start(
        program: &Path,
        settings: &VerifySettings,
        manifest: &Manifest,
        at: &Place,
        more: &[String],
        interrupt: &Interrupt,
    ) -> Result<Result<(Self, Session), Refused>> {
        let unverified = |why: String| {
            Ok(Err(Refused {
                word: Grade::Unverified,
                why,
            }))
        };
        let place = &at.seen;
        if let Err(error) = may_be_covered(place) {
            return unverified(format!("{error:#}"));
        }
        let (arguments, remedy) = match arguments(program, settings, manifest, at) {
            Ok(arguments) => arguments,
            Err(error) => return unverified(format!("{error:#}")),
        };
        at.prepare()?;
        let mount_point = MountPoint::make(place)?;
        let command = at
            .program(program)
            .args(arguments)
            .args(more)
            .args(&settings.server_options);
        let running = match at.view(manifest).run(|| command.start()) {
            Ok(running) => running,
            Err(error) => return unverified(format!("the server cannot be shut off from this node: {error:#}")),
        };
        let server = Self {
            running,
            log: at.datadir.join(LOG),
            flavour: manifest.server.flavour,
            lacks: Lacks::unknown(settings),
            remedy,
            _mount_point: mount_point,
        };
        let socket = at.socket();
        let deadline = Instant::now() + settings.start_timeout;
        loop {
            interrupt.check()?;
            if let Some(output) = server.running.wait(Duration::from_millis(100))? {
                return Ok(Err(server.ended(&output)));
            }
            let (user, password) = match &at.account {
                Some(account) => (&*account.name, Some(&*account.password)),
                None => ("root", None),
            };
            if let Ok(session) = Session::connect(&socket.to_string_lossy(), user, password, None) {
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
    pub(crate) fn gone(&self) -> Result<Option<Refused>> {
        Ok(self.running.wait(Duration::ZERO)?.map(|output| self.ended(&output)))
    }

    /// Shuts the server down and waits. Returns what was wrong with that.
    pub(crate) fn stop(&self, interrupt: &Interrupt) -> Result<Option<Refused>> {
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
            word: Grade::Unverified,
            why: format!("the server did not end within {} s", LONGEST.as_secs()),
        }))
    }

    /// Asks for the keys that it does not have, now that all tables have been opened. One that has died says nothing.
    pub(crate) fn ask(&mut self, session: &mut Session) {
        let _ = self.lacks.ask(self.flavour, session);
    }

    /// What is known to be lacking here: the keys that were asked for, and what the log says so far.
    pub(crate) fn lacks(&mut self) -> &Lacks {
        self.lacks.read(&self.log());
        &self.lacks
    }

    /// What to do where it lacks something.
    pub(crate) fn remedy(&self) -> &str {
        &self.remedy
    }

    /// What a program has failed for on this server, with what to do where that is something that it lacks.
    pub(crate) fn explain(&mut self, error: Error) -> Error {
        let said = format!("{error:#}");
        if self.remedy.is_empty() || !self.lacks().excuse("", &said) {
            return error;
        }
        Error::new(error.kind, format!("{said}; {}", self.remedy))
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Up to where MariaDB says that it has read its redo log.
    pub(crate) fn recovered_to(&self) -> Option<u64> {
        end_of_redo_log(&self.log())
    }

    /// What the server wrote into its log about damage to the data. A statement may succeed all the same: MariaDB reads a column whose
    /// pages are broken as a shorter one (seen with 10.11), and CHECK TABLE does not open the tables of a full-text index. What an ALTER TABLE has left
    /// behind that was cut short is nobody's table.
    pub(crate) fn complaints(&self) -> Vec<String> {
        const WORDS: [&str; 6] = [
            "corrupt",
            "checksum",
            "failed read",
            "cannot read",
            "cannot open datafile",
            "' is missing!",
        ];
        self.log()
            .lines()
            .filter(|line| line.contains("[ERROR]") || line.contains("[Warning]"))
            .filter(|line| WORDS.iter().any(|word| line.to_lowercase().contains(word)) && !line.contains("/#sql"))
            .filter(|line| !self.lacks.excuse_line(line))
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
        let log = self.log();
        let short = short_of(&log).map(str::to_owned);
        // The whole of the log, or what a server that has not come to that has said.
        let lacking = self
            .lacks
            .found_in(&log)
            .or_else(|| self.lacks.found_in(&said))
            .map(str::to_owned);
        // One that could not even write its log, or was not started, has not looked at the data.
        let mute = log.is_empty() && output.status.code().is_some();
        let unable = killed || mute || short.is_some() || lacking.is_some();
        let remedy = match &lacking {
            Some(_) if !self.remedy.is_empty() => format!("; {}", self.remedy),
            _ => String::new(),
        };
        let said = match short.or(lacking).unwrap_or(said) {
            said if said.is_empty() => "it said nothing; do AppArmor or SELinux confine glrl here?".to_owned(),
            said => said,
        };
        Refused {
            word: if unable { Grade::Unverified } else { Grade::Corrupt },
            why: format!("the server ended ({}): {said}{remedy}", output.status),
        }
    }

    /// The first and the last errors in its log, or of its lines.
    fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        let errors: Vec<&str> = lines.iter().copied().filter(|line| line.contains("[ERROR]")).collect();
        let shown = if errors.is_empty() { &lines } else { &errors };
        // What is wrong is said first, and what came of it last.
        let [first, last] = [shown.len().min(2), shown.len().max(4) - 2];
        match shown.get(last..) {
            Some(rest) => [&shown[..first], rest].concat().join("\n"),
            None => shown.join("\n"),
        }
    }
}

impl Drop for ScratchServer {
    fn drop(&mut self) {
        self.running.kill();
    }
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

/// The server's options: all that the manifest says about places and formats, and what shuts it off. And what to do where that is not enough.
fn arguments(
    program: &Path,
    settings: &VerifySettings,
    manifest: &Manifest,
    at: &Place,
) -> Anyhow<(Vec<String>, String)> {
    let root = &at.seen;
    let server = &manifest.server;
    let datadir = options::datadir(manifest, root)?;
    let in_datadir = |name: &str| datadir.join(name).display().to_string();
    let temporary = root.join(TEMPORARY);
    let given = &settings.server_options;
    let mut arguments = vec![
        "--no-defaults".to_owned(),
        format!("--socket={}", in_datadir(SOCKET)),
        format!("--pid-file={}", in_datadir(PID)),
        format!("--log-error={}", in_datadir(LOG)),
        format!("--tmpdir={}", temporary.display()),
        format!("--innodb-buffer-pool-size={}", settings.memory.get()),
        match &at.account {
            Some(account) => format!("--init-file={}", account.init_file.display()),
            None => "--skip-grant-tables".to_owned(),
        },
        "--performance-schema=OFF".to_owned(),
    ];
    arguments.extend(options::quiet(server).into_iter().map(str::to_owned));
    // Relay logs are no part of what is proven, and may not be here. Its own are not for a copy that is kept.
    let unused = |name: &str| temporary.join(name).display().to_string();
    match server.flavour {
        Flavour::MariaDb => arguments.extend([
            // Where the datadir is the volume's root, what this server alone uses is no schema.
            format!("--ignore-db-dirs={TEMPORARY}"),
            // One that finds no replica in these files makes no relay log.
            format!("--master-info-file={}", unused("master.info")),
            format!("--relay-log-info-file={}", unused("relay-log.info")),
        ]),
        Flavour::MySql => arguments.push(format!("--relay-log={}", unused("relay"))),
    }
    let (plugins, directory) = plugins(program, server, given)?;
    arguments.extend(options::told(manifest, root)?.iter().map(options::Told::as_argument));
    arguments.extend(plugins.options);
    Ok((arguments, remedy(server, &plugins.missing, program, &directory, given)))
}

/// The plugins that reading takes, and the directory where this program looks for them.
pub(crate) fn plugins(program: &Path, server: &Server, given: &[String]) -> Anyhow<(Plugins, String)> {
    if server.libraries.is_empty() {
        return Ok(Default::default());
    }
    let named = given
        .iter()
        .rev()
        .find_map(|option| option.strip_prefix("--plugin-dir="));
    let directory = match named {
        Some(directory) => directory.to_owned(),
        None => options::defaults(program, false)?
            .remove("plugin_dir")
            .unwrap_or_default(),
    };
    Ok((options::plugins(server, Path::new(&directory), given), directory))
}

/// Up to where a redo log was read, by what MariaDB says: of 10.8 where it ends, of before where the server went on from there.
fn end_of_redo_log(log: &str) -> Option<u64> {
    let behind = |words: &str| {
        let (_, rest) = log.split_once(words)?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse().ok()
    };
    behind("InnoDB: End of log at LSN=").or_else(|| behind("log sequence number "))
}

/// Ends servers whose verification, or restore, was killed: those that have this very directory as their working directory.
pub(crate) fn end_servers_in(datadir: &Path) {
    let Ok(wanted) = fs::metadata(datadir) else { return };
    let here = |pid: &str| {
        fs::metadata(Path::new("/proc").join(pid).join("cwd"))
            .is_ok_and(|found| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()))
    };
    for name in fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name())
    {
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if here(&pid.to_string()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            for _ in 0..100 {
                if !here(&pid.to_string()) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    /// What MariaDB 10.11 and 10.6 say.
    #[test]
    fn the_end_of_the_redo_log_is_found() {
        let log = "0 [Note] InnoDB: End of log at LSN=147014\n0 [Note] InnoDB: log sequence number 147200; transaction id 14\n";
        assert_eq!(end_of_redo_log(log), Some(147_014));
        let older = "0 [Note] InnoDB: 10.6.23 started; log sequence number 95797; transaction id 15";
        assert_eq!(end_of_redo_log(older), Some(95797));
        assert_eq!(end_of_redo_log("0 [Note] InnoDB: Loading buffer pool(s)"), None);
    }
}
