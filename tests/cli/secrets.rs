//! No secret in anything that glrl says or keeps, but in the file that is meant to hold it.

use std::{fs, path::Path};

use super::tree::Tree;

const NEW: &str = "correct-horse";
/// Made of the new one by `derived.yml`.
const MADE: &str = "CORRECT";
/// Stood in the file before; no role knows it.
const FORMER: &str = "battery-staple";

#[test]
fn secrets_are_nowhere() {
    for more in [
        &["plan"][..],
        &["plan", "--verbose"],
        &["plan", "--json"],
        &["plan", "--debug"],
        &["converge", "--verbose"],
        &["converge", "--json"],
        &["converge", "--debug"],
    ] {
        let tree = Tree::new();
        let args = [more, &["--role", "site", "--root", "tree"]].concat();
        let output = tree.glrl(&args);
        assert!(output.status.success(), "{output:?}");
        let said = [output.stdout, output.stderr].concat();
        assert_eq!(found(&said), None, "{args:?} says it");
        if more[0] == "converge" {
            let file = fs::File::open(tree.path().join("tree/etc/site.conf")).unwrap();
            let text = std::io::read_to_string(file).unwrap();
            assert!(text.contains(NEW), "the file holds it");
            let state = tree.path().join("tree/.glrl");
            assert!(state.join("runs").is_dir());
            search(&state);
        }
    }
}

/// What a role makes of a secret, and names that hold one.
#[test]
fn what_is_made_of_secrets_is_nowhere() {
    for command in [
        "plan --verbose",
        "plan --json",
        "plan --debug",
        "graph",
        "graph --format json",
        "graph --format mermaid",
        "explain",
        "explain password",
        "converge --verbose",
        "converge --json",
        "converge --debug",
    ] {
        let tree = Tree::new();
        let mut args: Vec<_> = command.split(' ').collect();
        args.extend(["--role", "derived", "--root", "tree"]);
        let output = tree.glrl(&args);
        assert!(output.status.success(), "{output:?}");
        let said = [output.stdout, output.stderr].concat();
        assert_eq!(found(&said), None, "{command} says it");
        assert!(
            String::from_utf8_lossy(&said).contains("‹secret›"),
            "{command} hides it"
        );
        if command.starts_with("converge") {
            assert!(tree.path().join("tree/etc/correct-horse/CORRECT").is_file());
            search(&tree.path().join("tree/.glrl"));
        }
    }
}

/// A file of values that is broken, or a name that is mistyped: nobody knows that the value is a secret.
#[test]
fn a_broken_file_of_values_is_not_quoted() {
    for (text, place) in [
        ("password: \"correct-horse\n", "vars.yml:1:11"),
        ("password: correct-horse: x\n", "vars.yml:1:24"),
        ("passwort: correct-horse\n", "vars.yml:1:1"),
        ("password:correct-horse\n", "vars.yml:1:1"),
        ("password: !correct-horse\n", "vars.yml:1:11"),
        ("password: [correct-horse\n", "vars.yml:"),
        ("password: { correct-horse }\n", "vars.yml:1:11"),
        ("password: 'x'\npassword: correct-horse\n", "vars.yml:2:1"),
        ("- password: correct-horse\n", "vars.yml:1:1"),
    ] {
        let tree = Tree::new();
        fs::write(tree.path().join("vars.yml"), text).unwrap();
        let output = tree.glrl(&["plan", "--role", "site", "--root", "tree", "--vars", "vars.yml"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(65), "{said}");
        assert!(said.contains(place) && found(&output.stderr).is_none(), "{text}{said}");
    }
    let tree = Tree::new();
    let mut command = tree.command(&[
        "plan",
        "--role",
        "site",
        "--root",
        "tree",
        "--set",
        "passwort=correct-horse",
    ]);
    let output = command.env("GLRL_VAR_pasword", "correct-horse").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    for name in ["--set passwort=…", "GLRL_VAR_pasword=…"] {
        assert!(said.contains(name) && found(&output.stderr).is_none(), "{said}");
    }
}

#[test]
fn a_secret_that_is_too_short_to_hide_is_refused() {
    for short in ["e", "/", " ", " ab ", "abc"] {
        let tree = Tree::new();
        let set = format!("password={short}");
        let output = tree.glrl(&["plan", "--role", "site", "--root", "tree", "--set", &set]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(65), "{said}");
        assert!(
            said.starts_with("error: password: a secret of fewer than 4 characters cannot be hidden\n"),
            "{said}"
        );
        assert!(said.contains("--set password=…"), "{said}");
    }
}

/// A tree with accounts and cron, and with this role.
fn tree_with(role: &str) -> Tree {
    let tree = Tree::new();
    let root = tree.path().join("tree");
    fs::create_dir_all(root.join("var/spool/cron/crontabs")).unwrap();
    fs::create_dir_all(root.join("etc/cron.d")).unwrap();
    for (name, text) in [
        ("tree/etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
        ("tree/etc/group", "root:x:0:\ncrontab:x:101:\n"),
        ("role.yml", role),
    ] {
        fs::write(tree.path().join(name), text).unwrap();
    }
    tree
}

/// Runs glrl on the role with this token; what it says and keeps, but the tree itself.
fn said(tree: &Tree, command: &str, token: &str) -> String {
    let args: Vec<_> = command
        .split(' ')
        .chain(["--role", "role.yml", "--root", "tree"])
        .collect();
    let output = tree.command(&args).env("GLRL_VAR_token", token).output().unwrap();
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let state = tree.path().join("tree/.glrl");
    for file in files(&state) {
        said.push_str(&String::from_utf8_lossy(&fs::read(file).unwrap()));
    }
    said
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

/// Whether any eight bytes of a token are there.
fn holds(said: &str, token: &str) -> bool {
    token
        .as_bytes()
        .windows(8)
        .any(|piece| said.as_bytes().windows(8).any(|window| window == piece))
}

/// Case 03.
#[test]
fn a_secret_that_cron_wants_escaped_is_not_shown() {
    let role = "role: role\ninputs: { token: { type: string, secret: true } }\nresources:\n  \
                - cron: { name: push, schedule: '@daily', command: 'push --token ${inputs.token}', env: { TOKEN: '${inputs.token}' } }\n";
    let tree = tree_with(role);
    for token in ["it's-my-token", "hun%ter2-100%", "it's-50%-my-token"] {
        for command in ["plan -v", "plan --json", "converge -v --debug"] {
            let said = said(&tree, command, token);
            assert!(said.contains("push --token ‹secret›"), "{said}");
            for token in ["s-my-token", "ter2-100", "50%-my-t"] {
                assert!(!said.contains(token), "{command} says {token}: {said}");
            }
        }
        let table = fs::read_to_string(tree.path().join("tree/var/spool/cron/crontabs/root")).unwrap();
        assert!(table.contains(&format!("GLRL_push_TOKEN=\"{token}\"\n")), "{table}");
    }
}

/// Case 04.
#[test]
fn what_goes_is_not_shown() {
    let tree = tree_with(
        "role: role\ninputs: { token: { type: string, secret: true } }\nresources:\n  - cron: { name: push, state: absent }\n  \
         - line: { path: /etc/app.conf, match: '^password=', state: absent }\n",
    );
    let write = |name: &str, text: &str| fs::write(tree.path().join("tree").join(name), text).unwrap();
    write(
        "var/spool/cron/crontabs/root",
        "# glrl: push\n@daily push --token hunter2-swordfish\n",
    );
    write("etc/app.conf", "user=a\npassword=hunter2-swordfish\n");
    for command in ["plan -v", "plan --json", "converge -v"] {
        let said = said(&tree, command, "unused");
        assert!(
            said.contains("cron:push") && !said.contains("hunter2"),
            "{command}: {said}"
        );
    }
    assert_eq!(
        fs::read_to_string(tree.path().join("tree/etc/app.conf")).unwrap(),
        "user=a\n"
    );
}

/// Case 11.
#[test]
fn what_a_validation_says_is_redacted_before_it_is_cut() {
    let jws = format!(
        "eyJhbGciOi{}.end",
        (0..600_u32)
            .map(|n| char::from(b'A' + u8::try_from(n * n % 26).unwrap()))
            .collect::<String>()
    );
    for (token, script) in [
        (jws.as_str(), "cat $1; seq 20; exit 1"),
        (&jws, "cat $1 | fold -w 40; exit 1"),
        (&jws, "base64 $1; exit 1"),
        (&jws, "cat -n $1 >&2; exit 1"),
        (
            "0123456789abcdefghijklmnopqrstuvwxyzABCD",
            "cat $1; head -c 4060 /dev/zero | tr '\\0' x; exit 1",
        ),
    ] {
        let tree = tree_with(&format!(
            "role: role\ninputs: {{ token: {{ type: string, secret: true }} }}\nresources:\n  \
             - file: {{ path: /etc/a, content: \"${{inputs.token}}\\n\", validate: [sh, -c, \"{}\", sh, '{{}}'] }}\n",
            script.replace('\\', "\\\\")
        ));
        let said = said(&tree, "converge --json", token);
        assert!(said.contains("exit status: 1"), "{said}");
        assert!(!holds(&said, token), "{script}: {said}");
    }
}

/// Case 23.
#[test]
fn former_short_lines_are_not_shown() {
    let role = "role: role\ninputs: { token: { type: string, secret: true } }\nresources: [ { file: { path: /etc/codes, content: '${inputs.token}', mode: '0600' } } ]\n";
    let tree = tree_with(role);
    said(&tree, "converge", "abc1234\nxyz7890\n");
    for command in ["plan -v", "plan --json", "converge -v"] {
        let said = said(&tree, command, "new1234\nnew7890\n");
        assert!(said.contains("‹former secret›"), "{said}");
        assert!(
            !["abc1234", "xyz7890", "new1234", "new7890"]
                .iter()
                .any(|line| said.contains(line)),
            "{said}"
        );
    }
}

/// Names of resources are keys in the state directory.
#[test]
fn a_name_with_a_secret_is_hidden_and_still_a_name() {
    let role = "role: role\ninputs: { token: { type: string, secret: true } }\nresources:\n  \
                - file: { path: '/etc/${inputs.token}' }\n    notify: 'line:/etc/missing ${inputs.token}'\n  \
                - line: { path: /etc/missing, line: '${inputs.token}' }\n  \
                - file: { path: '/etc/${inputs.token.upperAscii()}' }\n    needs: 'file:/etc/${inputs.token}'\n";
    let tree = tree_with(role);
    let converged = said(&tree, "converge --json", "it's-a-name");
    // What is pending for the line that fails stays on disk.
    let pending = fs::read_to_string(tree.path().join("tree/.glrl/pending.json")).unwrap();
    assert!(
        pending.contains("line:/etc/missing ‹secret›") && pending.contains("file:/etc/‹secret›"),
        "{pending}"
    );
    assert!(converged.contains("file:/etc/‹secret› #2"), "{converged}");
    assert!(!converged.to_lowercase().contains("it's-a-name"), "{converged}");
    let only = said(
        &tree,
        "converge --json --only file:/etc/IT'S-A-NAME --skip line:/etc/missing",
        "it's-a-name",
    );
    assert!(only.contains("no resource line:/etc/missing is declared"), "{only}");
    let only = said(&tree, "plan -v --only file:/etc/it's-a-name", "it's-a-name");
    assert!(only.contains("1 as declared, 2 skipped"), "{only}");
    fs::write(
        tree.path().join("role.yml"),
        role.replace("notify:", "protect: true\n    notify:"),
    )
    .unwrap();
    let refused = said(&tree, "plan", "it's-a-name");
    assert!(refused.contains("this name holds a secret"), "{refused}");
}

/// Looks for the secrets in all files below a directory.
fn search(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path);
        } else {
            let text = std::io::read_to_string(fs::File::open(&path).unwrap()).unwrap();
            assert_eq!(found(text.as_bytes()), None, "{} keeps it", path.display());
        }
    }
}

fn found(bytes: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    [NEW, FORMER, MADE].into_iter().find(|secret| text.contains(secret))
}
