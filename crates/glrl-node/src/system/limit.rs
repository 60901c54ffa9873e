//! How long each program of a resource may take, where its role says so (`timeout`).

use std::{cell::Cell, time::Duration};

thread_local! {
    static LIMIT: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Does something for a resource. Each program that it runs in this thread may take so long; as long as it says itself where the role
/// says nothing.
pub fn within<T>(limit: Option<Duration>, work: impl FnOnce() -> T) -> T {
    struct Before(Option<Duration>);
    impl Drop for Before {
        fn drop(&mut self) {
            LIMIT.set(self.0);
        }
    }
    let _before = Before(LIMIT.replace(limit));
    work()
}

/// What the role says, or else this.
pub(super) fn or(own: Duration) -> Duration {
    LIMIT.get().unwrap_or(own)
}
