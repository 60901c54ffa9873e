//! Packages as a probe sees them.

/// An installed package (dpkg-query(1)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The version, as dpkg writes it.
    pub version: String,
    /// Whether it is on hold (apt-mark(8)).
    pub hold: bool,
    /// False when unpacking or configuring was interrupted: `dpkg --configure` has yet to finish it.
    pub configured: bool,
}
