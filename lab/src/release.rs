//! The releases that nodes can run. What differs between them is here and in `image/*-SUITE.txt`.

/// A release of a distribution that a node runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// Debian 12, whose database is `MariaDB` 10.11.
    #[default]
    Bookworm,
    /// Ubuntu 24.04, whose database is `MySQL` 8.0, confined by `AppArmor`.
    Noble,
}

/// A file of an image's recipe: its name and its text.
pub(crate) type Part = (&'static str, &'static str);

impl Release {
    /// All of them, the default first.
    pub const ALL: [Self; 2] = [Self::Bookworm, Self::Noble];

    /// Its code name, by which archives name it.
    #[must_use]
    pub fn suite(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Noble => "noble",
        }
    }

    /// Its distribution, as archives name their origin.
    pub(crate) fn distribution(self) -> &'static str {
        match self {
            Self::Bookworm => "Debian",
            Self::Noble => "Ubuntu",
        }
    }

    /// The parts of the recipe that are its own.
    pub(crate) fn packages(self) -> [Part; 2] {
        match self {
            Self::Bookworm => [
                (
                    "base-packages-bookworm.txt",
                    include_str!("../image/base-packages-bookworm.txt"),
                ),
                (
                    "node-packages-bookworm.txt",
                    include_str!("../image/node-packages-bookworm.txt"),
                ),
            ],
            Self::Noble => [
                (
                    "base-packages-noble.txt",
                    include_str!("../image/base-packages-noble.txt"),
                ),
                (
                    "node-packages-noble.txt",
                    include_str!("../image/node-packages-noble.txt"),
                ),
            ],
        }
    }
}
