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
    release::{Part, Release},
};

/// What all images are made from, beside the packages: the folder `lab/image`, without what is a release's own.
const RECIPE: &[Part] = &[
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
    pub(crate) fn get(cache: &Cache, release: Release) -> Result<Self> {
        let key = key(release);
        let folder = cache.entry(&format!("image-{key}"), |folder| build(folder, release))?;
        Ok(Self { folder, key })
    }

    /// Returns why the image can neither be found nor be built here; `None` where it can.
    pub(crate) fn unavailable(cache: &Cache, release: Release) -> Result<Option<String>> {
        if cache.path(&format!("image-{}", key(release))).is_dir() {
            return Ok(None);
        }
        Mirror::of_host(release)?.unreachable(release)
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

fn recipe(release: Release) -> impl Iterator<Item = Part> {
    RECIPE.iter().copied().chain(release.packages())
}

fn key(release: Release) -> String {
    let parts = recipe(release).flat_map(|(name, text)| [name, text]);
    cache::key([release.suite()].into_iter().chain(parts))
}

fn build(folder: &Path, release: Release) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "building the node image needs root (it holds files of many owners): run the lab as root, for example by sudo"
        );
    }
    let suite = release.suite();
    say(&format!("building the node image of {suite} (once, a minute or two)"));
    let started = Instant::now();
    let mirror = Mirror::of_host(release)?;
    for (name, text) in recipe(release) {
        fs::write(folder.join(name), text)?;
    }
    let log = folder.join("build.log");
    let arguments = ["build.sh", suite].into_iter().map(String::from).chain(mirror.sources);
    let handle = duct::cmd("sh", arguments)
        .dir(folder)
        .env("PATH", host::search_path())
        .env("APT_OPTIONS", mirror.options.join("\n"))
        .env("KEYRING_FROM", mirror.keyring_from.unwrap_or_default())
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
