//! Writing the archive.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use anyhow::{Context, Result as Anyhow, bail};
use tar::{Builder, EntryType, Header};

use crate::{
    model::{
        digests::Digests,
        error::{Error, Kind, Result},
        interrupt::Interrupt,
        recipient::Recipient,
    },
    settings::ArchiveSettings,
    store::{
        archive::{BLOCK, attributes, extents},
        behind::{Behind, behind},
        encryption::stream::seal,
        files::Entry,
        hash::Hashing,
    },
};

/// Bytes of a file that are read at a time: still in the processor's cache when they are hashed and compressed.
const PIECE: usize = 256 << 10;

/// What was written.
pub(crate) struct Packed {
    /// The archive's own length and hashes.
    pub(crate) digests: Digests,
    /// Its regular files, sorted by path.
    pub(crate) files: Vec<Entry>,
    /// Bytes of their contents, without holes.
    pub(crate) stored: u64,
    /// What was left out.
    pub(crate) left_out: Vec<String>,
    /// What has setuid or setgid bits, or capabilities, which were left out.
    pub(crate) without: Vec<String>,
}

/// What is told after each chunk: files, their bytes, the archive's bytes. An error from it ends the packing.
type Progress<'a> = dyn FnMut(u64, u64, u64) -> Result<()> + 'a;

/// Archives everything below `root`, but not what `left_out` says (paths relative to it), for these recipients alone, if there are any.
/// What zstd has made is encrypted, hashed and written on a thread of its own.
pub(crate) fn pack(
    root: &Path,
    left_out: impl Fn(&Path) -> bool,
    to: impl Write + Send,
    settings: &ArchiveSettings,
    recipients: &[Recipient],
    interrupt: &Interrupt,
    progress: &mut Progress<'_>,
) -> Result<Packed> {
    let (packed, digests) = behind(
        "glrl-archive",
        |coming| {
            let doing = "writing the archive";
            let mut to = seal(Hashing::new(to), recipients).context(doing)?;
            coming.write_to(&mut to).context(doing)?;
            Ok(to.finish().context(doing)?.finish().1)
        },
        |to| {
            let mut packer = Packer {
                builder: Builder::new(compressor(to, settings).context("starting zstd")?),
                files: Vec::new(),
                bytes: 0,
                left_out: Vec::new(),
                without: Vec::new(),
                buffer: vec![0; PIECE],
                interrupt,
                progress,
            };
            packer.directory(root, Path::new(""), &left_out)?;
            packer
                .builder
                .into_inner()
                .and_then(zstd::Encoder::finish)
                .context("ending the archive")?;
            Ok((packer.files, packer.bytes, packer.left_out, packer.without))
        },
    )?;
    let (files, stored, left_out, without) = packed;
    Ok(Packed {
        digests,
        files,
        stored,
        left_out,
        without,
    })
}

/// Returns what compresses on so many threads as the settings say, on each core if they say nothing.
fn compressor<W: Write>(to: W, settings: &ArchiveSettings) -> io::Result<zstd::Encoder<'static, W>> {
    let mut encoder = zstd::Encoder::new(to, settings.level)?;
    encoder.include_checksum(true)?;
    let cores = || std::thread::available_parallelism().ok()?.get().try_into().ok();
    encoder.multithread(settings.threads.or_else(cores).unwrap_or(1))?;
    Ok(encoder)
}

struct Packer<'a> {
    builder: Builder<zstd::Encoder<'static, &'a mut Behind>>,
    files: Vec<Entry>,
    bytes: u64,
    left_out: Vec<String>,
    without: Vec<String>,
    buffer: Vec<u8>,
    interrupt: &'a Interrupt,
    progress: &'a mut Progress<'a>,
}

impl Packer<'_> {
    /// A directory and all below it, sorted by name.
    fn directory(&mut self, path: &Path, name: &Path, left_out: &impl Fn(&Path) -> bool) -> Result<()> {
        let doing = || format!("archiving {}", path.display());
        let meta = fs::symlink_metadata(path).with_context(doing)?;
        let mut header = header(&meta, EntryType::Directory);
        let own_name = if name.as_os_str().is_empty() {
            Path::new(".")
        } else {
            name
        };
        self.attributes(path, own_name, &meta).with_context(doing)?;
        self.builder
            .append_data(&mut header, own_name.join(""), io::empty())
            .with_context(doing)?;
        let mut names: Vec<_> = fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>())
            .with_context(doing)?;
        names.sort_unstable();
        for child in names {
            self.interrupt.check()?;
            let (path, name) = (path.join(&child), name.join(&child));
            let doing = || format!("archiving {}", path.display());
            if left_out(&name) {
                self.left_out.push(text(&name)?);
                continue;
            }
            let kind = fs::symlink_metadata(&path).with_context(doing)?;
            if kind.is_dir() {
                self.directory(&path, &name, left_out)?;
            } else if kind.is_file() {
                self.file(&path, &name).map_err(|error| error.context(doing()))?;
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).with_context(doing)?;
                let mut header = crate::store::archive::pack::header(&kind, EntryType::Symlink);
                self.builder
                    .append_link(&mut header, &name, target)
                    .with_context(doing)?;
            } else if kind.file_type().is_socket() || kind.file_type().is_fifo() {
                self.left_out.push(text(&name)?);
            } else {
                bail(format!(
                    "{} is a device: what does it do among the database's files?",
                    path.display()
                ))?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: &Path) -> Result<()> {
        let mut file = File::options()
            .read(true)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(path)
            .context("opening")?;
        let meta = file.metadata().context("opening")?;
        let size = meta.size();
        let extents = extents::of(&file).context("looking for holes")?;
        let mut header = header(&meta, EntryType::Regular);
        header.set_size(size);
        let more = match &extents {
            None => Vec::new(),
            Some(extents) => extents::describe(&mut header, extents, size).context("describing the holes")?,
        };
        self.attributes(path, name, &meta).context("reading its attributes")?;
        // The header alone: tar copies in pieces of 8 KiB, and the hash must see what the archive gets.
        self.builder
            .append_data(&mut header, name, io::empty())
            .context("writing its header")?;
        for block in more {
            self.builder
                .get_mut()
                .write_all(block.as_bytes())
                .context("writing its header")?;
        }
        let mut hash = blake3::Hasher::new();
        let mut stored = 0;
        let mut at = 0;
        for extent in extents.unwrap_or_else(|| {
            vec![extents::Extent {
                offset: 0,
                length: size,
            }]
        }) {
            zeros(&mut hash, extent.offset - at);
            file.seek(SeekFrom::Start(extent.offset)).context("seeking")?;
            self.data(&mut file, extent.length, &mut hash)?;
            stored += extent.length;
            at = extent.offset + extent.length;
        }
        zeros(&mut hash, size - at);
        let padding = stored.next_multiple_of(BLOCK) - stored;
        io::copy(&mut io::repeat(0).take(padding), self.builder.get_mut()).context("writing")?;
        self.files.push(Entry {
            path: text(name)?,
            size,
            blake3: hash.finalize().to_string(),
        });
        self.tell()
    }

    /// Writes what a file has beside its contents, before its header.
    fn attributes(&mut self, path: &Path, name: &Path, meta: &fs::Metadata) -> Anyhow<()> {
        let (records, capable) = attributes::read(path)?;
        if capable || meta.mode() & 0o6000 != 0 {
            self.without.push(text(name)?);
        }
        let records = records.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        Ok(self.builder.append_pax_extensions(records)?)
    }

    fn data(&mut self, file: &mut File, length: u64, hash: &mut blake3::Hasher) -> Result<()> {
        let mut left = length;
        while left > 0 {
            self.interrupt.check()?;
            let want = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let read = file.read(&mut self.buffer[..want]).context("reading")?;
            if read == 0 {
                bail("it became shorter while it was read".to_owned())?;
            }
            hash.update(&self.buffer[..read]);
            self.builder
                .get_mut()
                .write_all(&self.buffer[..read])
                .context("writing")?;
            left -= read as u64;
            self.bytes += read as u64;
            self.tell()?;
        }
        Ok(())
    }

    fn tell(&mut self) -> Result<()> {
        let archived = self.builder.get_ref().get_ref().bytes();
        (self.progress)(self.files.len() as u64, self.bytes, archived)
    }
}

fn bail(message: String) -> Result<()> {
    Err(Error::new(Kind::Failed, message))
}

/// A header with the file's numbers: mode, owner, time; no names of owners, which mean something else on another node. No bits that run
/// a program as somebody else, which some set on directories to have the group passed on: no server needs them, and who unpacks refuses them.
fn header(meta: &fs::Metadata, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(meta.mode() & 0o1777);
    header.set_uid(meta.uid().into());
    header.set_gid(meta.gid().into());
    header.set_mtime(u64::try_from(meta.mtime()).unwrap_or(0));
    header
}

/// Hashes so many zeros.
fn zeros(hash: &mut blake3::Hasher, mut count: u64) {
    const ZEROS: &[u8] = &[0; 64 << 10];
    while count > 0 {
        let now = usize::try_from(count).unwrap_or(ZEROS.len()).min(ZEROS.len());
        hash.update(&ZEROS[..now]);
        count -= now as u64;
    }
}

fn text(path: &Path) -> Anyhow<String> {
    match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => bail!(
            "{} is not UTF-8, which no server's file is: move it away",
            path.display()
        ),
    }
}
