//! How long a writer waits because of a backup: glrl's, what one would type, and the tools that the distribution has, in turns, under the
//! same load, seen by the same writer. `make bench-locks` runs it; the figures are in docs/benchmarks.md.

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Writer, database, in_a_row::spread};
use crate::node::glrl::{LIMIT, write};

/// FLUSH TABLES WITH READ LOCK and lvcreate, from one connection. Prints how long the lock was held, and lvcreate took, in milliseconds.
const PLAIN: &str = r#"
use strict;
use DBI;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);
my $db = DBI->connect('DBI:mysql:', 'root', '', { RaiseError => 1 });
$db->do('FLUSH TABLES WITH READ LOCK');
my $got = clock_gettime(CLOCK_MONOTONIC);
$db->selectall_arrayref('SHOW MASTER STATUS');
my $began = clock_gettime(CLOCK_MONOTONIC);
system('lvcreate -q -y -s -L 256M -n plain mysql/data > /dev/null 2>&1') == 0 or die;
my $took = clock_gettime(CLOCK_MONOTONIC) - $began;
$db->do('UNLOCK TABLES');
printf "%.1f %.1f\n", 1000 * (clock_gettime(CLOCK_MONOTONIC) - $got), 1000 * $took;
"#;

/// What is compared, and how it is run. mylvmbackup without an archive ends with an error when all is done. Each cleans up after itself, outside of what is measured.
const TOOLS: [(&str, &str, &str); 5] = [
    ("nothing at all", "sleep 8", "true"),
    ("glrl backup run", "glrl backup run --quiet", "rm -f /srv/backup/*"),
    (
        "FLUSH TABLES WITH READ LOCK, lvcreate",
        "perl /root/plain.pl > /run/plain",
        "lvremove -q -y mysql/plain",
    ),
    (
        "mylvmbackup",
        "mylvmbackup --user=root --vgname=mysql --lvname=data --lvsize=256M --mountdir=/run/mnt --backupdir=/srv/mylvm \
        --backuptype=none --xfs --socket=/run/mysqld/mysqld.sock || grep -q 'DONE: Removing snapshot' /run/said",
        "true",
    ),
    (
        "mydumper",
        "mydumper --database shop --outputdir /srv/dump --threads 2",
        "rm -rf /srv/dump",
    ),
];

#[test]
#[ignore = "takes long, and proves nothing but figures"]
fn locks_are_compared() -> Result<()> {
    let rounds: usize = match std::env::var("GLRL_ROUNDS") {
        Ok(text) => text.parse().context("reading GLRL_ROUNDS")?,
        Err(_) => 20,
    };
    let lab = database()?;
    let node = &lab["mysql"];
    write(node, "/root/plain.pl", PLAIN)?;
    node.run("mkdir -p /run/mnt /srv/mylvm")?;
    let writer = Writer::start(node)?;
    let mut gaps = TOOLS.map(|_| Vec::new());
    let mut holds = TOOLS.map(|_| Vec::<[f64; 2]>::new());
    for round in 0..rounds {
        for (index, (name, command, clean)) in TOOLS.into_iter().enumerate() {
            // The writer's own clock: where its log stood before, and what came until it had committed again afterwards.
            let output = node.ssh_within(
                &format!(
                    "before=$(wc -l < /run/writer.log); {{ {command}; }} > /run/said 2>&1 || {{ cat /run/said; exit 1; }}; sleep 0.5; \
                     tail -n +$before /run/writer.log | awk 'last && $1 - last > most {{ most = $1 - last }} {{ last = $1 }} END {{ print 1000 * most }}'; \
                     case '{name}' in glrl*) cat $(ls /srv/backup/*.json | grep -v verified) > /run/manifest ;; esac; {{ {clean}; }} > /dev/null 2>&1"
                ),
                LIMIT,
            )?;
            let gap: f64 = super::succeeded(name, output)?
                .trim()
                .parse()
                .with_context(|| format!("reading {name}'s gap"))?;
            gaps[index].push(gap);
            if name.starts_with("glrl") {
                let manifest: Value = serde_json::from_str(&node.run("cat /run/manifest")?)?;
                let lock = |what: &str| manifest["lock"][what].as_f64().with_context(|| format!("no {what}"));
                holds[index].push([lock("hold_ms")?, lock("snapshot_ms")?]);
            } else if name.starts_with("FLUSH") {
                let said = node.run("cat /run/plain")?;
                let mut times = said.split_whitespace().map(str::parse);
                let mut next = || times.next().context("a time")?.context("reading a time");
                holds[index].push([next()?, next()?]);
            }
            println!("{round} {name}: longest gap {gap:.1} ms {:?}", holds[index].last());
        }
    }
    writer.stop()?;
    println!(
        "{:<40} {:>22} {:>22} {:>22}",
        "milliseconds, median and longest", "a writer's gap", "lock held", "beside lvcreate"
    );
    for ((name, ..), (gaps, holds)) in TOOLS.into_iter().zip(gaps.iter_mut().zip(&holds)) {
        let pair = |times: &mut [f64]| {
            let (median, longest) = spread(times);
            format!("{median:>10.1} {longest:>10.1}")
        };
        let (mut held, mut beside): (Vec<f64>, Vec<f64>) =
            holds.iter().map(|[hold, took]| (*hold, hold - took)).unzip();
        let unknown = holds.is_empty();
        let shown = |times: &mut [f64]| if unknown { String::new() } else { pair(times) };
        println!(
            "{name:<40} {:>22} {:>22} {:>22}",
            pair(gaps),
            shown(&mut held),
            shown(&mut beside)
        );
    }
    Ok(())
}
