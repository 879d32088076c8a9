//! Violations end the process, so each runs in a process of its own: this test binary, told by an environment variable.

use crate::Bench;
use crate::code::Function;
use ntbench::cpu::irql::DISPATCH_LEVEL;
use ntbench::cpu::mmio::{self, Registers};
use ntbench::verifier::limits::Limits;
use ntbench::verifier::{EXIT_CODE, on_stop, pool};
use ntbench::{Config, memory};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const VARIABLE: &str = "NTBENCH_VIOLATION";

/// Runs `body` in a process of its own and expects it to be stopped for `rule`; returns its stderr.
fn expect(name: &str, rule: &str, body: impl FnOnce()) -> String {
    if std::env::var(VARIABLE).as_deref() == Ok(name) {
        body();
        // The violation did not happen: the parent sees another exit code.
        std::process::exit(0);
    }
    let this = std::env::current_exe().expect("the test binary");
    let output = Command::new(this)
        .args(["--exact", &format!("violations::{name}"), "--nocapture"])
        .env(VARIABLE, name)
        .output()
        .expect("run the test binary");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(EXIT_CODE), "{name}: {text}");
    assert!(text.contains(&format!("VERIFIER rule={rule} ")), "{name}: {text}");
    assert!(text.contains("what to do: "), "{name}: advice is missing: {text}");
    text
}

#[test]
fn an_invalid_target_is_stopped_when_the_bench_calls_it() {
    let text = expect(
        "an_invalid_target_is_stopped_when_the_bench_calls_it",
        "GuardIcallCheck",
        || {
            let bench = Bench::quiet("guard");
            bench.kernel.call(bench.address(Function::Sum) + 4, &[]);
        },
    );
    assert!(text.contains("code=0x139 p1=0xa"), "{text}");
}

#[test]
fn an_invalid_target_is_stopped_when_the_driver_calls_it() {
    let text = expect(
        "an_invalid_target_is_stopped_when_the_driver_calls_it",
        "GuardIcallCheck",
        || {
            let bench = Bench::quiet("guard2");
            let target = bench.address(Function::Sum) as u64 + 16;
            bench.call(Function::Indirect, &[target]);
        },
    );
    assert!(text.contains("guard2.sys+"), "the caller is in the stack: {text}");
}

#[test]
fn an_overrun_names_the_allocation() {
    let text = expect("an_overrun_names_the_allocation", "PoolOverrun", || {
        let bench = Bench::quiet("overrun");
        bench.call(Function::Pool, &[96, 96, 0]);
    });
    assert!(
        text.contains("code=0xd6") && text.contains("0 bytes beyond the end of the 96 bytes with tag Test"),
        "{text}"
    );
    assert!(text.contains("allocated at:"), "{text}");
}

#[test]
fn a_write_into_the_slack_is_found_when_freed() {
    expect(
        "a_write_into_the_slack_is_found_when_freed",
        "SpecialPool",
        || {
            let bench = Bench::quiet("slack");
            bench.call(Function::Pool, &[100, 101, 1]);
        },
    );
}

#[test]
fn an_underrun_is_caught_when_asked_for() {
    expect("an_underrun_is_caught_when_asked_for", "PoolOverrun", || {
        let config = Config {
            pool: pool::Placement::CatchUnderrun,
            echo_debug: false,
            ..Config::default()
        };
        let bench = Bench::start("underrun", &config);
        bench.call(Function::Pool, &[64, u64::MAX, 0]);
    });
}

#[test]
fn a_leak_is_found_at_unload() {
    let text = expect("a_leak_is_found_at_unload", "PoolLeak", || {
        let bench = Bench::quiet("leak");
        bench.call(Function::Pool, &[64, 0, 0]);
        let Bench {
            kernel: _kernel,
            driver,
        } = bench;
        driver.unload();
    });
    assert!(text.contains("code=0xc4 p1=0x62"), "{text}");
}

#[test]
fn waiting_at_dispatch_level_is_stopped() {
    let text = expect("waiting_at_dispatch_level_is_stopped", "WaitIrql", || {
        let bench = Bench::quiet("wait");
        let mut event = Box::new([0_u64; 3]);
        let at = event.as_mut_ptr() as usize;
        memory::write(at, [0_u8, 0, 6, 0]);
        memory::write(at + 8, [at + 8, at + 8]);
        let wait = bench.address(Function::Wait);
        bench
            .kernel
            .run_at(DISPATCH_LEVEL, 1, || bench.kernel.call(wait, &[at as u64]));
    });
    assert!(text.contains("code=0xc4 p1=0x121"), "{text}");
}

#[test]
fn recursion_meets_the_guard_page() {
    let text = expect("recursion_meets_the_guard_page", "KernelStackOverflow", || {
        let bench = Bench::quiet("recursion");
        bench.call(Function::Recurse, &[]);
    });
    assert!(
        text.matches("recursion.sys+").count() > 10,
        "the stack is shown: {text}"
    );
}

struct Zero;

impl Registers for Zero {
    fn read(&self, _offset: u64, data: &mut [u8]) {
        data.fill(0);
    }

    fn write(&self, _offset: u64, _data: &[u8]) {}
}

#[test]
fn a_read_modify_write_of_a_register_is_stopped() {
    let text = expect(
        "a_read_modify_write_of_a_register_is_stopped",
        "RegisterAccess",
        || {
            let bench = Bench::quiet("register");
            let trap = mmio::trap(
                memory::reserve(memory::PAGE_SIZE),
                memory::PAGE_SIZE,
                Arc::new(Zero),
            );
            bench.call(Function::RegisterOr, &[trap.address() as u64]);
        },
    );
    assert!(text.contains("`or dword ptr [rcx],1`"), "{text}");
}

#[test]
fn a_call_that_does_not_return_is_reported_with_its_stack() {
    let text = expect(
        "a_call_that_does_not_return_is_reported_with_its_stack",
        "Hang",
        || {
            let limits = Limits {
                call: Duration::from_millis(200),
                ..Limits::default()
            };
            let bench = Bench::start(
                "hang",
                &Config {
                    limits,
                    echo_debug: false,
                    ..Config::default()
                },
            );
            bench.call(Function::Spin, &[]);
        },
    );
    assert!(
        text.matches("hang.sys+").count() >= 2,
        "the target and the stack are named: {text}"
    );
}

#[test]
fn a_wait_that_never_ends_is_reported() {
    let text = expect("a_wait_that_never_ends_is_reported", "Hang", || {
        let limits = Limits {
            call: Duration::from_millis(200),
            ..Limits::default()
        };
        let bench = Bench::start(
            "endless",
            &Config {
                limits,
                echo_debug: false,
                ..Config::default()
            },
        );
        let mut event = Box::new([0_u64; 3]);
        let at = event.as_mut_ptr() as usize;
        memory::write(at, [0_u8, 0, 6, 0]);
        memory::write(at + 8, [at + 8, at + 8]);
        bench.call(Function::Wait, &[at as u64]);
    });
    assert!(text.contains("-- bench: KeWaitForSingleObject"), "{text}");
}

#[test]
fn a_call_into_an_unloaded_image_is_named() {
    expect(
        "a_call_into_an_unloaded_image_is_named",
        "GuardIcallCheck",
        || {
            let Bench { kernel, driver } = Bench::quiet("unloaded");
            let entry = driver.image().entry();
            driver.unload();
            kernel.call(entry, &[]);
        },
    );
}

#[test]
fn hooks_run_before_the_process_ends() {
    let text = expect("hooks_run_before_the_process_ends", "GuardIcallCheck", || {
        on_stop(|| eprintln!("the hook ran"));
        let bench = Bench::quiet("hooks");
        bench.kernel.call(16, &[]);
    });
    assert!(text.contains("the hook ran"), "{text}");
}

#[test]
fn the_negative_control_of_these_tests_works() {
    // A body without a violation ends with exit code 0, which `expect` does not accept.
    let name = "the_negative_control_of_these_tests_works";
    if std::env::var(VARIABLE).is_ok() {
        expect(name, "PoolLeak", || drop(Bench::quiet("fine")));
    }
    let caught = std::panic::catch_unwind(|| expect(name, "PoolLeak", || drop(Bench::quiet("fine"))));
    assert!(caught.is_err());
}
