//! The verifier's negative controls: for each rule, `wrong.sys` breaks it, and the bench says so.
//!
//! `./x test` builds both and sets `VRNIC_NTBENCH` and `VRNIC_WRONG_SYS`.

use ntbench::verifier::{EXIT_CODE, Rule};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

/// Further ways to break a rule: its name, a hyphen, and the way.
const VARIANTS: &[&str] = &[
    "InvalidAccess-wild",
    "InvalidAccess-unmapped",
    "PoolBadFree-unknown",
    "NdkObjectHeader-version",
    "NdkObjectHeader-reserved",
    "NdkObjectHeader-slot",
    "NdkStatusUndocumented-close",
    "WskRegistration-release",
    "WskRegistration-client",
    "NdkConsumerObject-kind",
    "NdkConsumerObject-adapter",
    "NdkStatusOfFunction-post",
    "NdkResultUnknown-failed",
];

/// Most of the time a check waits.
const AT_A_TIME: usize = 4;

fn setting(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: run the tests by ./x test"))
}

/// What the check of `wrong.sys` said: exit code, and standard error. Faults of NDK consumers happen beside a provider, which
/// is another `wrong.sys`.
fn check(fault: &str) -> (Option<i32>, String) {
    let image = PathBuf::from(setting("VRNIC_WRONG_SYS"));
    let provider = image.to_str().expect("the path is text").to_owned();
    let of_consumers = ["NdkConsumer", "Wsk", "none-consumer"];
    if of_consumers.iter().any(|name| fault.starts_with(name)) {
        return check_image(&image, fault, &["--provider", &provider]);
    }
    check_image(&image, fault, &[])
}

fn check_image(image: &Path, fault: &str, options: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(setting("VRNIC_NTBENCH"))
        .arg("check")
        .arg(image)
        .args(["--fault", fault])
        .args(options)
        .output()
        .expect("ntbench starts");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// What is wrong with the report of a fault.
fn judge(fault: &str, rule: &str) -> Option<String> {
    let (code, report) = check(fault);
    let line = report.lines().find(|line| line.starts_with("VERIFIER "));
    let named = line.is_some_and(|line| line.starts_with(&format!("VERIFIER rule={rule} code=0x")));
    let advised = report.contains("what to do: ");
    let stack = report.contains("driver stack:");
    (code != Some(EXIT_CODE) || !named || !advised || !stack)
        .then(|| format!("{fault}: exit code {code:?}\n{report}"))
}

#[test]
fn every_rule_is_noticed() {
    let mut faults: Vec<(&str, &str)> = Rule::ALL.iter().map(|rule| (rule.name(), rule.name())).collect();
    faults.extend(
        VARIANTS
            .iter()
            .map(|name| (*name, name.split('-').next().unwrap_or(name))),
    );
    let (queue, wrong) = (Mutex::new(faults), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no check panics").pop();
                    let Some((fault, rule)) = next else { break };
                    wrong.lock().expect("no check panics").extend(judge(fault, rule));
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no check panics");
    assert!(
        wrong.is_empty(),
        "{} faults were not noticed:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_driver_that_breaks_no_rule_is_let_alone() {
    for fault in ["none", "none-miniport", "none-consumer"] {
        let (code, report) = check(fault);
        assert_eq!(code, Some(0), "{fault}\n{report}");
    }
}

#[test]
fn a_fault_that_there_is_not_is_an_error() {
    let (code, report) = check("NoSuchFault");
    assert_eq!(code, Some(1), "{report}");
    assert!(report.contains("DriverEntry failed with 0xc0000034"), "{report}");
}

#[test]
fn with_low_resources_each_allocation_fails_once() {
    let image = PathBuf::from(setting("VRNIC_WRONG_SYS"));
    let unchecked = "InvalidAccess-allocation";
    let (code, report) = check_image(&image, unchecked, &[]);
    assert_eq!(code, Some(0), "the allocation succeeds\n{report}");
    let (code, report) = check_image(&image, unchecked, &["--low-resources"]);
    assert_eq!(
        code,
        Some(EXIT_CODE),
        "the allocation fails, and the driver does not look\n{report}"
    );
    assert!(report.starts_with("VERIFIER rule=InvalidAccess "), "{report}");
}

#[test]
fn the_driver_breaks_no_rule() {
    let image = PathBuf::from(setting("VRNIC_SYS"));
    for options in [&[][..], &["--low-resources"]] {
        let (code, report) = check_image(&image, "vrnic", options);
        assert_eq!(code, Some(0), "{options:?}\n{report}");
    }
}

/// The image with an import under another name of the same length, with the letters at even and at odd places only
/// swapped among themselves: so the checksum, a sum of 16-bit words, stays right.
fn with_renamed_import(image: &[u8], name: &str, other: &str) -> Vec<u8> {
    assert_eq!(name.len(), other.len());
    let mut bytes = image.to_vec();
    let zero_ended = [name.as_bytes(), b"\0"].concat();
    let places = image
        .windows(zero_ended.len())
        .enumerate()
        .filter(|(_, window)| *window == zero_ended);
    let places: Vec<usize> = places.map(|(place, _)| place).collect();
    assert_eq!(places.len(), 1, "{name} is imported once");
    bytes[places[0]..places[0] + name.len()].copy_from_slice(other.as_bytes());
    bytes
}

#[test]
fn an_import_that_the_bench_has_not_is_named() {
    let image = fs::read(setting("VRNIC_WRONG_SYS")).expect("wrong.sys can be read");
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("unknown.sys");
    fs::write(
        &path,
        with_renamed_import(&image, "IoFreeWorkItem", "IoFreeroWkItem"),
    )
    .expect("there is room");
    let (code, report) = check_image(&path, "none", &[]);
    assert_eq!(code, Some(1), "{report}");
    assert!(
        report.contains("IoFreeroWkItem") && report.contains("ntoskrnl.exe"),
        "{report}"
    );
}
