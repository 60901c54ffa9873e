//! LVM's report: all of it by one process.

#![expect(clippy::struct_field_names, reason = "the columns of lvmreport(7) are what they are")]

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::block;
use crate::system::{
    LogicalVolume, Lvm, PhysicalVolume, VolumeGroup,
    programs::{Missing, Program},
};

/// LVM waits for its own lock while another command of it works.
const TIMEOUT: Duration = Duration::from_mins(1);

/// All of LVM. Where its programs are missing there is none, if no device is one of its physical volumes.
pub(super) fn read() -> Result<Lvm> {
    let report = Program::new("lvm")
        .args(["fullreport", "--reportformat", "json", "--units", "b", "--nosuffix"])
        .args(["--configreport", "pv", "-o"])
        .args(["pv_name,vg_name,pv_pe_count,pv_mda_count,pv_mda_size,pv_missing,pv_in_use,pe_start,dev_size"])
        .args(["--configreport", "vg", "-o"])
        .args(["vg_name,vg_extent_size,vg_extent_count,vg_free_count"])
        .args(["--configreport", "lv", "-o"])
        .args(["vg_name,lv_name,lv_size,lv_attr,origin,pool_lv,lv_tags"])
        // Segments are not asked for, but a report has them.
        .args([
            "--configreport",
            "pvseg",
            "-o",
            "pv_name",
            "--configreport",
            "seg",
            "-o",
            "lv_name",
        ])
        .timeout(TIMEOUT)
        .stdout();
    match report {
        Ok(report) => parse(&report).context("reading LVM's report"),
        Err(error) if error.is::<Missing>() => {
            no_physical_volumes().map_err(|device| device.context("LVM cannot be read: install lvm2"))
        }
        Err(error) => Err(error.context("reading LVM's report")),
    }
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
    origin: String,
    pool_lv: String,
    lv_tags: String,
}

fn parse(report: &[u8]) -> Result<Lvm> {
    let report: Report = serde_json::from_slice(report).context("it is not the JSON that lvmreport(7) describes")?;
    let mut lvm = Lvm::default();
    for part in report.report {
        let mut extent_size = 0;
        for group in part.vg {
            extent_size = number(&group.vg_extent_size)?;
            lvm.volume_groups.push(VolumeGroup {
                name: group.vg_name,
                extent_size,
                extents: number(&group.vg_extent_count)?,
                free_extents: number(&group.vg_free_count)?,
            });
        }
        for volume in part.pv {
            lvm.physical_volumes.push(physical_volume(volume, extent_size)?);
        }
        for volume in part.lv {
            lvm.logical_volumes.push(LogicalVolume {
                // Hidden ones have brackets around their names.
                name: volume.lv_name.trim_matches(['[', ']']).to_owned(),
                volume_group: volume.vg_name,
                size: number(&volume.lv_size)?,
                attributes: volume.lv_attr,
                origin: filled(volume.origin),
                pool: filled(volume.pool_lv),
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
        size => number(size)?.saturating_sub(number(&volume.pe_start)? + behind),
    };
    Ok(PhysicalVolume {
        device: if missing {
            volume.pv_name.into()
        } else {
            block::canonical(Path::new(&volume.pv_name))
        },
        volume_group,
        size: number(&volume.pv_pe_count)? * extent_size,
        room,
        missing,
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
                  {"pv_name":"/dev/no-vdb", "vg_name":"data", "pv_pe_count":"74", "pv_mda_count":"1", "pv_mda_size":"1044480", "pv_missing":"", "pv_in_use":"used", "pe_start":"1048576", "dev_size":"419430400"},
                  {"pv_name":"[unknown]", "vg_name":"data", "pv_pe_count":"74", "pv_mda_count":"1", "pv_mda_size":"1044480", "pv_missing":"missing", "pv_in_use":"used", "pe_start":"1048576", "dev_size":"0"}
              ]
              ,
              "lv": [
                  {"vg_name":"data", "lv_name":"a", "lv_size":"201326592", "lv_attr":"owi-aos---", "origin":"", "pool_lv":"", "lv_tags":""},
                  {"vg_name":"data", "lv_name":"[s]", "lv_size":"4194304", "lv_attr":"swi-a-s---", "origin":"a", "pool_lv":"", "lv_tags":"glrl,run-7"}
              ]
              , "pvseg": [ {"pv_name":"/dev/no-vdb"} ] , "seg": [ ]
          }
          ,
          {
              "pv": [
                  {"pv_name":"/dev/no-vdd", "vg_name":"", "pv_pe_count":"0", "pv_mda_count":"1", "pv_mda_size":"1044480", "pv_missing":"", "pv_in_use":"", "pe_start":"1048576", "dev_size":"314572800"},
                  {"pv_name":"/dev/no-vde", "vg_name":"", "pv_pe_count":"0", "pv_mda_count":"0", "pv_mda_size":"0", "pv_missing":"", "pv_in_use":"used", "pe_start":"1048576", "dev_size":"314572800"}
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
        assert_eq!(parse(b"{\"report\": []}").unwrap(), Lvm::default());
    }
}
