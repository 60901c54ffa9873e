//! The laws over roles at random: what is planned is what is done, and then nothing is left; planning writes nothing; a run that is killed
//! is finished by the next. `GLRL_SEED=…` repeats a failure, `GLRL_ROLES=…` says how many roles there are.

mod generate;

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::ExitStatusExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use glrl::{
    engine::event::{Event, Outcome},
    engine::{self, Run, RunState},
    graph::{self, Graph},
    source::Sources,
    system::{LocalNode, state::StateDir},
    value::Id,
};

use generate::Dice;
use serde_json::json;

const ROLES: u64 = 300;

#[test]
fn what_is_planned_is_what_is_done_and_then_nothing_is_left() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let roles = number("GLRL_ROLES").unwrap_or(ROLES);
    let first = number("GLRL_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 32);
    let roles = if number("GLRL_SEED").is_some() { 1 } else { roles };
    let seeds: Vec<u64> = (0..roles).map(|number| first + number).collect();
    let mut resources = 0;
    for (number, seed) in seeds.iter().enumerate() {
        match one(*seed, number % 10 == 0) {
            Ok(count) => resources += count,
            Err(problem) => panic!("GLRL_SEED={seed}: {problem}"),
        }
    }
    println!("{} roles, {resources} resources, from seed {}", seeds.len(), seeds[0]);
}

/// System calls after each of which a tree is another, or more of it is on the disk.
const CALLS: [&str; 13] = [
    "mkdirat",
    "fchmod",
    "fchown",
    "renameat",
    "renameat2",
    "linkat",
    "symlinkat",
    "unlinkat",
    "write",
    "ftruncate",
    "fsetxattr",
    "fsync",
    "fdatasync",
];

/// A run is killed before each of its system calls that change something, and what the next one makes of that is as if it had not been. `GLRL_CUTS=…`
/// says for how many roles.
#[test]
fn each_system_call_can_be_the_last() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let first = number("GLRL_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 32);
    let mut cuts = 0;
    for seed in (0..number("GLRL_CUTS").unwrap_or(1)).map(|number| first + number) {
        let mut dice = Dice::new(seed);
        let (lab, text) = Lab::new(&mut dice, 20).unwrap();
        cuts += lab
            .law_of_calls(seed)
            .unwrap_or_else(|problem| panic!("GLRL_SEED={seed}: {problem}\n{text}"));
    }
    println!("{cuts} runs were killed, from seed {first}");
    assert!(cuts > 20, "{cuts}");
}

/// The same where only an owner or a group is declared: what chown(2) takes from a file, and no later run would miss, is never lost. A plan and
/// a second run would see nothing, so the tree is compared with what it was.
#[test]
fn what_a_change_of_the_owner_takes_away_survives_a_kill() {
    let role = json!({"role": "laws", "resources": [
        {"file": {"path": "/srv/setuid", "owner": "ann"}},
        {"file": {"path": "/srv/setgid", "group": "staff"}},
        {"file": {"path": "/srv/both", "owner": "tim", "group": "staff"}},
        {"file": {"path": "/srv/capable", "owner": "ann"}},
        {"file": {"path": "/srv/capable too", "owner": "ann", "mode": "0750"}},
        {"directory": {"path": "/srv/shared", "owner": "ann"}},
        {"directory": {"path": "/srv/shared/new", "group": "staff"}},
        {"directory": {"path": "/srv/sticky", "group": "staff"}},
    ]});
    let mut lab = Lab::of(&role.to_string()).unwrap();
    lab.ground = |_, tree| {
        generate::populate(&mut Dice::new(0), tree);
        for (name, mode) in [
            ("setuid", 0o4755),
            ("setgid", 0o2755),
            ("both", 0o6711),
            ("capable", 0o755),
            ("capable too", 0o755),
        ] {
            let path = tree.join("srv").join(name);
            write(&path, name);
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
            if name.starts_with("capable") {
                // cap_net_raw=ep, version 2 of the attribute.
                let capability: Vec<u8> = [0x0200_0001_u32, 1 << 13, 0, 0, 0]
                    .iter()
                    .flat_map(|word| word.to_le_bytes())
                    .collect();
                xattr::set(&path, CAPABILITY, &capability).expect("a capability");
            }
        }
        for (name, mode) in [("shared", 0o2775), ("sticky", 0o3770)] {
            let path = tree.join("srv").join(name);
            fs::create_dir(&path).expect("a directory");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        }
    };
    let whole = lab.whole(0);
    for (name, mode, owner) in [
        ("setuid", 0o4755, (1042, 0)),
        ("setgid", 0o2755, (0, 50)),
        ("both", 0o6711, (1043, 50)),
        ("capable", 0o755, (1042, 0)),
        ("capable too", 0o750, (1042, 0)),
        ("shared", 0o2775, (1042, 0)),
        ("shared/new", 0o2755, (0, 50)),
        ("sticky", 0o3770, (0, 50)),
    ] {
        let thing = &whole[&Path::new("srv").join(name)];
        assert_eq!((thing.mode & 0o7777, thing.owner), (mode, owner), "{name}");
        assert_eq!(thing.capability.is_some(), name.starts_with("capable"), "{name}");
    }
    let cuts = lab.law_of_calls(0).unwrap();
    assert!(cuts > 20, "{cuts}");
}

/// A temporary directory in memory, where there is one: what is tested is not the disk.
fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
    .expect("a directory")
}

struct Lab {
    directory: tempfile::TempDir,
    /// Makes a tree.
    ground: fn(u64, &Path),
    graph: Graph,
    sources: Sources,
    role: PathBuf,
    /// Files that a program may refuse.
    validated: HashSet<Id>,
}

/// The laws for one role. Returns how many resources it has.
fn one(seed: u64, kill: bool) -> Result<usize, String> {
    let mut dice = Dice::new(seed);
    // As many small roles as large ones.
    let size = 20 << dice.below(4);
    let size = size + dice.below(size * 7 / 8);
    let (lab, text) = Lab::new(&mut dice, size)?;
    let tree = lab.directory.path().join("tree");
    generate::populate(&mut Dice::new(seed), &tree);
    let result = if kill { lab.law_of_kills(&mut dice) } else { Ok(()) };
    result
        .and_then(|()| lab.laws(&tree))
        .map_err(|problem| format!("{problem}\n{text}"))?;
    Ok(lab.graph.len())
}

#[expect(clippy::disallowed_methods, reason = "it makes what is tested")]
fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
}

/// What became of each resource, in the order of the turns: its outcome in a word, what is different in it.
type Outcomes = Vec<(Id, &'static str, Vec<String>)>;

fn outcome(outcome: &Outcome) -> (&'static str, Vec<String>) {
    match outcome {
        Outcome::Unchanged => ("unchanged", Vec::new()),
        Outcome::Changed { action, changes, .. } => {
            let action = format!("{action}");
            let properties = changes.iter().map(|change| change.property.clone());
            ("changed", [action].into_iter().chain(properties).collect())
        }
        Outcome::Unknown { .. } => ("unknown", Vec::new()),
        Outcome::Skipped { .. } => ("skipped", Vec::new()),
        Outcome::Failed { error } => ("failed", vec![error.clone()]),
        Outcome::Refused { error, .. } => ("refused", vec![error.clone()]),
    }
}

impl Lab {
    /// Makes up a role of about so many resources, and returns its text, too.
    fn new(dice: &mut Dice, size: usize) -> Result<(Self, String), String> {
        let text = generate::role(dice, size);
        Ok((Self::of(&text)?, text))
    }

    fn of(text: &str) -> Result<Self, String> {
        let directory = directory();
        generate::beside(directory.path());
        let role = directory.path().join("roles/laws.yml");
        write(&role, text);
        let loaded = crate::support::load(&role)?;
        let graph = graph::build(loaded.declarations).map_err(|wrong| crate::support::draw(&wrong, &loaded.sources))?;
        Ok(Self {
            directory,
            ground: |seed, tree| generate::populate(&mut Dice::new(seed), tree),
            graph,
            sources: loaded.sources,
            role,
            validated: generate::validated(text),
        })
    }

    fn run(&self) -> Run<'_> {
        Run {
            graph: &self.graph,
            sources: &self.sources,
            name: "laws".to_owned(),
            host: "laws".to_owned(),
            roles: vec!["laws".to_owned()],
            names: vec!["laws".to_owned()],
            stop: || false,
        }
    }

    fn state(&self) -> Result<StateDir, String> {
        StateDir::open(&self.directory.path().join("state")).map_err(|error| format!("{error:#}"))
    }

    fn plan(&self, tree: &Path) -> Result<Outcomes, String> {
        let mut outcomes = Vec::new();
        let state = self.state()?;
        let mut plan = || {
            let node = LocalNode::offline(tree)?;
            engine::plan(&self.run(), &node, &RunState::load(&state)?, &mut |event| {
                if let Event::Planned { id, outcome: of, .. } = event {
                    let (word, changes) = outcome(&of);
                    outcomes.push((id, word, changes));
                }
            })
        };
        plan().map_err(|error| format!("{error:#}"))?;
        Ok(outcomes)
    }

    fn converge(&self, tree: &Path) -> Result<Outcomes, String> {
        let (mut outcomes, mut drift) = (Vec::new(), Vec::new());
        let state = self.state()?;
        let mut converge = || {
            let node = LocalNode::offline(tree)?;
            engine::converge(&self.run(), &node, &state, &mut |event| match event {
                Event::Drift { id, message } => drift.push(format!("{id}: {message}")),
                Event::Applied { id, outcome: of, .. } => {
                    let (word, changes) = outcome(&of);
                    outcomes.push((id, word, changes));
                }
                _ => {}
            })
        };
        converge().map_err(|error| format!("{error:#}"))?;
        // Of the lines of one file those that were passed over because of a refused file are missing for the others.
        if self.is_refused(&outcomes) {
            drift.retain(|message| !message.starts_with("line:"));
        }
        if drift.is_empty() {
            Ok(outcomes)
        } else {
            Err(format!("drift: {}", drift.join("; ")))
        }
    }

    /// Whether a program has refused a file, which nobody can know before.
    fn is_refused(&self, outcomes: &Outcomes) -> bool {
        outcomes
            .iter()
            .any(|(id, word, _)| *word == "failed" && self.validated.contains(id))
    }

    fn laws(&self, tree: &Path) -> Result<(), String> {
        let before = look(tree);
        let planned = self.plan(tree)?;
        let differ = differ(&before, &look(tree), |one, other| one == other);
        if !differ.is_empty() {
            return Err(format!("a plan writes: {}", differ.join("; ")));
        }
        same("a second plan is another", &planned, &self.plan(tree)?, |_| false)?;
        let mut applied = self.converge(tree)?;
        // The file stays, what needs it is passed over, and a line of a file may come before another.
        let refused = self.is_refused(&applied);
        let skipped: HashSet<&Id> = applied
            .iter()
            .filter(|one| one.1 == "skipped")
            .map(|one| &one.0)
            .collect();
        let is_validated =
            |id: &Id| refused && (self.validated.contains(id) || skipped.contains(id) || id.kind() == "line");
        same("what is done is not what was planned", &planned, &applied, is_validated)?;
        for (path, _) in look(tree) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".glrl") {
                return Err(format!("{} is left", path.display()));
            }
        }
        applied.retain(|(_, word, _)| matches!(*word, "changed" | "unchanged"));
        let left: Vec<_> = self
            .plan(tree)?
            .into_iter()
            .filter(|(id, word, _)| *word != "unchanged" && applied.iter().any(|(done, ..)| done == id))
            .collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("this is left: {left:?}"))
        }
    }

    /// A tree in which a run was killed and another came to its end is the tree in which one came to its end.
    fn law_of_kills(&self, dice: &mut Dice) -> Result<(), String> {
        let seed = dice.below(usize::MAX / 2) as u64;
        let whole = self.whole(seed);
        self.is_mended(seed, &whole, |tree| {
            for _ in 0..3 {
                let time = Duration::from_micros(dice.below(60_000) as u64);
                self.glrl(tree, Some(time));
            }
        })
    }

    /// The same for each moment of a run. Returns how many there were.
    fn law_of_calls(&self, seed: u64) -> Result<usize, String> {
        let whole = self.whole(seed);
        let mut cuts = 0;
        for call in CALLS {
            for number in 1.. {
                let mut is_killed = true;
                self.is_mended(seed, &whole, |tree| is_killed = self.dies_before(tree, call, number))
                    .map_err(|problem| format!("killed before {call} number {number}: {problem}"))?;
                if !is_killed {
                    break;
                }
                cuts += 1;
            }
        }
        Ok(cuts)
    }

    /// What a tree is in the end.
    fn whole(&self, seed: u64) -> Tree {
        let tree = self.anew(seed, "whole");
        for _ in 0..2 {
            self.glrl(&tree, None);
        }
        look(&tree)
    }

    fn is_mended(&self, seed: u64, whole: &Tree, kill: impl FnOnce(&Path)) -> Result<(), String> {
        let tree = self.anew(seed, "killed");
        kill(&tree);
        // What was begun and not told is told, and what failed is tried again.
        let said = self.glrl(&tree, None);
        self.glrl(&tree, None);
        let differ = differ(whole, &look(&tree), Thing::is_like);
        if differ.is_empty() {
            Ok(())
        } else {
            Err(format!("a kill has made a difference: {}\n{said}", differ.join("; ")))
        }
    }

    fn anew(&self, seed: u64, name: &str) -> PathBuf {
        let tree = self.directory.path().join(name);
        let _ = fs::remove_dir_all(&tree);
        (self.ground)(seed, &tree);
        tree
    }

    /// Converges, but is killed when it calls this for the so-manieth time. Returns whether it did.
    fn dies_before(&self, tree: &Path, call: &str, number: usize) -> bool {
        let status = Command::new("strace")
            .args(["-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e"])
            .arg(format!("inject={call}:signal=KILL:when={number}"))
            .arg(env!("CARGO_BIN_EXE_glrl"))
            .args(["converge", "--quiet", "--root"])
            .arg(tree)
            .arg("--role")
            .arg(&self.role)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("strace starts");
        status.signal() == Some(nix::libc::SIGKILL)
    }

    /// A converge in a process of its own, which is killed after that time.
    #[expect(clippy::disallowed_methods, reason = "the program itself is what is tested")]
    fn glrl(&self, tree: &Path, kill: Option<Duration>) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_glrl"));
        command
            .args(["converge", "--quiet", "--root"])
            .arg(tree)
            .arg("--role")
            .arg(&self.role);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("glrl starts");
        if let Some(time) = kill {
            std::thread::sleep(time);
            let _ = child.kill();
        }
        let output = child.wait_with_output().expect("it ends");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

const CAPABILITY: &str = "security.capability";

/// Something in a tree.
#[derive(Debug, PartialEq, Clone)]
struct Thing {
    mode: u32,
    owner: (u32, u32),
    contents: Vec<u8>,
    capability: Option<Vec<u8>>,
    inode: u64,
    changed: (i64, i64),
}

impl Thing {
    /// Whether another tree's is the same.
    fn is_like(&self, other: &Self) -> bool {
        (self.mode, self.owner, &self.contents, &self.capability)
            == (other.mode, other.owner, &other.contents, &other.capability)
    }

    fn text(&self) -> String {
        format!(
            "{:o} {:?} {:?}{}",
            self.mode,
            self.owner,
            String::from_utf8_lossy(&self.contents),
            if self.capability.is_some() {
                " with capabilities"
            } else {
                ""
            }
        )
    }
}

/// In what two trees differ.
fn differ(one: &Tree, other: &Tree, alike: impl Fn(&Thing, &Thing) -> bool) -> Vec<String> {
    let mut paths: Vec<&PathBuf> = one.keys().chain(other.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    let different = paths
        .into_iter()
        .filter(|&path| match (one.get(path), other.get(path)) {
            (Some(one), Some(other)) => !alike(one, other),
            _ => true,
        });
    let text = |tree: &Tree, path| tree.get(path).map_or_else(|| "nothing".to_owned(), Thing::text);
    different
        .map(|path| format!("{}: {}, {}", path.display(), text(one, path), text(other, path)))
        .collect()
}

type Tree = BTreeMap<PathBuf, Thing>;

/// All that is in a tree, without the state directory and the days of passwords.
fn look(tree: &Path) -> Tree {
    let mut all = BTreeMap::new();
    let mut open = vec![tree.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory").flatten() {
            let path = entry.path();
            let about = path.symlink_metadata().expect("it is there");
            let name = path.strip_prefix(tree).expect("it is below").to_owned();
            if name.starts_with(".glrl") || name.ends_with("shadow") || name.ends_with("shadow-") {
                continue;
            }
            let contents = if about.is_dir() {
                open.push(path.clone());
                Vec::new()
            } else if about.is_symlink() {
                path.read_link()
                    .expect("a link")
                    .to_string_lossy()
                    .into_owned()
                    .into_bytes()
            } else {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut fs::File::open(&path).expect("a file"), &mut bytes)
                    .expect("it is read");
                bytes
            };
            let thing = Thing {
                mode: about.mode(),
                owner: (about.uid(), about.gid()),
                contents,
                capability: xattr::get(&path, CAPABILITY).unwrap_or_default(),
                inode: about.ino(),
                changed: (about.ctime(), about.ctime_nsec()),
            };
            all.insert(name, thing);
        }
    }
    all
}

/// Compares what became of each, but of those that are excepted.
fn same(what: &str, expected: &Outcomes, found: &Outcomes, excepted: impl Fn(&Id) -> bool) -> Result<(), String> {
    let ids = |outcomes: &Outcomes| outcomes.iter().map(|(id, ..)| id.clone()).collect::<Vec<_>>();
    if ids(expected) != ids(found) {
        return Err(format!("{what}: another order, or others"));
    }
    let differ: Vec<String> = expected
        .iter()
        .zip(found)
        .filter(|(one, other)| one != other && !excepted(&one.0))
        .map(|(one, other)| format!("{one:?}, {other:?}"))
        .collect();
    if differ.is_empty() {
        Ok(())
    } else {
        Err(format!("{what}: {}", differ.join("; ")))
    }
}
