//! First and no-op converge against a floor measured in the same run: a process that makes only the system calls nobody can avoid
//! (open, fstat, read, compare; one read of dpkg's status file). Run it with `make bench`; figures are medians of whole processes, and
//! machines are noisy, so the ratio is what counts.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program that measures programs"
)]

use std::{
    env,
    fmt::Write as _,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const RUNS: usize = 7;

fn main() {
    let args: Vec<String> = env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("floor-files") => floor_files(Path::new(&args[2]), args[3].parse().expect("a number")),
        Some("floor-packages") => floor_packages(Path::new(&args[2])),
        Some("peak") => peak(&args[2..]),
        _ => bench(),
    }
}

/// The floor of a converged tree: look at each file, and compare it with what it should hold.
fn floor_files(root: &Path, count: usize) {
    let mut bytes = Vec::with_capacity(4096);
    for index in 0..count {
        let mut file = fs::File::open(root.join(format!("srv/files/{index:05}"))).expect("a converged file");
        let size = file.metadata().expect("its size").len();
        bytes.clear();
        file.read_to_end(&mut bytes).expect("its contents");
        assert!(size == bytes.len() as u64 && bytes == contents(index).as_bytes());
    }
}

/// The floor of installed packages: one read of the status file, and its names.
fn floor_packages(root: &Path) {
    let status = fs::read_to_string(root.join("var/lib/dpkg/status")).expect("dpkg's status file");
    let installed = status.lines().filter(|line| line.starts_with("Package: ")).count();
    assert!(installed > 0);
}

/// Runs a program and prints its peak memory in KiB.
fn peak(command: &[String]) {
    let status = Command::new(&command[0])
        .args(&command[1..])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("a program").success());
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).expect("getrusage");
    println!("{}", usage.max_rss());
}

/// A kilobyte that is different in each file.
fn contents(index: usize) -> String {
    format!("{index:05} {}\n", "converged ".repeat(101))
}

struct Bench {
    glrl: PathBuf,
    work: tempfile::TempDir,
}

fn bench() {
    let glrl = env::var_os("GLRL_BINARY").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_glrl")), PathBuf::from);
    let bench = Bench {
        glrl: glrl.canonicalize().expect("the glrl binary"),
        work: tempfile::tempdir().expect("a directory"),
    };
    println!(
        "{:<34} {:>10} {:>10} {:>8} {:>10}",
        "case", "glrl", "floor", "ratio", "peak"
    );
    bench.files(1, "start, one file, no-op", None);
    for count in [1_000, 10_000] {
        bench.files(
            count,
            &format!("{count} files, no-op"),
            Some(&format!("{count} files, first")),
        );
        bench.templates(count);
    }
    bench.packages();
}

impl Bench {
    fn root(&self, name: &str) -> PathBuf {
        let root = self.work.path().join(name);
        fs::create_dir_all(root.join("srv/files")).expect("a tree");
        fs::create_dir_all(root.join("etc")).expect("a tree");
        fs::copy("/etc/os-release", root.join("etc/os-release")).expect("os-release");
        root
    }

    fn role(&self, name: &str, body: &str) -> PathBuf {
        let file = self.work.path().join(format!("roles/{name}.yml"));
        fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
        fs::write(&file, format!("role: {name}\nresources:\n{body}")).expect("a role");
        file
    }

    fn converge(&self, role: &Path, root: &Path) -> Vec<String> {
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        vec![
            text(&self.glrl),
            "converge".to_owned(),
            "--role".to_owned(),
            text(role),
            "--root".to_owned(),
            text(root),
        ]
    }

    fn files(&self, count: usize, noop: &str, first: Option<&str>) {
        let mut body = String::new();
        for index in 0..count {
            let _ = writeln!(
                body,
                "  - file: {{ path: /srv/files/{index:05}, content: {:?} }}",
                contents(index)
            );
        }
        let role = self.role(&format!("files{count}"), &body);
        if let Some(first) = first {
            let mut times = Vec::new();
            for run in 0..3 {
                let root = self.root(&format!("first{count}-{run}"));
                times.push(time(&self.converge(&role, &root)));
                fs::remove_dir_all(&root).expect("a tree");
            }
            row(first, median(times), None, None);
        }
        let root = self.root(&format!("files{count}"));
        self.noop(
            noop,
            &role,
            &root,
            &["floor-files", root.to_str().expect("UTF-8"), &count.to_string()],
        );
    }

    fn templates(&self, count: usize) {
        let mut body = String::new();
        for index in 0..count {
            let _ = writeln!(
                body,
                "  - template: {{ path: /srv/files/{index:05}, source: bench.hbs, vars: {{ number: \"{index:05}\" }} }}"
            );
        }
        let role = self.role(&format!("templates{count}"), &body);
        let templates = self.work.path().join("templates");
        fs::create_dir_all(&templates).expect("a directory");
        fs::write(
            templates.join("bench.hbs"),
            format!("{{{{number}}}} {}\n", "converged ".repeat(101)),
        )
        .expect("a template");
        let root = self.root(&format!("templates{count}"));
        let floor = ["floor-files", root.to_str().expect("UTF-8"), &count.to_string()];
        self.noop(&format!("{count} templates, no-op"), &role, &root, &floor);
    }

    fn packages(&self) {
        let status = fs::read_to_string("/var/lib/dpkg/status").expect("dpkg's status file");
        let mut installed = Vec::new();
        for paragraph in status
            .split("\n\n")
            .filter(|paragraph| paragraph.contains("\nStatus: install ok installed"))
        {
            installed.extend(paragraph.lines().find_map(|line| line.strip_prefix("Package: ")));
        }
        installed.sort_unstable();
        installed.dedup();
        let mut body = String::new();
        for name in &installed {
            let _ = writeln!(body, "  - package: {{ name: {name:?} }}");
        }
        let role = self.role("packages", &body);
        let root = self.root("packages");
        fs::create_dir_all(root.join("var/lib/dpkg")).expect("a directory");
        fs::copy("/var/lib/dpkg/status", root.join("var/lib/dpkg/status")).expect("a copy");
        let name = format!("{} packages, no-op", installed.len());
        self.noop(&name, &role, &root, &["floor-packages", root.to_str().expect("UTF-8")]);
    }

    /// Converges once, then measures the run that has nothing to do, and its floor, in turns.
    fn noop(&self, name: &str, role: &Path, root: &Path, floor: &[&str]) {
        let command = self.converge(role, root);
        time(&command);
        let me = env::current_exe().expect("this program");
        let me = me.to_str().expect("UTF-8");
        let floor: Vec<String> = std::iter::once(me)
            .chain(floor.iter().copied())
            .map(str::to_owned)
            .collect();
        let (mut glrl, mut least) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            glrl.push(time(&command));
            least.push(time(&floor));
        }
        let peak = Command::new(me)
            .arg("peak")
            .args(&command)
            .output()
            .expect("this program");
        let peak = String::from_utf8_lossy(&peak.stdout).trim().parse().expect("KiB");
        row(name, median(glrl), Some(median(least)), Some(peak));
    }
}

fn time(command: &[String]) -> Duration {
    let started = Instant::now();
    let output = Command::new(&command[0])
        .args(&command[1..])
        .output()
        .expect("a program");
    let elapsed = started.elapsed();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    elapsed
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn row(name: &str, glrl: Duration, floor: Option<Duration>, peak: Option<u64>) {
    let seconds = |time: Duration| format!("{:.4} s", time.as_secs_f64());
    let ratio = floor.map_or(String::new(), |floor| {
        format!("{:.1} x", glrl.as_secs_f64() / floor.as_secs_f64())
    });
    let floor = floor.map_or(String::new(), seconds);
    let peak = peak.map_or(String::new(), |kib| format!("{} MiB", kib.div_ceil(1024)));
    println!("{name:<34} {:>10} {floor:>10} {ratio:>8} {peak:>10}", seconds(glrl));
}
