//! The image: a node's root file system, its kernel and initrd, and the key that opens it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    cache::{self, Cache, say},
    host,
    mirror::Mirror,
};

/// The Debian release that nodes run.
const SUITE: &str = "bookworm";

/// All that the image is made from, beside the packages: the folder `lab/image`.
const RECIPE: &[(&str, &str)] = &[
    ("build.sh", include_str!("../image/build.sh")),
    ("customize.sh", include_str!("../image/customize.sh")),
    ("base-packages.txt", include_str!("../image/base-packages.txt")),
    ("node-packages.txt", include_str!("../image/node-packages.txt")),
    ("lab-node", include_str!("../image/lab-node")),
    ("lab-probe", include_str!("../image/lab-probe")),
];

/// An image in the cache. Never written to once it is there.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    folder: PathBuf,
    key: String,
}

impl Image {
    /// The image, built where the cache has none.
    pub(crate) fn get(cache: &Cache) -> Result<Self> {
        let parts = RECIPE.iter().flat_map(|(name, text)| [*name, *text]);
        let key = cache::key([SUITE].into_iter().chain(parts));
        let folder = cache.entry(&format!("image-{key}"), build)?;
        Ok(Self { folder, key })
    }

    /// Changes when the recipe changes.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The root file system: ext4 without a partition table, raw.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("root.raw")
    }

    pub(crate) fn kernel(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    pub(crate) fn initrd(&self) -> PathBuf {
        self.folder.join("initrd")
    }

    /// The private key that root's `authorized_keys` names, made with the image.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.folder.join("id_ed25519")
    }

    /// What ssh knows every node by: the host key under [`crate::ssh::HOST_ALIAS`].
    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.folder.join("known_hosts")
    }
}

fn build(folder: &Path) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "building the node image needs root (it holds files of many owners): run the lab as root, for example by sudo"
        );
    }
    say("building the node image (once, a minute or two)");
    let started = Instant::now();
    let mirror = Mirror::of_host(SUITE)?;
    for (name, text) in RECIPE {
        fs::write(folder.join(name), text)?;
    }
    let log = folder.join("build.log");
    let arguments = ["build.sh", SUITE].into_iter().map(String::from).chain(mirror.sources);
    let handle = duct::cmd("sh", arguments)
        .dir(folder)
        .env("PATH", host::search_path())
        .env("APT_OPTIONS", mirror.options.join("\n"))
        .stdin_null()
        // The outer redirection is made first: standard error goes where standard output does.
        .stderr_to_stdout()
        .stdout_file(File::create(&log)?)
        .unchecked()
        .start()?;
    let Some(output) = handle.wait_timeout(Duration::from_mins(30))? else {
        handle.kill()?;
        bail!("building the image took over half an hour: see {}", log.display());
    };
    if !output.status.success() {
        bail!(
            "building the image failed; the whole log is {}:\n{}",
            log.display(),
            host::tail(&fs::read(&log)?)
        );
    }
    let host_key = fs::read_to_string(folder.join("host_key.pub")).context("reading the host key")?;
    fs::write(
        folder.join("known_hosts"),
        format!("{} {host_key}", crate::ssh::HOST_ALIAS),
    )?;
    say(&format!("image built in {} s", started.elapsed().as_secs()));
    Ok(())
}
