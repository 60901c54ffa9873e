//! Decompressing on a thread of its own, ahead of what unpacks: each takes about as long as the other.

use std::{
    io::{self, Read},
    sync::mpsc::{Receiver, Sender, channel, sync_channel},
    thread,
};

use crate::store::archive::CHUNK;

/// Chunks that wait to be read.
const DEPTH: usize = 4;

/// What another thread has read.
pub(crate) struct Ahead {
    chunks: Receiver<io::Result<Vec<u8>>>,
    /// Where chunks go back to, to be filled again.
    empty: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
}

/// Works on what is read from `from`, which another thread does. It has ended when this returns; how far it got beyond what the work has
/// read is not known.
pub(crate) fn ahead<T>(mut from: impl Read + Send, work: impl FnOnce(Ahead) -> T) -> T {
    thread::scope(|scope| {
        let (full, chunks) = sync_channel(DEPTH);
        let (empty, emptied) = channel::<Vec<u8>>();
        scope.spawn(move || {
            loop {
                let mut chunk = emptied.try_recv().unwrap_or_default();
                chunk.clear();
                let ended = (&mut from).take(CHUNK as u64).read_to_end(&mut chunk);
                // What was read before an error comes before it.
                let last = chunk.is_empty() || ended.is_err();
                let gone = !chunk.is_empty() && full.send(Ok(chunk)).is_err();
                if let Err(error) = ended {
                    let _ = full.send(Err(error));
                }
                // Nobody listens any more, or there is no more to be said.
                if gone || last {
                    return;
                }
            }
        });
        work(Ahead {
            chunks,
            empty,
            chunk: Vec::new(),
            at: 0,
        })
    })
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() {
            let Ok(next) = self.chunks.recv() else { return Ok(0) };
            let old = std::mem::replace(&mut self.chunk, next?);
            self.at = 0;
            let _ = self.empty.send(old);
        }
        let read = (&self.chunk[self.at..]).read(buffer)?;
        self.at += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that end in an error.
    struct Broken(usize);

    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("broken"));
            }
            let now = self.0.min(buffer.len()).min(1000);
            buffer[..now].fill(7);
            self.0 -= now;
            Ok(now)
        }
    }

    #[test]
    fn all_is_read_in_order() {
        let bytes: Vec<u8> = (0..2_500_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut read = Vec::new();
        ahead(bytes.as_slice(), |mut from| from.read_to_end(&mut read)).unwrap();
        assert!(read == bytes);
    }

    #[test]
    fn an_error_comes_after_what_was_read_before_it() {
        let mut read = Vec::new();
        let error = ahead(Broken(CHUNK + 5000), |mut from| from.read_to_end(&mut read)).unwrap_err();
        assert_eq!((read.len(), error.to_string()), (CHUNK + 5000, "broken".to_owned()));
    }

    #[test]
    fn work_may_end_early() {
        assert_eq!(ahead(io::repeat(1), |mut from| from.read(&mut [0; 10]).unwrap()), 10);
    }
}
