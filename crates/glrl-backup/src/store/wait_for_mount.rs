//! The wait for a target that is to be mounted and is not yet: after a boot its server may still be on its way up, and the run of the night
//! would be lost.

use std::time::{Duration, Instant};

use glrl_node::{
    system::programs::Program,
    value::{AbsPath, text::duration},
};

use crate::{
    model::{
        error::{Error, Kind, Result},
        interrupt::Interrupt,
        step::{Report, Step},
    },
    settings::TargetSettings,
    volume::mounts,
};

/// How long to rest between two looks, or two tries.
const REST: Duration = Duration::from_secs(2);
/// How long a try may take at a server that is down; the kernel alone would wait for minutes.
const TRY: Duration = Duration::from_secs(30);
/// How long an answer of this node itself may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Waits until what must be mounted is, for `target.wait` and one try more. Where this node declares it, in fstab or as a unit of
/// systemd, it is mounted. What nobody declares will not come: then nothing is waited for, and whoever needs it says what is missing.
pub(crate) fn wait_for_mount(settings: &TargetSettings, interrupt: &Interrupt, report: &mut Report<'_>) -> Result<()> {
    let Some(path) = settings.required_mount().filter(|_| !settings.wait.is_zero()) else {
        return Ok(());
    };
    if mounts::is_mounted(path)? {
        return Ok(());
    }
    let Some(declared) = Declared::find(path) else {
        return Ok(());
    };
    let began = Instant::now();
    report(Step::Waiting {
        path: path.to_path_buf(),
        source: declared.source.clone(),
        at_most: settings.wait,
    });
    loop {
        let error = match &declared.mount {
            Some(mount) => attempt(mount, interrupt)?.err(),
            None => None,
        };
        if mounts::is_mounted(path)? {
            report(Step::Mounted {
                path: path.to_path_buf(),
                took: began.elapsed(),
            });
            return Ok(());
        }
        let left = settings.wait.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Err(Error::new(Kind::Target, declared.missing(path, settings.wait, error)));
        }
        interrupt.pause(REST.min(left))?;
    }
}

/// Who says that something is to be mounted at a path.
struct Declared {
    /// What, or where that is said.
    source: String,
    /// The program that mounts it; none where somebody else is to do it.
    mount: Option<Program>,
}

impl Declared {
    fn find(path: &AbsPath) -> Option<Self> {
        Self::in_fstab(path).or_else(|| Self::as_unit(path))
    }

    fn in_fstab(path: &AbsPath) -> Option<Self> {
        let output = Program::new("findmnt")
            .args(["--fstab", "--noheadings", "--raw", "--output", "SOURCE,FSTYPE,OPTIONS"])
            .args(["--mountpoint", path.as_str()])
            .timeout(ANSWER)
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let mut fields = text.lines().next()?.split(' ');
        let (source, fs_type, options) = (fields.next()?, fields.next()?, fields.next().unwrap_or_default());
        let by_hand = options.split(',').any(|option| option == "noauto");
        // In the foreground, and once: the trying again is glrl's (nfs(5)).
        let once: &[&str] = if fs_type.starts_with("nfs") {
            &["-o", "fg,retry=0"]
        } else {
            &[]
        };
        let mount = Program::new("mount").args(once).args([path.as_str()]).timeout(TRY);
        Some(Self {
            source: source.to_owned(),
            mount: (!by_hand).then_some(mount),
        })
    }

    /// systemctl(1) takes a path for the name of its mount unit.
    fn as_unit(path: &AbsPath) -> Option<Self> {
        let systemctl = |verb: &[&str]| {
            Program::new("systemctl")
                .args(verb)
                .args(["--", path.as_str()])
                .timeout(ANSWER)
        };
        let state = systemctl(&["show", "--property=LoadState", "--value"]).stdout().ok()?;
        (state.trim_ascii() == b"loaded").then(|| Self {
            source: "a unit of systemd".to_owned(),
            mount: Some(systemctl(&["start", "--no-block"])),
        })
    }

    fn missing(&self, path: &AbsPath, wait: Duration, error: Option<anyhow::Error>) -> String {
        let within = duration(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        let why = match error {
            Some(error) => format!("{error:#}"),
            // Where fstab says nofail, mount(8) says nothing of a device that is missing.
            None => "is its device, or its server, there?".to_owned(),
        };
        format!(
            "{path} ({}) was not mounted within {within} (target.wait): {why}",
            self.source
        )
    }
}

/// One try to mount, which ends when the run is asked to end.
fn attempt(mount: &Program, interrupt: &Interrupt) -> Result<anyhow::Result<()>> {
    let look = Duration::from_millis(100);
    let began = Instant::now();
    let running = match mount.start() {
        Ok(running) => running,
        Err(error) => return Ok(Err(error)),
    };
    loop {
        interrupt.check()?;
        match running.wait(look) {
            Ok(Some(output)) if output.status.success() => return Ok(Ok(())),
            Ok(Some(output)) => return Ok(Err(mount.failed(&output))),
            Ok(None) if began.elapsed() < TRY => {}
            Ok(None) => return Ok(Err(anyhow::anyhow!("its server does not answer"))),
            Err(error) => return Ok(Err(error)),
        }
    }
}
