//! The verifier's negative controls: for each rule, `wrong.sys` breaks it, and the bench says so.
//!
//! `./x test` builds both and sets `VRNIC_NTBENCH` and `VRNIC_WRONG_SYS`.

use ntbench::verifier::{EXIT_CODE, Rule};
use std::env;
use std::ffi::OsString;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

/// Further ways to break a rule: its name, a hyphen, and the way.
const VARIANTS: &[&str] = &[
    "InvalidAccess-wild",
    "PoolBadFree-unknown",
    "NdkObjectHeader-version",
    "NdkObjectHeader-reserved",
    "NdkObjectHeader-slot",
    "NdkStatusUndocumented-close",
];

/// Most of the time a check waits.
const AT_A_TIME: usize = 4;

fn setting(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: run the tests by ./x test"))
}

/// What one check said: exit code, and standard error.
fn check(fault: &str) -> (Option<i32>, String) {
    let output = Command::new(setting("VRNIC_NTBENCH"))
        .arg("check")
        .arg(setting("VRNIC_WRONG_SYS"))
        .args(["--fault", fault])
        .output()
        .expect("ntbench starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
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
    faults.extend(VARIANTS.iter().map(|name| (*name, name.split('-').next().unwrap_or(name))));
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
    assert!(wrong.is_empty(), "{} faults were not noticed:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_driver_that_breaks_no_rule_is_let_alone() {
    for fault in ["none", "none-miniport"] {
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
