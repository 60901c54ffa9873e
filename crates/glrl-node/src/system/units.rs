//! systemd units as a probe sees them.

/// A unit that has a unit file (systemctl(1)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The `ActiveState`.
    pub active: Active,
    /// The `UnitFileState`.
    pub enablement: Enablement,
    /// Whether it has done its work once it has run, and runs no longer: `Type=oneshot` without `RemainAfterExit`.
    pub ends: bool,
}

/// `ActiveState` of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Active {
    /// Running, or done and remaining.
    Active,
    /// Not running.
    Inactive,
    /// Ended badly.
    Failed,
    /// On the way up or down (`activating`, `deactivating`, `reloading`).
    Changing,
}

/// `UnitFileState` of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enablement {
    /// Started at boot.
    Enabled,
    /// Not started at boot.
    Disabled,
    /// Cannot be started by anything.
    Masked,
    /// Its unit file was removed while it ran: it can be stopped, and never started again.
    Gone,
    /// `static`, `indirect`, `generated`, `alias`, `transient`: enabling means nothing for it.
    Fixed,
}
