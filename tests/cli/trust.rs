//! Whose word root takes: each way in which others could have written what glrl obeys, refused with the command that mends it.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
};

use super::tree::Tree;

/// An account that is not root's.
const EVE: u32 = 12345;

const ROLE: &str = "role: mine\ninputs: { word: { type: string, default: a } }\nincludes: [ { role: other } ]\nresources:\n  \
                    - file: { path: /etc/word, content: '${inputs.word}' }\n  \
                    - file: { path: /etc/copy, source: copy }\n  \
                    - directory: { path: /etc/site, source: site }\n  \
                    - template: { path: /etc/rendered, source: rendered.hbs }\n  \
                    - file: { path: /etc/far, source: FAR }\n";

/// A site of root's, in which each file that glrl reads is one of `FILES`.
struct Site(Tree);

const FILES: [&str; 8] = [
    "site/roles/mine.yml",
    "site/roles/other.yml",
    "site/files/copy",
    "site/files/site/a/b",
    "site/templates/rendered.hbs",
    "values/more.yml",
    "far/away",
    "tree/etc/glrl/vars.d/word.yml",
];

impl Site {
    fn new() -> Self {
        let tree = Tree::new();
        let role = ROLE.replace("FAR", tree.path().join("far/away").to_str().unwrap());
        let texts = [
            &role,
            "role: other\nresources: []\n",
            "copy\n",
            "b\n",
            "{{inputs.word}}\n",
            "word: b\n",
            "far\n",
            "word: c\n",
        ];
        for (file, text) in FILES.iter().zip(texts) {
            let path = tree.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(tree)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// What glrl says, and its exit status.
    fn glrl(&self, command: &str) -> (Option<i32>, String) {
        let args: Vec<_> = command.split(' ').collect();
        let more = [
            "--role",
            "site/roles/mine.yml",
            "--roles-dir",
            "site/roles",
            "--root",
            "tree",
            "--vars",
            "values/more.yml",
        ];
        let output = self.0.glrl(&[&args[..], &more].concat());
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), said)
    }

    /// glrl refuses, names this path, and does what it was asked for once what it proposes was pasted into a shell.
    #[track_caller]
    fn refuses(&self, path: &Path, whose: &str) {
        for command in ["plan", "converge"] {
            let (status, said) = self.glrl(command);
            assert_eq!(status, Some(65), "{said}");
            // Nothing but the proposal is wrapped at the terminal's width.
            let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(
                flat.contains(whose) && flat.contains("root does not take the word of others"),
                "{said}"
            );
            assert!(said.contains(path.file_name().unwrap().to_str().unwrap()), "{said}");
        }
        assert!(!self.path("tree/etc/word").exists(), "nothing was done");
        let (_, said) = self.glrl("plan");
        let proposal = said.lines().find_map(|line| line.split_once("help: ")).expect(&said).1;
        let pasted = self.0.program("sh").args(["-c", proposal]).output().unwrap();
        assert!(pasted.status.success(), "{proposal}: {pasted:?}");
        let (status, said) = self.glrl("plan");
        assert_eq!(status, Some(0), "{said}");
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Attack 08.
#[test]
fn what_others_can_write_is_refused_with_what_mends_it() {
    if !is_root() {
        return;
    }
    let site = Site::new();
    for file in FILES {
        let path = site.path(file);
        let parent = path.parent().unwrap();
        chown(&path, Some(EVE), None).unwrap();
        site.refuses(&path, "belongs to user 12345, mode 0644");
        mode(&path, 0o666);
        site.refuses(&path, "belongs to root, mode 0666");
        chown(parent, Some(EVE), None).unwrap();
        mode(parent, 0o777);
        site.refuses(parent, "belongs to user 12345, mode 0777");
    }
    // What is only looked at may be anybody's.
    chown(site.path(FILES[0]), Some(EVE), None).unwrap();
    let output = site
        .0
        .glrl(&["check", "site/roles/mine.yml", "--roles-dir", "site/roles"]);
    assert!(output.status.success(), "{output:?}");
}

/// Attack 08: the role of another user comes before the one built in.
#[test]
fn a_role_of_the_working_directory_does_not_come_first_without_a_word() {
    if !is_root() {
        return;
    }
    let tree = Tree::new();
    let role = tree.path().join("roles/verify.yml");
    fs::write(
        &role,
        "role: verify\nresources: [ { file: { path: /etc/pwned, content: x } } ]\n",
    )
    .unwrap();
    let converge = |name: &str| {
        let output = tree.glrl(&["converge", "--role", name, "--root", "tree"]);
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    chown(&role, Some(EVE), None).unwrap();
    let (status, said) = converge("verify");
    assert_eq!(status, Some(65), "{said}");
    assert!(
        said.contains("roles/verify.yml belongs to user 12345") && !tree.path().join("tree/etc/pwned").exists(),
        "{said}"
    );
    chown(&role, Some(0), None).unwrap();
    let (status, said) = converge("verify");
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("role verify is ./roles/verify.yml, and not the one built in"),
        "{said}"
    );
    assert_eq!(converge("./roles/verify.yml"), (Some(0), String::new()));
}

/// The settings of the programs that are part of glrl.
#[test]
fn settings_of_others_are_refused() {
    if !is_root() {
        return;
    }
    let tree = Tree::new();
    let settings = tree.path().join("backup.yml");
    fs::write(&settings, "instance: db1\n").unwrap();
    mode(&settings, 0o666);
    for command in [
        "backup list",
        "backup status",
        "backup run",
        "backup prune",
        "verify",
        "restore --to elsewhere",
    ] {
        let args: Vec<_> = command.split(' ').chain(["--settings", "backup.yml"]).collect();
        let output = tree.glrl(&args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("backup.yml belongs to root, mode 0666") && said.contains("chmod go-w "),
            "{command}: {said}"
        );
    }
}
