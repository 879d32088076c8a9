//! `ntbench run`: NDK consumers that are drivers, beside `vrnic.sys`, with adapters on one wire. `pingpong.sys`, which is
//! written in C, judges the provider; `wrong.sys` shows that mistakes of consumers are noticed.
//!
//! `./x test` builds the images and sets `VRNIC_NTBENCH`, `VRNIC_SYS`, `VRNIC_WRONG_SYS` and `VRNIC_PINGPONG_SYS`.

use ntbench::verifier::EXIT_CODE;
use std::env;
use std::path::Path;
use std::process::Command;

fn setting(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests by ./x test"))
}

/// How a run ended: exit code, standard output and standard error.
struct Run {
    code: Option<i32>,
    output: String,
    errors: String,
}

impl Run {
    /// Adapters 12 and 15, and what the test adds.
    fn new(addresses: [&str; 2], arguments: &[&str]) -> Self {
        let [first, second] = addresses;
        let output = Command::new(setting("VRNIC_NTBENCH"))
            .args(["run", "--sys", &setting("VRNIC_SYS")])
            .args(["--adapter", &format!("ifindex=12,ip={first}")])
            .args(["--adapter", &format!("ifindex=15,ip={second}")])
            .args(arguments)
            .output()
            .expect("ntbench starts");
        Self {
            code: output.status.code(),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn v4(arguments: &[&str]) -> Self {
        Self::new(["10.0.0.1/24", "10.0.0.2/24"], arguments)
    }

    /// It ended so, and printed these lines in this order, others between them.
    fn expect(&self, code: i32, lines: &[&str]) {
        let text = format!("{}\n{}", self.output, self.errors);
        assert_eq!(self.code, Some(code), "{text}");
        let mut rest = self.output.lines();
        for line in lines {
            assert!(
                rest.any(|other| other.contains(line)),
                "{line:?} is missing:\n{text}"
            );
        }
    }
}

/// What every run of `pingpong.sys` shows.
const CLIENT: &[&str] = &[
    r#"client: refused, as it should be, with "pingpong: as you wish""#,
    r#"client: connected, with "pingpong: welcome""#,
    "client: 16 echoes in ",
    "client: read 65536 bytes",
    "client: wrote 65536 bytes",
    "client: invalidated token 0x",
    "client: read 65536 bytes",
    "client: disconnected",
    "client: connected",
    "client: disconnected by the server",
    "client: rejected what the server had accepted",
    "result: 0x00000000",
    "unloaded",
    "verifier: no violation",
];

#[test]
fn a_consumer_uses_everything_between_two_adapters() {
    let folder = tempfile::tempdir().expect("a folder");
    let capture = folder.path().join("run.pcap");
    let capture = capture.to_str().expect("a path in text");
    let run = Run::v4(&["--consumer", &setting("VRNIC_PINGPONG_SYS"), "--pcap", capture]);
    run.expect(0, CLIENT);
    run.expect(
        0,
        &[
            "server: NdkReject = 0x00000000",
            "server: accepted",
            "server: token 0x",
        ],
    );
    xtask::tshark::assert_clean(Path::new(capture)).expect("no malformed packet");
}

#[test]
fn two_consumers_meet_over_ipv6() {
    let image = setting("VRNIC_PINGPONG_SYS");
    let consumers = [format!("server={image}"), format!("client={image}")];
    let run = Run::new(
        ["fd00::1/64", "fd00::2/64"],
        &[
            "--consumer",
            &consumers[0],
            "--consumer",
            &consumers[1],
            "--param",
            "server/Role=server",
            "--param",
            "server/Interface=15",
            "--param",
            "server/Address=fd00::2",
            "--param",
            "client/Role=client",
            "--param",
            "client/Address=fd00::1",
            "--param",
            "PeerAddress=fd00::2",
        ],
    );
    run.expect(0, &["server: DriverEntry = STATUS_SUCCESS"]);
    run.expect(0, CLIENT);
    run.expect(0, &["client: unloaded", "server: unloaded"]);
}

#[test]
fn calls_and_messages_can_be_shown() {
    let run = Run::v4(&[
        "--consumer",
        &setting("VRNIC_PINGPONG_SYS"),
        "--trace",
        "--ladder",
    ]);
    run.expect(
        0,
        &[
            "PASSIVE_LEVEL -> OpenNDKAdapterHandler(, version 2.0)",
            "-> NdkReject(connector",
            "NdkConnect: STATUS_CONNECTION_REFUSED",
        ],
    );
    run.expect(0, &["REJ"]);
}

#[test]
fn a_consumer_that_fails_makes_the_run_fail() {
    let image = setting("VRNIC_PINGPONG_SYS");
    let run = Run::v4(&["--consumer", &image, "--param", "Role=nobody"]);
    run.expect(1, &["pingpong: DriverEntry = STATUS_INVALID_PARAMETER"]);
    let run = Run::v4(&["--consumer", &image, "--param", "PeerInterface=99"]);
    run.expect(
        1,
        &[
            "interface 99 cannot be opened: 0xC0000225",
            "DriverEntry = STATUS_NOT_FOUND",
        ],
    );
    let run = Run::v4(&["--consumer", &image, "--param", "PeerAddress=10.0.0.77"]);
    run.expect(1, &["ListenerOpen"]);
}

#[test]
fn hangs_and_broken_rules_end_the_run() {
    let wrong = setting("VRNIC_WRONG_SYS");
    for (fault, rule) in [
        ("Hang", "Hang"),
        ("WskLeak", "WskLeak"),
        ("UseAfterFree", "UseAfterFree"),
    ] {
        let run = Run::v4(&["--consumer", &format!("{fault}={wrong}"), "--limit", "2"]);
        run.expect(EXIT_CODE, &[]);
        assert!(
            run.errors.contains(&format!("VERIFIER rule={rule} ")),
            "{}",
            run.errors
        );
    }
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let image = setting("VRNIC_PINGPONG_SYS");
    let run = Run::v4(&["--consumer", &image, "--consumer", &image]);
    run.expect(1, &[]);
    assert!(
        run.errors.contains("two consumers are called pingpong"),
        "{}",
        run.errors
    );
    let run = Run::new(["10.0.0.1/24", "10.0.0.1/24"], &["--consumer", &image]);
    run.expect(1, &[]);
    assert!(
        run.errors.contains("two adapters have the address 10.0.0.1"),
        "{}",
        run.errors
    );
    let run = Run::v4(&["--consumer", "no/such.sys"]);
    run.expect(1, &[]);
    assert!(run.errors.contains("no/such.sys"), "{}", run.errors);
}
