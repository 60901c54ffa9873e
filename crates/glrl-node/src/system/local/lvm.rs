//! LVM's report: all of it by one process.

#![expect(clippy::struct_field_names, reason = "the columns of lvmreport(7) are what they are")]

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{block, kernel};
use crate::system::{
    Layout, LogicalVolume, Lvm, PhysicalVolume, Refused, VolumeGroup,
    programs::{Missing, Program},
};

/// LVM waits for its own lock while another command of it works.
const TIMEOUT: Duration = Duration::from_mins(1);

/// All of LVM. Where its programs are missing there is none, if no device is one of its physical volumes.
pub(super) fn read() -> Result<Lvm> {
    let report = Program::new("lvm")
        .args(["fullreport", "--reportformat", "json", "--units", "b", "--nosuffix"])
        .args(["--configreport", "pv", "-o"])
        .args(["pv_name,vg_name,pv_pe_count,pv_pe_alloc_count,pv_mda_count,pv_mda_size,pv_missing,pv_in_use,pe_start,dev_size"])
        .args(["--configreport", "vg", "-o"])
        .args(["vg_name,vg_extent_size,vg_extent_count,vg_free_count"])
        .args(["--configreport", "lv", "-o"])
        .args(["vg_name,lv_name,lv_size,lv_attr,lv_metadata_size,origin,pool_lv,lv_tags"])
        .args(["--configreport", "seg", "-o", "lv_name,stripes,stripe_size,chunk_size"])
        // Segments of physical volumes are not asked for, but a report has them.
        .args(["--configreport", "pvseg", "-o", "pv_name"])
        .timeout(TIMEOUT)
        .stdout();
    let lvm = match report {
        Ok(report) => parse(&report),
        // Still the error of a program that is missing: it is known what there is once its package is installed.
        Err(error) if error.is::<Missing>() => {
            no_physical_volumes().map_err(|found| error.context(format!("install lvm2: {found:#}")))
        }
        Err(error) => Err(error),
    };
    lvm.map_err(|error| {
        let what = format!("nobody can tell what LVM has: {error:#}");
        error.context(Refused {
            what,
            hint: "see what `lvm fullreport` says, and run again when it can be read".to_owned(),
        })
    })
}

/// The report of a node without LVM's programs: empty, or an error if there may be something to report.
fn no_physical_volumes() -> Result<Lvm> {
    for name in block::names()? {
        if block::is_physical_volume(&name)? == Some(true) {
            bail!("/dev/{name} is a physical volume");
        }
    }
    Ok(Lvm::default())
}

#[derive(Deserialize)]
struct Report {
    report: Vec<Part>,
}

/// One volume group, or the physical volumes that belong to none.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Part {
    vg: Vec<Vg>,
    pv: Vec<Pv>,
    lv: Vec<Lv>,
    seg: Vec<Seg>,
}

#[derive(Deserialize)]
struct Vg {
    vg_name: String,
    vg_extent_size: String,
    vg_extent_count: String,
    vg_free_count: String,
}

#[derive(Deserialize)]
struct Pv {
    pv_name: String,
    vg_name: String,
    pv_pe_count: String,
    pv_pe_alloc_count: String,
    pv_mda_count: String,
    pv_mda_size: String,
    pv_missing: String,
    pv_in_use: String,
    pe_start: String,
    dev_size: String,
}

#[derive(Deserialize)]
struct Lv {
    vg_name: String,
    lv_name: String,
    lv_size: String,
    lv_attr: String,
    lv_metadata_size: String,
    origin: String,
    pool_lv: String,
    lv_tags: String,
}

/// A part of a logical volume that lies in one piece, or in parallel.
#[derive(Deserialize)]
struct Seg {
    lv_name: String,
    stripes: String,
    stripe_size: String,
    chunk_size: String,
}

pub(super) fn parse(report: &[u8]) -> Result<Lvm> {
    let report: Report = serde_json::from_slice(report).context("it is not the JSON that lvmreport(7) describes")?;
    let mut lvm = Lvm::default();
    for part in report.report {
        let mut extent_size = 0;
        for group in part.vg {
            extent_size = number(&group.vg_extent_size)?;
            let group = VolumeGroup {
                name: group.vg_name,
                extent_size,
                extents: number(&group.vg_extent_count)?,
                free_extents: number(&group.vg_free_count)?,
            };
            must_be_possible(&group)?;
            lvm.volume_groups.push(group);
        }
        for volume in part.pv {
            lvm.physical_volumes.push(physical_volume(volume, extent_size)?);
        }
        for volume in part.lv {
            // What is added to a volume is laid out as its last segment is.
            let last = part.seg.iter().rev().find(|segment| segment.lv_name == volume.lv_name);
            let layout = layout(&volume, last)?;
            lvm.logical_volumes.push(LogicalVolume {
                // Hidden ones have brackets around their names.
                name: volume.lv_name.trim_matches(['[', ']']).to_owned(),
                volume_group: volume.vg_name,
                size: number(&volume.lv_size)?,
                attributes: volume.lv_attr,
                origin: filled(volume.origin),
                layout,
                tags: volume
                    .lv_tags
                    .split(',')
                    .filter(|tag| !tag.is_empty())
                    .map(str::to_owned)
                    .collect(),
            });
        }
    }
    Ok(lvm)
}

/// Refuses a group whose sizes cannot be computed with.
fn must_be_possible(group: &VolumeGroup) -> Result<()> {
    let VolumeGroup {
        name,
        extent_size,
        extents,
        free_extents,
    } = group;
    if *extent_size == 0 || extents.checked_mul(*extent_size).is_none() || free_extents > extents {
        bail!("it says that {name} has {extents} extents of {extent_size} bytes, {free_extents} of them free");
    }
    Ok(())
}

fn physical_volume(volume: Pv, extent_size: u64) -> Result<PhysicalVolume> {
    let missing = !volume.pv_missing.is_empty();
    let volume_group = filled(volume.vg_name).or_else(|| filled(volume.pv_in_use).map(|_| "[unknown]".to_owned()));
    // A second copy of the metadata, where there is one, lies at the device's end.
    let behind = match number(&volume.pv_mda_count)? {
        0 | 1 => 0,
        _ => number(&volume.pv_mda_size)?,
    };
    let room = match volume.dev_size.as_str() {
        "" => 0,
        size => number(size)?.saturating_sub(number(&volume.pe_start)?.saturating_add(behind)),
    };
    let extents = number(&volume.pv_pe_count)?;
    let size = extents.checked_mul(extent_size).with_context(|| {
        format!(
            "it says that {} has {extents} extents of {extent_size} bytes",
            volume.pv_name
        )
    })?;
    Ok(PhysicalVolume {
        device: if missing {
            volume.pv_name.into()
        } else {
            kernel::canonical(Path::new(&volume.pv_name))
        },
        volume_group,
        size,
        free_extents: Some(extents.saturating_sub(number(&volume.pv_pe_alloc_count)?)),
        room,
        missing,
    })
}

/// By the first of its attributes (lvs(8)) and its last segment.
fn layout(volume: &Lv, last: Option<&Seg>) -> Result<Layout> {
    let segment = || last.with_context(|| format!("{}/{} has no segment", volume.vg_name, volume.lv_name));
    Ok(match volume.lv_attr.as_bytes().first() {
        Some(b't') => Layout::ThinPool {
            metadata: number(&volume.lv_metadata_size)?,
            chunk: number(&segment()?.chunk_size)?,
        },
        Some(b'V') => Layout::Thin {
            pool: volume.pool_lv.trim_matches(['[', ']']).to_owned(),
        },
        Some(b's' | b'S') => Layout::Other("a snapshot"),
        Some(b'T' | b'D' | b'e' | b'i' | b'I' | b'l') => Layout::Other("an internal volume of LVM"),
        Some(b'C') => Layout::Other("a cache"),
        Some(b'v' | b'p' | b'c') => Layout::Other("a volume under conversion"),
        Some(b'd') => Layout::Other("a VDO pool"),
        Some(b'm' | b'M' | b'r' | b'R') => Layout::Linear,
        _ => match number(&segment()?.stripes)? {
            0 | 1 => Layout::Linear,
            stripes => Layout::Striped {
                stripes,
                stripe_size: number(&segment()?.stripe_size)?,
            },
        },
    })
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn number(text: &str) -> Result<u64> {
    text.parse().with_context(|| format!("'{text}' is not a number"))
}

#[cfg(test)]
mod tests {

    use super::*;

    /// From lvm2 2.03.16.
    const REPORT: &str = r#"{
      "report": [
          {
              "vg": [{"vg_name":"data", "vg_extent_size":"4194304", "vg_extent_count":"148", "vg_free_count":"100"}]
              ,
              "pv": [
                  {"pv_name":"/dev/no-vdb", "vg_name":"data", "pv_pe_count":"74", "pv_pe_alloc_count":"48", "pv_mda_count":"1", "pv_mda_size":"1044480", "pv_missing":"", "pv_in_use":"used", "pe_start":"1048576", "dev_size":"419430400"},
                  {"pv_name":"[unknown]", "vg_name":"data", "pv_pe_count":"74", "pv_pe_alloc_count":"48", "pv_mda_count":"1", "pv_mda_size":"1044480", "pv_missing":"missing", "pv_in_use":"used", "pe_start":"1048576", "dev_size":"0"}
              ]
              ,
              "lv": [
                  {"vg_name":"data", "lv_name":"a", "lv_size":"201326592", "lv_attr":"owi-aos---", "lv_metadata_size":"", "origin":"", "pool_lv":"", "lv_tags":""},
                  {"vg_name":"data", "lv_name":"[s]", "lv_size":"4194304", "lv_attr":"swi-a-s---", "lv_metadata_size":"", "origin":"a", "pool_lv":"", "lv_tags":"glrl,run-7"},
                  {"vg_name":"data", "lv_name":"st", "lv_size":"92274688", "lv_attr":"-wi-a-----", "lv_metadata_size":"", "origin":"", "pool_lv":"", "lv_tags":""},
                  {"vg_name":"data", "lv_name":"pool", "lv_size":"83886080", "lv_attr":"twi-aotz--", "lv_metadata_size":"4194304", "origin":"", "pool_lv":"", "lv_tags":""},
                  {"vg_name":"data", "lv_name":"thin", "lv_size":"1073741824", "lv_attr":"Vwi-a-tz--", "lv_metadata_size":"", "origin":"", "pool_lv":"pool", "lv_tags":""}
              ]
              , "pvseg": [ {"pv_name":"/dev/no-vdb"} ] , "seg": [
                  {"lv_name":"a", "stripes":"1", "stripe_size":"0", "chunk_size":"0"},
                  {"lv_name":"st", "stripes":"1", "stripe_size":"0", "chunk_size":"0"},
                  {"lv_name":"st", "stripes":"2", "stripe_size":"65536", "chunk_size":"0"},
                  {"lv_name":"pool", "stripes":"1", "stripe_size":"0", "chunk_size":"65536"},
                  {"lv_name":"thin", "stripes":"0", "stripe_size":"0", "chunk_size":"0"}
              ]
          }
          ,
          {
              "pv": [
                  {"pv_name":"/dev/no-vdd", "vg_name":"", "pv_pe_count":"0", "pv_pe_alloc_count":"0", "pv_mda_count":"1", "pv_mda_size":"1044480", "pv_missing":"", "pv_in_use":"", "pe_start":"1048576", "dev_size":"314572800"},
                  {"pv_name":"/dev/no-vde", "vg_name":"", "pv_pe_count":"0", "pv_pe_alloc_count":"0", "pv_mda_count":"0", "pv_mda_size":"0", "pv_missing":"", "pv_in_use":"used", "pe_start":"1048576", "dev_size":"314572800"}
              ]
          }
      ]
    }"#;

    #[test]
    fn one_report_holds_all() {
        let lvm = parse(REPORT.as_bytes()).unwrap();
        assert_eq!(
            lvm.volume_group("data")
                .map(|group| (group.extents, group.free_extents)),
            Some((148, 100))
        );
        let [grown, missing, orphan, stray] = lvm.physical_volumes.as_slice() else {
            panic!("{lvm:?}")
        };
        assert_eq!((grown.size, grown.room), (74 << 22, 399 << 20));
        assert!(missing.missing && missing.device == Path::new("[unknown]"));
        assert_eq!(orphan.volume_group, None);
        assert_eq!(stray.volume_group.as_deref(), Some("[unknown]"));
        assert_eq!(grown.free_extents, Some(26));
        let layout = |name| &lvm.logical_volume("data", name).unwrap().layout;
        assert_eq!(*layout("a"), Layout::Linear);
        assert_eq!(
            *layout("st"),
            Layout::Striped {
                stripes: 2,
                stripe_size: 64 << 10
            }
        );
        assert_eq!(
            *layout("pool"),
            Layout::ThinPool {
                metadata: 4 << 20,
                chunk: 64 << 10
            }
        );
        assert_eq!(
            *layout("thin"),
            Layout::Thin {
                pool: "pool".to_owned()
            }
        );
        let snapshot = lvm.logical_volume("data", "s").unwrap();
        assert_eq!((snapshot.origin.as_deref(), snapshot.tags.len()), (Some("a"), 2));
    }

    #[test]
    fn a_broken_report_is_an_error() {
        for broken in [
            "",
            "{}",
            "{\"report\": [",
            "WARNING: x\n{\"report\": []}",
            "{\"report\": [{\"pv\": [{}]}]}",
        ] {
            assert!(parse(broken.as_bytes()).is_err(), "{broken}");
        }
        assert!(parse(REPORT.replace("\"74\"", "\"seventy\"").as_bytes()).is_err());
        // Sizes that nothing can have, each of which would be computed with.
        let most = format!("\"{}\"", u64::MAX);
        for (number, other) in [
            ("\"4194304\"", "\"0\""),
            ("\"148\"", most.as_str()),
            ("\"100\"", "\"149\""),
            ("\"74\"", most.as_str()),
        ] {
            let report = REPORT.replacen(number, other, 1);
            let error = parse(report.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("extents of"), "{error}");
        }
        let far = REPORT
            .replace("\"pv_mda_count\":\"1\"", "\"pv_mda_count\":\"2\"")
            .replace("\"1044480\"", &most);
        assert_eq!(parse(far.as_bytes()).unwrap().physical_volumes[0].room, 0);
        assert_eq!(parse(b"{\"report\": []}").unwrap(), Lvm::default());
    }
}
