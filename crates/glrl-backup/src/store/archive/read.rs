//! Reading a backup's archive once, to its end: its own hashes, those of every file in it, and the files themselves where they are wanted.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;

use crate::{
    model::{
        digests::Digests,
        error::{Kind, OfKind, Result},
        interrupt::Interrupt,
        step::{Report, Step},
    },
    store::{
        archive::{
            CHUNK,
            ahead::{Ahead, ahead},
            attributes::Owners,
            unpack::{Found, unpack},
        },
        encryption::{key::Key, stream::unseal},
        files::List,
        hash::Hashing,
    },
};

/// How often progress is told.
const TELL: Duration = Duration::from_millis(500);

/// Reads the archive of the files in this list, `total` bytes of what was mounted at `mount_point`, encrypted if there is a key.
/// Below `into`, an existing empty directory, its files are unpacked.
pub(crate) fn read(
    (archive, key): (File, Option<&Key>),
    total: u64,
    mount_point: &Path,
    list: &List,
    into: Option<(&Path, Owners)>,
    interrupt: &Interrupt,
    report: &mut Report<'_>,
) -> Result<(Digests, Found)> {
    let mut raw = Hashing::new(BufReader::with_capacity(CHUNK, archive));
    let began = Instant::now();
    let found = {
        let mut told = Instant::now();
        let mut progress = |files, bytes| {
            interrupt.check()?;
            if told.elapsed() >= TELL {
                told = Instant::now();
                report(Step::Copying {
                    files,
                    bytes,
                    total: Some(total),
                    archived: 0,
                    elapsed: began.elapsed(),
                });
            }
            Ok(())
        };
        let work = |from| unpack(from, list, into, mount_point, &mut progress);
        match unseal(&mut raw, key) {
            // Hashing the archive, and decrypting it, takes about as long as decompressing.
            Ok(from) => ahead(from, |from| decompressed(from, work))?,
            Err(error) => Found::nothing(format!("the archive cannot be decrypted: {error}")),
        }
    };
    // To the end, whatever was found: the hash says whether the archive has changed, the rest says where.
    drain(raw, interrupt).map(|digests| (digests, found))
}

/// Works on what this is decompressed.
fn decompressed<T>(from: impl Read + Send, work: impl FnOnce(Ahead) -> Result<T>) -> Result<T> {
    let decoder = zstd::Decoder::new(from).context("starting zstd")?;
    ahead(decoder, work)
}

/// The hashes of the archive, whatever is in it.
pub(crate) fn hash(archive: File, interrupt: &Interrupt) -> Result<Digests> {
    drain(Hashing::new(BufReader::with_capacity(CHUNK, archive)), interrupt)
}

fn drain(mut raw: Hashing<impl Read>, interrupt: &Interrupt) -> Result<Digests> {
    let mut buffer = vec![0; CHUNK];
    loop {
        interrupt.check()?;
        let read = raw
            .read(&mut buffer)
            .context("reading the archive")
            .of_kind(Kind::Target)?;
        if read == 0 {
            return Ok(raw.finish().1);
        }
    }
}
