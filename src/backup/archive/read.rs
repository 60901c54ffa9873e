//! Reading a backup's archive once, to its end: its own hashes, those of every file in it, and the files themselves where they are wanted.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;

use super::{
    CHUNK, Owner,
    ahead::ahead,
    unpack::{Found, unpack},
};
use crate::backup::{
    error::{Kind, OfKind, Result},
    files::List,
    hash::{Digests, Hashing},
    interrupt::Interrupt,
    step::{Report, Step},
};

/// How often progress is told.
const TELL: Duration = Duration::from_millis(500);

/// Reads the archive of the files in this list, `total` bytes of what was mounted at `mount_point`. Below `into`, an existing empty directory, its files are unpacked.
pub(in crate::backup) fn read(
    archive: File,
    total: u64,
    mount_point: &Path,
    list: &List,
    into: Option<(&Path, Owner)>,
    interrupt: &Interrupt,
    report: &mut Report<'_>,
) -> Result<(Digests, Found)> {
    let mut raw = Hashing::new(BufReader::with_capacity(CHUNK, archive));
    let began = Instant::now();
    let found = {
        let decoder = zstd::Decoder::new(&mut raw).context("starting zstd")?;
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
        ahead(decoder, |from| unpack(from, list, into, mount_point, &mut progress))?
    };
    // To the end, whatever was found: the hash says whether the archive has changed, the rest says where.
    let mut buffer = vec![0; CHUNK];
    loop {
        interrupt.check()?;
        let read = raw
            .read(&mut buffer)
            .context("reading the archive")
            .of_kind(Kind::Target)?;
        if read == 0 {
            return Ok((raw.finish().1, found));
        }
    }
}
