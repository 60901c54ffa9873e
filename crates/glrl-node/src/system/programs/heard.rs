//! What a program says, while it runs. Its own end is the end of it: whatever it has started in the background may hold the pipe for
//! as long as it likes.

use std::{
    fs::File,
    io::{self, ErrorKind, PipeReader, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt,
    },
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::memfd::{MFdFlags, memfd_create},
};

/// Of more than this the middle is forgotten.
const LONGEST: usize = 64 << 20;
const KEPT_AT_FIRST: usize = 1 << 20;
/// How often it is looked whether the program has ended, while something else holds the pipe.
const PAUSE_MS: u16 = 50;
/// The reader has nothing to wait for but its turn.
const UNTIL_READ: Duration = Duration::from_secs(30);

/// What a program writes to.
#[derive(Debug)]
pub(super) enum Heard {
    /// A pipe, read by a thread of its own.
    Pipe {
        shared: Arc<Shared>,
        /// Says when all is read; gone once it has.
        read: Mutex<Option<Receiver<()>>>,
    },
    /// A file in memory, which is there for the program when nobody else is.
    Memory(File),
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    text: Mutex<Vec<u8>>,
    /// Whether the program has ended: what is not in the pipe by now it has not said.
    ended: AtomicBool,
}

impl Heard {
    /// A pipe, and the end for the program.
    pub(super) fn pipe() -> io::Result<(Self, OwnedFd)> {
        let (reader, writer) = io::pipe()?;
        fcntl(reader.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let shared = Arc::new(Shared::default());
        let (all, read) = mpsc::channel();
        thread::Builder::new().name("output".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.listen(reader, &all)
        })?;
        let read = Mutex::new(Some(read));
        Ok((Self::Pipe { shared, read }, writer.into()))
    }

    /// A file in memory, for both ends.
    pub(super) fn memory() -> io::Result<(Self, OwnedFd)> {
        let file = File::from(memfd_create("glrl: output", MFdFlags::MFD_CLOEXEC)?);
        let said = file.try_clone()?;
        Ok((Self::Memory(file), said.into()))
    }

    /// All that the program has said, once it has ended.
    pub(super) fn all(&self) -> Vec<u8> {
        let (shared, read) = match self {
            Self::Pipe { shared, read } => (shared, read),
            Self::Memory(file) => return from_the_start(file),
        };
        shared.ended.store(true, Ordering::Release);
        if let Some(read) = read.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The pipe's end ends the reader, and its sender with it.
            let _ = read.recv_timeout(UNTIL_READ);
        }
        shared.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A file's contents, whose place is the writer's.
fn from_the_start(file: &File) -> Vec<u8> {
    let length = file.metadata().map_or(0, |about| about.len()).min(LONGEST as u64);
    let mut text = vec![0; usize::try_from(length).unwrap_or(LONGEST)];
    match file.read_exact_at(&mut text, 0) {
        Ok(()) => text,
        Err(_) => Vec::new(),
    }
}

impl Shared {
    /// Reads to the end of the pipe. What is said after the program's end is read too, so that nothing in the background dies of a broken
    /// pipe, and is not kept.
    fn listen(&self, mut pipe: PipeReader, all: &Sender<()>) {
        let mut buffer = vec![0; 64 << 10];
        let mut is_over = false;
        loop {
            // Looked at before the pipe is: what is in it then, and no more, may be the program's.
            let ended = self.ended.load(Ordering::Acquire);
            match pipe.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) if !is_over => self.keep(&buffer[..length]),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if ended && !std::mem::replace(&mut is_over, true) {
                        let _ = all.send(());
                    }
                    let time = if is_over { PollTimeout::NONE } else { PAUSE_MS.into() };
                    let _ = poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], time);
                }
                Err(_) => return,
            }
        }
    }

    fn keep(&self, said: &[u8]) {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        if text.len() + said.len() > LONGEST {
            let middle = text.len() / 2;
            text.drain(KEPT_AT_FIRST..middle);
        }
        text.extend_from_slice(said);
    }
}
