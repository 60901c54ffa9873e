//! Facts about the node that roles can ask for. Each is cheap: files of /proc, /sys and /etc, and no process.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::texts;

/// Every fact there is, in the order of the documentation.
pub const NAMES: [&str; 10] = [
    "os",
    "kernel",
    "arch",
    "hostname",
    "fqdn",
    "cpus",
    "memory",
    "addresses",
    "block_devices",
    "virtual",
];

/// Where facts come from. `get` is called once for each fact that a run needs.
pub trait Facts: Sync {
    /// A fact of `NAMES`.
    fn get(&self, name: &str) -> Result<Value>;
}

/// The facts of the machine glrl runs on, or of an offline tree.
#[derive(Debug, Clone)]
pub struct NodeFacts {
    root: PathBuf,
}

impl NodeFacts {
    /// Facts of what lies below `root`, `/` for the machine itself. Of an offline tree `os`, `hostname` and `fqdn` are its
    /// own, the last two null where it has no name yet; the rest is what the kernel below says.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn read(&self, path: &str) -> Result<Option<String>> {
        texts::read(&self.root.join(path.trim_start_matches('/')))
    }

    /// os-release(5) in lower case, with `family`: the oldest ancestor, `debian` for Debian, Ubuntu and their like.
    fn os(&self) -> Result<Value> {
        let text = match self.read("/etc/os-release")? {
            Some(text) => Some(text),
            None => self.read("/usr/lib/os-release")?,
        };
        let text = text.with_context(|| format!("there is no {}", self.root.join("etc/os-release").display()))?;
        let mut os = os_release(&text);
        let id = os.get("id").and_then(Value::as_str).unwrap_or("linux").to_owned();
        let like: Vec<_> = os
            .get("id_like")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        os.insert("family".to_owned(), json!(like.last().unwrap_or(&id)));
        os.insert("id_like".to_owned(), json!(like));
        for optional in ["version_id", "version_codename", "name", "pretty_name"] {
            os.entry(optional).or_insert(Value::Null);
        }
        Ok(Value::Object(os))
    }

    /// What the kernel says, or an offline tree's hostname(5); `None` where the tree has none.
    fn hostname(&self) -> Result<Option<String>> {
        if self.root == Path::new("/") {
            return line("/proc/sys/kernel/hostname").map(Some);
        }
        Ok(self.read("/etc/hostname")?.and_then(|text| hostname_in(&text)))
    }

    /// The name with a dot that /etc/hosts gives beside the host's own name (hostname(1), "THE FQDN"), else the host's name.
    fn fqdn(&self) -> Result<Option<String>> {
        let Some(name) = self.hostname()? else { return Ok(None) };
        if name.contains('.') {
            return Ok(Some(name));
        }
        let hosts = self.read("/etc/hosts")?.unwrap_or_default();
        Ok(Some(fqdn_in(&hosts, &name).unwrap_or(name)))
    }
}

impl Facts for NodeFacts {
    fn get(&self, name: &str) -> Result<Value> {
        Ok(match name {
            "os" => self.os()?,
            "kernel" => json!(line("/proc/sys/kernel/osrelease")?),
            "arch" => json!(
                nix::sys::utsname::uname()
                    .context("asking uname(2)")?
                    .machine()
                    .to_string_lossy()
            ),
            "hostname" => json!(self.hostname()?),
            "fqdn" => json!(self.fqdn()?),
            "cpus" => json!(cpus(&line("/sys/devices/system/cpu/online")?).context("reading the CPUs online")?),
            "memory" => json!(memory(&texts::read(Path::new("/proc/meminfo"))?.unwrap_or_default())?),
            "addresses" => json!(addresses()?),
            "block_devices" => block_devices()?,
            "virtual" => json!(virtualization()?),
            _ => bail!("there is no fact '{name}'"),
        })
    }
}

/// The only line of a file of /proc or /sys.
fn line(path: &str) -> Result<String> {
    let text = texts::read(Path::new(path))?.with_context(|| format!("there is no {path}"))?;
    Ok(text.trim().to_owned())
}

/// os-release(5): shell assignments without expansion.
fn os_release(text: &str) -> Map<String, Value> {
    text.lines()
        .filter_map(|line| line.trim().split_once('='))
        .filter(|(name, _)| !name.starts_with('#'))
        .map(|(name, value)| (name.to_ascii_lowercase(), json!(unquoted(value))))
        .collect()
}

/// A shell word: quotes off, and what they escape as it is.
fn unquoted(value: &str) -> String {
    let inner = match value.as_bytes() {
        [quote @ (b'"' | b'\''), .., last] if quote == last => &value[1..value.len() - 1],
        _ => value,
    };
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        text.push(if char == '\\' {
            chars.next().unwrap_or('\\')
        } else {
            char
        });
    }
    text
}

/// hostname(5): one line, and comments.
fn hostname_in(text: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim);
    let name = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
    Some(name.to_owned())
}

/// hosts(5): the first name of a line is the canonical one.
fn fqdn_in(hosts: &str, name: &str) -> Option<String> {
    hosts
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>())
        .find(|names| names.contains(&name) && names[0].contains('.'))
        .map(|names| names[0].to_owned())
}

/// A list of ranges, `0-3,8`.
fn cpus(ranges: &str) -> Option<u64> {
    ranges
        .split(',')
        .map(|range| match range.split_once('-') {
            Some((from, to)) => Some(to.parse::<u64>().ok()?.checked_sub(from.parse().ok()?)? + 1),
            None => range.parse::<u64>().ok().map(|_| 1),
        })
        .sum()
}

/// Bytes of memory, from `MemTotal` in kB (`proc_meminfo(5)`).
fn memory(meminfo: &str) -> Result<u64> {
    meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"))
        .and_then(|kib| kib.trim().parse::<u64>().ok())
        .map(|kib| kib * 1024)
        .context("/proc/meminfo has no MemTotal")
}

/// Addresses of the node without loopback and link-local ones, IPv4 first, sorted.
fn addresses() -> Result<Vec<String>> {
    let trie = texts::read(Path::new("/proc/net/fib_trie"))?.unwrap_or_default();
    let inet6 = texts::read(Path::new("/proc/net/if_inet6"))?.unwrap_or_default();
    let mut found = ipv4(&trie);
    found.extend(ipv6(&inet6));
    Ok(found)
}

/// Local addresses in the kernel's routing trie: a leaf `|-- ADDRESS` with `/32 host LOCAL` below it.
fn ipv4(trie: &str) -> Vec<String> {
    let mut found: Vec<std::net::Ipv4Addr> = Vec::new();
    let mut leaf: Option<std::net::Ipv4Addr> = None;
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(leaf);
        }
    }
    found.retain(|address| !address.is_loopback() && !address.is_link_local());
    found.sort_unstable();
    found.dedup();
    found.iter().map(ToString::to_string).collect()
}

/// Lines of `ADDRESS INDEX PREFIX SCOPE FLAGS NAME`; scope 0 is global.
fn ipv6(text: &str) -> Vec<String> {
    let mut found: Vec<_> = text
        .lines()
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let [address, _, _, "00", ..] = fields.as_slice() else {
                return None;
            };
            u128::from_str_radix(address, 16).ok().map(std::net::Ipv6Addr::from)
        })
        .collect();
    found.sort_unstable();
    found.iter().map(ToString::to_string).collect()
}

/// Whole disks and what is made of them, from /sys/class/block: name, path, size in bytes, kind, model, serial.
fn block_devices() -> Result<Value> {
    let class = Path::new("/sys/class/block");
    let mut devices = Vec::new();
    for name in texts::list(class)? {
        let attribute = |attribute: &str| -> Result<Option<String>> {
            let text = texts::read(&class.join(&name).join(attribute))?;
            Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
        };
        let sectors: u64 = attribute("size")?.and_then(|size| size.parse().ok()).unwrap_or(0);
        if sectors == 0 {
            continue;
        }
        let kind = if attribute("partition")?.is_some() {
            "partition"
        } else if let Some(mapped) = attribute("dm/uuid")? {
            if mapped.starts_with("LVM-") { "lvm" } else { "mapped" }
        } else {
            match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
                "loop" => "loop",
                "ram" | "zram" => "ram",
                "md" => "raid",
                "sr" => "rom",
                _ => "disk",
            }
        };
        let mapped = attribute("dm/name")?;
        devices.push(json!({
            "name": name,
            "path": mapped.map_or_else(|| format!("/dev/{name}"), |mapped| format!("/dev/mapper/{mapped}")),
            "size": sectors * 512,
            "kind": kind,
            "model": attribute("device/model")?,
            "serial": attribute("device/serial")?,
            "rotational": attribute("queue/rotational")?.map(|text| text == "1"),
        }));
    }
    Ok(Value::Array(devices))
}

/// What the node runs in: a container (`docker`, `lxc`, `systemd-nspawn`…), a virtual machine (`kvm`, `vmware`, `virtualbox`,
/// `xen`, `microsoft`, `vm`), or `none`. The marks are those of systemd-detect-virt(1).
fn virtualization() -> Result<String> {
    for mark in ["/run/systemd/container", "/run/host/container-manager"] {
        if let Some(name) = texts::read(Path::new(mark))? {
            return Ok(name.trim().to_owned());
        }
    }
    for (mark, name) in [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")] {
        if Path::new(mark).exists() {
            return Ok(name.to_owned());
        }
    }
    let dmi = |name: &str| texts::read(&Path::new("/sys/class/dmi/id").join(name)).map(Option::unwrap_or_default);
    let vendor = format!("{} {}", dmi("sys_vendor")?, dmi("product_name")?);
    for (mark, name) in [
        ("QEMU", "kvm"),
        ("KVM", "kvm"),
        ("VMware", "vmware"),
        ("VirtualBox", "virtualbox"),
        ("innotek", "virtualbox"),
        ("Xen", "xen"),
        ("Microsoft Corporation Virtual", "microsoft"),
        ("Amazon EC2", "kvm"),
        ("Google", "kvm"),
    ] {
        if vendor.contains(mark) {
            return Ok(name.to_owned());
        }
    }
    let flags = texts::read(Path::new("/proc/cpuinfo"))?.unwrap_or_default();
    let hypervisor = flags
        .lines()
        .any(|line| line.starts_with("flags") && line.split_whitespace().any(|flag| flag == "hypervisor"));
    Ok(if hypervisor { "vm" } else { "none" }.to_owned())
}

/// Facts of an example node, for checking roles offline.
#[derive(Debug, Clone, Copy, Default)]
pub struct SampleFacts;

impl Facts for SampleFacts {
    fn get(&self, name: &str) -> Result<Value> {
        Ok(match name {
            "os" => json!({
                "id": "debian", "id_like": [], "family": "debian", "version_id": "13", "version_codename": "trixie",
                "name": "Debian GNU/Linux", "pretty_name": "Debian GNU/Linux 13 (trixie)",
            }),
            "kernel" => json!("6.12.0-amd64"),
            "arch" => json!("x86_64"),
            "hostname" => json!("node"),
            "fqdn" => json!("node.example.org"),
            "cpus" => json!(2),
            "memory" => json!(4_u64 << 30),
            "addresses" => json!(["192.0.2.1"]),
            "block_devices" => json!([{
                "name": "vda", "path": "/dev/vda", "size": 20_u64 << 30, "kind": "disk", "model": null, "serial": null,
                "rotational": false,
            }]),
            "virtual" => json!("kvm"),
            _ => bail!("there is no fact '{name}'"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_os_release_as_shell_does() {
        let os = os_release(
            "# comment\nID=ubuntu\nID_LIKE=debian\nPRETTY_NAME=\"Ubuntu \\\"24.04\\\"\"\nVERSION_ID='24.04'\n",
        );
        assert_eq!(os["id"], "ubuntu");
        assert_eq!(os["pretty_name"], "Ubuntu \"24.04\"");
        assert_eq!(os["version_id"], "24.04");
    }

    #[test]
    fn the_family_is_the_oldest_ancestor() -> Result<()> {
        let root = tempfile::tempdir()?;
        std::fs::DirBuilder::new().create(root.path().join("etc"))?;
        let write = |text: &str| {
            use std::io::Write as _;
            std::fs::File::create(root.path().join("etc/os-release"))?.write_all(text.as_bytes())
        };
        let facts = NodeFacts::new(root.path());
        for (text, family) in [
            ("ID=debian\n", "debian"),
            ("ID=ubuntu\nID_LIKE=debian\n", "debian"),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "debian"),
        ] {
            write(text)?;
            assert_eq!(facts.get("os")?["family"], family, "{text}");
        }
        Ok(())
    }

    #[test]
    fn a_tree_without_a_name_has_none() -> Result<()> {
        use std::io::Write as _;
        let root = tempfile::tempdir()?;
        let facts = NodeFacts::new(root.path());
        let names = || Ok::<_, anyhow::Error>([facts.get("hostname")?, facts.get("fqdn")?]);
        assert_eq!(names()?, [Value::Null, Value::Null]);
        let error = format!("{:#}", facts.get("os").expect_err("it says no more of its system"));
        assert_eq!(error, format!("there is no {}/etc/os-release", root.path().display()));
        std::fs::DirBuilder::new().create(root.path().join("etc"))?;
        std::fs::File::create(root.path().join("etc/hostname"))?.write_all(b"# ours\ndb1\n")?;
        std::fs::File::create(root.path().join("etc/hosts"))?.write_all(b"127.0.1.1 db1.example.org db1\n")?;
        assert_eq!(names()?, ["db1", "db1.example.org"]);
        Ok(())
    }

    #[test]
    fn the_machine_answers_every_question() -> Result<()> {
        let facts = NodeFacts::new("/");
        for name in NAMES {
            let value = facts.get(name).with_context(|| name.to_owned())?;
            assert!(!value.is_null(), "{name}");
            assert_eq!(
                std::mem::discriminant(&value),
                std::mem::discriminant(&SampleFacts.get(name)?),
                "{name}: samples have the shape of facts"
            );
        }
        assert!(facts.get("cpus")?.as_u64() > Some(0));
        assert!(facts.get("memory")?.as_u64() > Some(1 << 20));
        Ok(())
    }

    #[test]
    fn parses_what_the_kernel_prints() {
        assert_eq!(cpus("0-3,8"), Some(5));
        assert_eq!(cpus("0"), Some(1));
        assert_eq!(cpus("x"), None);
        assert_eq!(
            fqdn_in("127.0.0.1 localhost\n127.0.1.1 db.example.org db # me\n", "db"),
            Some("db.example.org".to_owned())
        );
        assert_eq!(fqdn_in("127.0.1.1 db\n", "db"), None);
        let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.2.15\n        /32 host LOCAL\n     |-- 10.0.2.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        assert_eq!(ipv4(trie), ["10.0.2.15"]);
        let inet6 = "fe800000000000005054fffffe123456 02 40 20 80 eth0\n20010db8000000000000000000000001 02 40 00 80 eth0\n00000000000000000000000000000001 01 80 10 80 lo\n";
        assert_eq!(ipv6(inet6), ["2001:db8::1"]);
    }
}
