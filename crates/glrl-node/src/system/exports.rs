//! What the NFS server exports, as a probe sees it.

/// A line of `/var/lib/nfs/etab` (exportfs(8)): one directory, one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The directory.
    pub path: String,
    /// To whom: a host, a network, a netgroup, a pattern (exports(5)).
    pub client: String,
    /// The options in effect, defaults spelled out.
    pub options: Vec<String>,
}
