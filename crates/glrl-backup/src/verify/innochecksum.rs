//! Every page of every InnoDB file by innochecksum, the program that came with the server, after a clean shutdown: before it, pages may be
//! torn, which recovery mends.
//!
//! The system tablespace may be several files, of which only the first says how all of them are to be read; and in it MariaDB keeps its
//! doublewrite buffer, copies of pages of any tablespace, which the program takes for broken ones. So it is given as one stream, with
//! zeros, which are an empty page, in the place of the copies. Sources: trx0sys.h, fsp0types.h, fsp0fsp.h of both.

use std::{
    fs::{self, File},
    io::{self, PipeWriter, Read, Write, pipe},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use anyhow::{Context, Result as Anyhow};
use glrl_node::system::programs::{Program, Running, find};

use crate::{
    model::{error::Result, interrupt::Interrupt, manifest::Manifest, server::Flavour, verdict::Check},
    scratch::{lacks::Lacks, place::Place},
    verify::tables::Findings,
};

const NAME: &str = "innochecksum";

/// Checks all files of the copy at this place.
pub(crate) fn check(
    server: &Path,
    manifest: &Manifest,
    place: &Place,
    lacks: &Lacks,
    interrupt: &Interrupt,
) -> Result<Check> {
    let beside = server.parent().unwrap_or(Path::new("/"));
    let Some(program) = [beside.join(NAME), beside.join("../bin").join(NAME)]
        .iter()
        .find_map(|path| find(&path.to_string_lossy()).ok())
    else {
        return Ok(Check::skipped(NAME, "it is not installed here"));
    };
    let system = system_files(manifest, place);
    let mut files = Vec::new();
    innodb_files(&place.volume, &mut files)?;
    files.retain(|file| !system.contains(file));
    let mut checking = Checking {
        program: place.program(&program),
        manifest,
        place,
        interrupt,
        findings: Findings::default(),
    };
    let mut encrypted = 0;
    if !system.is_empty() {
        checking.stream(&system)?;
    }
    for file in &files {
        // MySQL's program takes a page that is encrypted for a broken one.
        if manifest.server.flavour == Flavour::MySql && is_encrypted(file)? {
            encrypted += 1;
        } else {
            checking.file(file)?;
        }
    }
    let count = files.len() + system.len() - encrypted;
    let but = match encrypted {
        0 => String::new(),
        number => format!("; {number} encrypted files, which it cannot read, were read by the server"),
    };
    let good = format!("{count} files, every page's checksum is right{but}");
    Ok(checking.findings.check(NAME, good, lacks))
}

struct Checking<'a> {
    program: Program,
    manifest: &'a Manifest,
    place: &'a Place,
    interrupt: &'a Interrupt,
    findings: Findings,
}

impl Checking<'_> {
    fn file(&mut self, file: &Path) -> Result<()> {
        let name = file.strip_prefix(&self.place.volume).unwrap_or(file);
        let run = self.program.clone().args([self.place.seen.join(name)]);
        let running = self.place.view(self.manifest).run(|| run.start())?;
        let output = self.wait(&running)?;
        self.take(&name.display().to_string(), &run, &output)
    }

    /// The system tablespace as one stream.
    fn stream(&mut self, files: &[PathBuf]) -> Result<()> {
        let hidden = doublewrite(self.manifest, &files[0])?;
        let run = self.program.clone().args(["-"]);
        let (reader, mut writer) = pipe().context("making a pipe")?;
        let running = self
            .place
            .view(self.manifest)
            .run(|| run.start_between(Some(reader), None))?;
        let (output, fed) = std::thread::scope(|scope| {
            let feeding = scope.spawn(move || feed(files, &hidden, &mut writer));
            let output = self.wait(&running);
            if output.is_err() {
                running.kill();
            }
            (output, feeding.join())
        });
        let output = output?;
        // One that has found a broken page reads no further.
        if output.status.success() {
            fed.map_err(|_| anyhow::anyhow!("the thread that reads the system tablespace has panicked"))??;
        }
        let name = files[0]
            .strip_prefix(&self.place.volume)
            .unwrap_or(&files[0])
            .display()
            .to_string();
        self.take(&name, &run, &output)
    }

    fn wait(&self, running: &Running) -> Result<Output> {
        loop {
            self.interrupt.check()?;
            if let Some(output) = running.wait(Duration::from_millis(100))? {
                return Ok(output);
            }
        }
    }

    fn take(&mut self, name: &str, run: &Program, output: &Output) -> Result<()> {
        // Killed, it has found nothing out.
        output
            .status
            .code()
            .with_context(|| format!("{NAME} ended with {}", output.status))?;
        if !output.status.success() {
            let said = format!("{:#}", run.failed(output));
            let said = said
                .split_once(&format!("{NAME} "))
                .map_or(said.as_str(), |(_, said)| said);
            let seen = format!("{}/", self.place.seen.display());
            self.findings.add(name, &format!("{NAME} {}", said.replace(&seen, "")));
        }
        Ok(())
    }
}

/// Writes the files one behind the other, with zeros in the place of what is `hidden`.
fn feed(files: &[PathBuf], hidden: &[Range<u64>], to: &mut PipeWriter) -> Anyhow<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0_u64;
    for path in files {
        let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        loop {
            let read = file
                .read(&mut buffer)
                .with_context(|| format!("reading {}", path.display()))?;
            if read == 0 {
                break;
            }
            let end = at + read as u64;
            for range in hidden.iter().filter(|range| range.start < end && at < range.end) {
                let from = usize::try_from(range.start.saturating_sub(at))?;
                let to = usize::try_from(range.end.min(end) - at)?;
                buffer[from..to].fill(0);
            }
            match to.write_all(&buffer[..read]) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                written => written.context("writing to a pipe")?,
            }
            at = end;
        }
    }
    Ok(())
}

/// Where the doublewrite buffer is in the system tablespace, in bytes: two extents that its page `TRX_SYS` names. Nowhere, if a server
/// keeps it in files of its own, as MySQL does since 8.0.20.
fn doublewrite(manifest: &Manifest, system: &Path) -> Anyhow<Vec<Range<u64>>> {
    /// The page's number; where in it the buffer is named, from its end; `TRX_SYS_DOUBLEWRITE_MAGIC_N`.
    const TRX_SYS: (u64, u64, u32) = (5, 200, 536_853_855);
    let page = manifest
        .server
        .variable("innodb_page_size")
        .and_then(|size| size.parse().ok());
    let page: u64 = page.unwrap_or(16 << 10);
    // An extent is 1 MiB, with large pages 64 of them.
    let extent = ((1 << 20) / page.max(1)).max(64) * page;
    let mut named = [0; 22];
    let file = File::open(system).with_context(|| format!("opening {}", system.display()))?;
    if file
        .read_exact_at(&mut named, (TRX_SYS.0 + 1) * page - TRX_SYS.1)
        .is_err()
    {
        return Ok(Vec::new());
    }
    let number = |at: usize| u32::from_be_bytes([named[at], named[at + 1], named[at + 2], named[at + 3]]);
    if number(10) != TRX_SYS.2 {
        return Ok(Vec::new());
    }
    let block = |at: usize| {
        let begin = u64::from(number(at)) * page;
        begin..begin + extent
    };
    Ok(vec![block(14), block(18)])
}

/// The files of the system tablespace, in their order; none that is not a regular file of the copy.
fn system_files(manifest: &Manifest, place: &Place) -> Vec<PathBuf> {
    let within = |path: &Path| {
        let path = path.strip_prefix(&manifest.volume.mount_point).ok()?;
        let path = place.volume.join(path).canonicalize().ok()?;
        let volume = place.volume.canonicalize().ok()?;
        let inside = path.strip_prefix(volume).ok()?;
        path.is_file().then(|| place.volume.join(inside))
    };
    let server = &manifest.server;
    let datadir = manifest.volume.mount_point.join(&manifest.volume.datadir);
    let home = datadir.join(server.variable("innodb_data_home_dir").unwrap_or_default());
    server
        .variable("innodb_data_file_path")
        .unwrap_or("ibdata1")
        .split(';')
        .filter_map(|file| within(&home.join(file.split(':').next()?)))
        .collect()
}

/// Whether a tablespace of MySQL is encrypted: `FSP_FLAGS_ENCRYPTION` of its first page.
fn is_encrypted(file: &Path) -> Anyhow<bool> {
    const FLAGS: u64 = 54;
    let mut flags = [0; 4];
    let opened = File::open(file).with_context(|| format!("opening {}", file.display()))?;
    Ok(opened.read_exact_at(&mut flags, FLAGS).is_ok() && u32::from_be_bytes(flags) & (1 << 13) != 0)
}

fn innodb_files(directory: &Path, files: &mut Vec<PathBuf>) -> Anyhow<()> {
    let doing = || format!("looking for InnoDB's files in {}", directory.display());
    for entry in fs::read_dir(directory).with_context(doing)? {
        let entry = entry.with_context(doing)?;
        let kind = entry.file_type().with_context(doing)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if kind.is_dir() && name != "#innodb_temp" {
            innodb_files(&entry.path(), files)?;
        } else if kind.is_file() {
            let extension = Path::new(&*name).extension().and_then(|extension| extension.to_str());
            // undo001 of MariaDB, undo_001 of MySQL.
            let undo = name.strip_prefix("undo").map(|rest| rest.trim_start_matches('_'));
            let undo = undo.is_some_and(|rest| rest.parse::<u16>().is_ok());
            if matches!(extension, Some("ibd" | "ibu")) || undo {
                files.push(entry.path());
            }
        }
    }
    files.sort_unstable();
    Ok(())
}
