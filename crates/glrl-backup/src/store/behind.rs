//! A thread that writes what another thread hands over, so that neither waits for the other.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    thread,
};

use anyhow::{Context, Result as Anyhow};

use crate::model::error::{Error, Kind, Result};

/// Bytes that are handed over at a time.
pub(crate) const CHUNK: usize = 1 << 20;
/// Chunks that wait to be written.
pub(crate) const DEPTH: usize = 4;

enum Next {
    Bytes(Vec<u8>),
    /// There is no more.
    Whole,
}

/// The end of the queue that is filled.
pub(crate) struct Behind {
    next: SyncSender<Next>,
    /// Where chunks come back from.
    empty: Receiver<Vec<u8>>,
    chunk: Vec<u8>,
    bytes: u64,
}

/// The end of the queue that is written out.
pub(crate) struct Coming {
    next: Receiver<Next>,
    emptied: Sender<Vec<u8>>,
}

/// Runs `fill` here and `write` on a thread of this name, and returns what both return. When `fill` returns without an error, what
/// it has written is whole.
///
/// # Errors
///
/// Those of `write`, of kind [`Kind::Target`], come before those of `fill`, which cannot write then.
pub(crate) fn behind<T, W: Send>(
    name: &str,
    write: impl FnOnce(&Coming) -> Anyhow<W> + Send,
    fill: impl FnOnce(&mut Behind) -> Result<T>,
) -> Result<(T, W)> {
    thread::scope(|scope| {
        let (next, coming) = sync_channel(DEPTH);
        let (emptied, empty) = channel();
        let coming = Coming { next: coming, emptied };
        let writer = thread::Builder::new()
            .name(name.to_owned())
            .spawn_scoped(scope, move || write(&coming))
            .context("starting a thread")?;
        let mut behind = Behind {
            next,
            empty,
            chunk: Vec::with_capacity(CHUNK),
            bytes: 0,
        };
        let filled = fill(&mut behind).and_then(|value| {
            behind.end().context("writing")?;
            Ok(value)
        });
        drop(behind);
        let written = writer
            .join()
            .map_err(|_| Error::new(Kind::Failed, format!("the thread {name} panicked")))?
            .map_err(|error| Error::from(error).of_kind(Kind::Target))?;
        Ok((filled?, written))
    })
}

impl Behind {
    /// How many bytes were written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let empty = self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(CHUNK));
        let chunk = std::mem::replace(&mut self.chunk, empty);
        self.next.send(Next::Bytes(chunk)).map_err(gone)
    }

    fn end(&mut self) -> io::Result<()> {
        self.flush()?;
        self.next.send(Next::Whole).map_err(gone)
    }
}

/// The thread has ended, and says why itself.
fn gone<T>(_: T) -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl Write for Behind {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let now = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..now]);
        self.bytes += now as u64;
        if self.chunk.len() == CHUNK {
            self.hand_over()?;
        }
        Ok(now)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        self.hand_over()
    }
}

impl Coming {
    /// Writes all that comes. Returns whether it is whole; where the rest does not come, what was written is worth nothing.
    pub(crate) fn write_to(&self, to: &mut impl Write) -> io::Result<bool> {
        while let Ok(next) = self.next.recv() {
            match next {
                Next::Bytes(mut chunk) => {
                    to.write_all(&chunk)?;
                    chunk.clear();
                    let _ = self.emptied.send(chunk);
                }
                Next::Whole => return Ok(true),
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_written_in_order() {
        let bytes: Vec<u8> = (0..2_500_000_u32).flat_map(u32::to_le_bytes).collect();
        let (count, (whole, written)) = behind(
            "test",
            |coming| {
                let mut written = Vec::new();
                Ok((coming.write_to(&mut written)?, written))
            },
            |to| {
                to.write_all(&bytes).context("writing")?;
                Ok(to.bytes())
            },
        )
        .unwrap();
        assert!(whole && written == bytes);
        assert_eq!(count, bytes.len() as u64);
    }

    #[test]
    fn an_error_of_who_writes_comes_first() {
        let chunk = vec![7; CHUNK];
        let error = behind::<(), bool>(
            "test",
            |coming| Ok(coming.write_to(&mut [0; 10].as_mut_slice())?),
            |to| {
                loop {
                    to.write_all(&chunk).context("filling")?;
                }
            },
        )
        .unwrap_err();
        assert_eq!(
            (error.kind, format!("{error:#}").as_str()),
            (Kind::Target, "failed to write whole buffer")
        );
    }

    #[test]
    fn what_was_not_filled_is_not_whole() {
        let mut whole = None;
        let error = behind::<(), ()>(
            "test",
            |coming| {
                whole = Some(coming.write_to(&mut io::sink())?);
                Ok(())
            },
            |to| {
                to.write_all(b"abc").context("filling")?;
                Err(Error::new(Kind::Snapshot, "it is full"))
            },
        )
        .unwrap_err();
        assert_eq!((error.kind, whole), (Kind::Snapshot, Some(false)));
    }
}
