//! Engines by where they keep rows.

/// Engines whose rows lie in the server's directories, or that have none.
const HERE: [&str; 16] = [
    "InnoDB",
    "MyISAM",
    "Aria",
    "CSV",
    "ARCHIVE",
    "MRG_MyISAM",
    "MERGE",
    "BLACKHOLE",
    "SEQUENCE",
    "partition",
    "binlog",
    "ROCKSDB",
    "TokuDB",
    "Mroonga",
    "OQGRAPH",
    "PERFORMANCE_SCHEMA",
];

/// Engines whose rows are on another server.
const REMOTE: [&str; 6] = ["FEDERATED", "FEDERATEDX", "SPIDER", "S3", "SPHINX", "ndbcluster"];

/// Says where the rows of an engine's tables are, if not in the server's files.
pub(crate) fn elsewhere(engine: &str) -> Option<&'static str> {
    if HERE.iter().any(|name| name.eq_ignore_ascii_case(engine)) {
        None
    } else if is_memory(engine) {
        Some("rows are in memory, and in no backup")
    } else if is_remote(engine) {
        Some("rows are on another server, and not in this backup")
    } else if engine.eq_ignore_ascii_case("CONNECT") {
        Some("rows may be in files and on servers of their own, which are not looked for")
    } else {
        Some("where this engine keeps its rows is not known, so nobody can say that they are in the backup")
    }
}

/// Whether an engine keeps rows on another server, which nobody but the real one may ask.
pub(crate) fn is_remote(engine: &str) -> bool {
    REMOTE.iter().any(|name| name.eq_ignore_ascii_case(engine))
}

/// Whether an engine keeps rows in memory alone.
pub(crate) fn is_memory(engine: &str) -> bool {
    ["MEMORY", "HEAP"].iter().any(|name| name.eq_ignore_ascii_case(engine))
}
