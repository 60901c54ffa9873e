//! Who is encrypted to, whose key opens it, and what is said where neither fits.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
};

use glrl_node::value::{AbsPath, secret::redact};
use nix::{sys::stat::Mode, unistd::mkfifo};
use proptest::prelude::*;

use crate::{
    fixtures,
    model::{
        encryption::Encryption,
        error::{Error, Kind},
    },
    settings::{Settings, encryption::EncryptionSettings},
    store::encryption::stream::{seal, unseal},
};

fn path(path: &Path) -> AbsPath {
    path.to_str().unwrap().parse().unwrap()
}

#[track_caller]
fn says(error: &Error, said: &[&str]) {
    assert_eq!(error.kind, Kind::Settings, "{error:?}");
    for said in said {
        assert!(format!("{error:#}").contains(said), "{said}: {error:#}");
    }
}

#[test]
fn recipients_of_settings_and_file_are_taken_once() {
    let directory = tempfile::tempdir().unwrap();
    let [one, two] = ["1", "2"].map(|name| fixtures::key(directory.path(), name).recipients.remove(0));
    let file = directory.path().join("recipients");
    fs::write(&file, format!("# of the vault\n\n  {two}\n{one}\n")).unwrap();
    let mut settings = EncryptionSettings {
        recipients: vec![one.clone()],
        recipients_file: Some(path(&file)),
        identity_file: None,
    };
    assert_eq!(settings.recipients().unwrap(), [one, two]);
    for (text, said) in [
        ("# none\n", "there is no recipient in it"),
        ("\nage1x\n", "line 2: \"age1x\" is not a recipient"),
        ("AGE-SECRET-KEY-1QQQQQQQQ\n", "line 1: this is a secret key"),
    ] {
        fs::write(&file, text).unwrap();
        says(&settings.recipients().unwrap_err(), &[said, file.to_str().unwrap()]);
    }
    fs::remove_file(&file).unwrap();
    says(&settings.recipients().unwrap_err(), &["No such file"]);
    settings.recipients_file = None;
    settings.recipients.clear();
    assert_eq!(Encryption::to(&settings.recipients().unwrap()), None);
}

#[test]
fn the_key_that_is_missing_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let [own, other] = ["own", "other"].map(|name| fixtures::key(directory.path(), name));
    let encryption = Encryption::to(&own.recipients);
    let [public, others] = [&own, &other].map(|key| key.recipients[0].to_string());
    assert!(own.key(encryption.as_ref()).unwrap().is_some());
    // What is not encrypted takes no key, whether there is one or not.
    assert!(EncryptionSettings::default().key(None).unwrap().is_none());
    assert!(own.key(None).unwrap().is_none());
    let none = EncryptionSettings::default().key(encryption.as_ref());
    says(&none.err().unwrap(), &[&public, "--identity FILE"]);
    says(&other.key(encryption.as_ref()).err().unwrap(), &[&public, &others]);
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let settings = fixtures::key(directory.path(), "key");
    let encryption = Encryption::to(&settings.recipients);
    let file = settings.identity_file.clone().unwrap();
    let refused = |settings: &EncryptionSettings, said: &str| {
        says(&settings.key(encryption.as_ref()).err().unwrap(), &[said]);
    };
    for mode in [0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(&*file, PermissionsExt::from_mode(mode)).unwrap();
        refused(&settings, "chmod 600 it");
    }
    fs::set_permissions(&*file, PermissionsExt::from_mode(0o400)).unwrap();
    assert!(settings.key(encryption.as_ref()).is_ok());
    if nix::unistd::geteuid().is_root() {
        chown(&*file, Some(65534), None).unwrap();
        refused(&settings, "it must belong to root");
        chown(&*file, Some(0), None).unwrap();
    }
    let other = |path: &Path| EncryptionSettings {
        identity_file: Some(crate::store::encryption::tests::path(path)),
        ..settings.clone()
    };
    // A link is as good as where it leads.
    let link = directory.path().join("link");
    symlink(&*file, &link).unwrap();
    assert!(other(&link).key(encryption.as_ref()).is_ok());
    refused(&other(directory.path()), "is not a regular file");
    let pipe = directory.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRUSR).unwrap();
    refused(&other(&pipe), "is not a regular file");
    refused(&other(&directory.path().join("none")), "No such file");
}

#[test]
fn what_is_no_key_is_refused_and_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let settings = fixtures::key(directory.path(), "key");
    let encryption = Encryption::to(&settings.recipients);
    let file = settings.identity_file.clone().unwrap();
    let public = settings.recipients[0].to_string();
    for (text, said) in [
        ("", "there is no secret key in it"),
        ("AGE-SECRET-KEY-1MISTYPED", "line 1, is not a secret key"),
        (&public, "line 1, is not a secret key"),
        ("age-encryption.org/v1\n-> scrypt", "by a passphrase"),
        ("-----BEGIN AGE ENCRYPTED FILE-----\n", "by a passphrase"),
    ] {
        fs::write(&*file, text).unwrap();
        let error = settings.key(encryption.as_ref()).err().unwrap();
        says(&error, &[said, file.as_str()]);
        assert!(!format!("{error:#}").contains("MISTYPED"), "{error:#}");
    }
}

#[test]
fn a_secret_key_in_the_settings_is_refused_and_not_shown() {
    let key = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQ";
    for text in [
        format!(r#"{{"identity_file": "{key}"}}"#),
        format!(r#"{{"recipients_file": "{key}"}}"#),
        format!(r#"{{"recipients": ["{}"]}}"#, key.to_lowercase()),
    ] {
        let error = serde_json::from_str::<EncryptionSettings>(&text)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("this is a secret key") && !error.contains("QQQQ"),
            "{error}"
        );
        assert!(
            !redact(&text).contains("1QQQQ") && !redact(&text).contains("1qqqq"),
            "{}",
            redact(&text)
        );
    }
    let settings: EncryptionSettings =
        serde_json::from_str(r#"{"identity_file": "/k", "recipients_file": null}"#).unwrap();
    assert_eq!(settings.identity_file, Some(path(Path::new("/k"))));
    assert!(serde_json::from_str::<EncryptionSettings>(r#"{"identity_file": "k"}"#).is_err());
}

#[test]
fn a_verification_that_cannot_be_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let with = |after_backup, encryption: EncryptionSettings| {
        let mut settings = Settings {
            encryption,
            ..Settings::default()
        };
        settings.verify.after_backup = after_backup;
        settings.check_encryption()
    };
    let key = fixtures::key(directory.path(), "key");
    let public = EncryptionSettings {
        identity_file: None,
        ..key.clone()
    };
    let file = EncryptionSettings {
        recipients_file: Some(path(directory.path())),
        ..EncryptionSettings::default()
    };
    for encryption in [public.clone(), file] {
        says(
            &with(true, encryption).unwrap_err(),
            &["another machine", "encryption.identity_file"],
        );
    }
    for (after_backup, encryption) in [(true, key), (false, public), (true, EncryptionSettings::default())] {
        with(after_backup, encryption).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever length it has, around the ends of age's pieces too; and nothing of a cut or changed one is taken for the whole.
    #[test]
    fn what_is_sealed_is_unsealed(pieces in 0_usize..3, more in prop_oneof![0_usize..3, 65_530_usize..65_540], at in 0.0..1.0) {
        let directory = tempfile::tempdir().unwrap();
        let settings = fixtures::key(directory.path(), "key");
        let key = settings.key(Encryption::to(&settings.recipients).as_ref()).unwrap();
        let bytes: Vec<u8> = (0..pieces * 65_536 + more).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut sealing = seal(Vec::new(), &settings.recipients).unwrap();
        sealing.write_all(&bytes).unwrap();
        let sealed = sealing.finish().unwrap();
        let opened = |sealed: &[u8]| -> std::io::Result<Vec<u8>> {
            let mut opened = Vec::new();
            unseal(sealed, key.as_ref())?.read_to_end(&mut opened)?;
            Ok(opened)
        };
        prop_assert_eq!(&opened(&sealed).unwrap(), &bytes);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "any place will do")]
        let at = (at * sealed.len() as f64) as usize;
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        prop_assert!(opened(&changed).is_err(), "{}", at);
        prop_assert!(opened(&sealed[..at]).is_err(), "{}", at);
    }
}
