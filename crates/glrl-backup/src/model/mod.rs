//! What is written and said: ids, the manifest, verdicts, steps, errors. Data, and what can be told from them alone.

pub(crate) mod binlog;
pub(crate) mod digests;
pub(crate) mod encryption;
pub(crate) mod error;
pub(crate) mod gtid;
pub(crate) mod heartbeat;
pub(crate) mod id;
pub(crate) mod interrupt;
pub(crate) mod inventory;
pub(crate) mod judged;
pub(crate) mod layout;
pub(crate) mod machine;
pub(crate) mod maker;
pub(crate) mod manifest;
pub(crate) mod milliseconds;
pub(crate) mod notice;
pub(crate) mod owner;
pub(crate) mod program;
pub(crate) mod recipient;
pub(crate) mod server;
pub(crate) mod step;
pub(crate) mod verdict;
