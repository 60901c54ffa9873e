//! What holds for any input of a parser, whoever wrote it: a contract each. One that is broken panics. The fuzz target of the same name
//! (`fuzz/fuzz_targets`) looks for inputs that break it, and the unit tests hold the inputs in `fuzz/corpus` to it.

use crate::{backup, config, engine, resource, system};

/// A parser's contract.
pub type Contract = fn(&[u8]);

/// All of them, by the names of their targets. What each asserts is said where it is.
pub const CONTRACTS: [(&str, Contract); 17] = [
    // What people write for glrl.
    ("yaml", |input| config::fuzzing::yaml(&text(input))),
    ("role", |input| config::fuzzing::role(&text(input))),
    ("values", |input| config::fuzzing::values(&text(input))),
    ("template", |input| config::fuzzing::template(&text(input))),
    ("expression", |input| config::fuzzing::expression(&text(input))),
    // What others have on the node.
    ("fstab", |input| resource::fuzzing::fstab(&text(input))),
    ("exports", |input| resource::fuzzing::exports(&text(input))),
    ("crontab", |input| resource::fuzzing::crontab(&text(input))),
    ("dpkg", |input| system::fuzzing::dpkg(&text(input))),
    ("lvm", |input| system::fuzzing::lvm(&text(input))),
    ("tables", |input| system::fuzzing::tables(&text(input))),
    ("superblock", system::fuzzing::superblock),
    // What glrl has written, and others may have changed.
    ("state", engine::fuzzing::state),
    ("manifest", backup::fuzzing::manifest),
    ("records", backup::fuzzing::records),
    ("files", backup::fuzzing::files),
    ("binlog", backup::fuzzing::binlog),
];

/// Files of text are read so.
fn text(input: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(input)
}

/// Holds an input to a contract.
///
/// # Panics
///
/// Where the contract is broken, or there is none of this name.
pub fn hold(name: &str, input: &[u8]) {
    let (_, contract) = CONTRACTS
        .iter()
        .find(|(other, _)| *other == name)
        .unwrap_or_else(|| panic!("there is no contract '{name}'"));
    contract(input);
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "it reads the corpus")]
    fn every_input_of_the_corpus_is_held_to_its_contract() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let names = |directory: &Path| {
            let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
            let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            paths.sort();
            paths
        };
        let mut contracts: Vec<_> = CONTRACTS
            .iter()
            .map(|(name, _)| directory.join("corpus").join(name))
            .collect();
        contracts.sort();
        assert_eq!(
            names(&directory.join("corpus")),
            contracts,
            "each contract has a corpus, and each corpus a contract"
        );
        for (name, contract) in CONTRACTS {
            assert!(
                directory.join(format!("fuzz_targets/{name}.rs")).is_file(),
                "{name} has no target"
            );
            for path in names(&directory.join("corpus").join(name)) {
                let input = fs::read(&path).unwrap();
                let held = std::panic::catch_unwind(|| contract(&input));
                assert!(held.is_ok(), "{} breaks its contract", path.display());
            }
        }
    }
}
