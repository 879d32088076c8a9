//! `vrnic.sys` in the bench, on NICs in another process: `vrnic-vfio-user`, reached over vfio-user as QEMU reaches it.
//!
//! `./x test` builds the images and programs and sets `VRNIC_NTBENCH`, `VRNIC_VFIO_USER`, `VRNIC_SYS` and `VRNIC_PINGPONG_SYS`.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use xtask::qemu::guest::NicServer;

/// How long a run may take whose device has gone.
const LIMIT: Duration = Duration::from_mins(2);

fn setting(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests by ./x test"))
}

/// A device process with two NICs.
struct Rig {
    server: NicServer,
    folder: tempfile::TempDir,
}

impl Rig {
    fn new(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Self::start(folder.path(), arguments);
        Self { server, folder }
    }

    fn start(folder: &Path, arguments: &[&str]) -> NicServer {
        let nics = ["a", "b"].map(|name| format!("socket={}", folder.join(name).display()));
        let mut all = vec!["--nic", &nics[0], "--nic", &nics[1]];
        all.extend(arguments);
        let all: Vec<OsString> = all.iter().map(OsString::from).collect();
        let program = setting("VRNIC_VFIO_USER");
        NicServer::start(Path::new(&program), &all, 2, &folder.join("log")).expect("it starts")
    }

    fn socket(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// `ntbench run` between the two NICs.
    fn pingpong(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(setting("VRNIC_NTBENCH"));
        command
            .args(["run", "--sys", &setting("VRNIC_SYS")])
            .args([
                "--adapter",
                &format!("ifindex=12,ip=10.0.0.1/24,vfio-user={}", self.socket("a")),
            ])
            .args([
                "--adapter",
                &format!("ifindex=15,ip=10.0.0.2/24,vfio-user={}", self.socket("b")),
            ])
            .args(["--consumer", &setting("VRNIC_PINGPONG_SYS")])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// It ended so, and printed these lines in this order, others between them.
fn expect(output: &Output, code: i32, lines: &[&str]) {
    let (text, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(code), "{text}\n{errors}");
    let mut rest = text.lines();
    for line in lines {
        assert!(
            rest.any(|other| other.contains(line)),
            "{line:?} is missing:\n{text}\n{errors}"
        );
    }
}

#[test]
fn a_request_is_rejected() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let wire = format!("dgram:{},{}", path("guest.sock"), path("host.sock"));
    let _server = Rig::start(folder.path(), &["--wire", &wire]);
    let output = Command::new(setting("VRNIC_NTBENCH"))
        .args(["demo", "--sys", &setting("VRNIC_SYS"), "--pcap", &path("pcap")])
        .args(["--vfio-user", &path("a"), "--wire-dir", &path("")])
        .output()
        .expect("ntbench starts");
    let lines = [
        "REQ",
        "REJ",
        r#"peer       a REJ with reason 28, private data "vrnic.sys says: not today""#,
        "verifier   no violation",
        "result     rejected, as it should be",
    ];
    expect(&output, 0, &lines);
    let capture = PathBuf::from(path("pcap"));
    xtask::tshark::assert_clean(&capture).expect("no malformed packet");
}

/// SEND, READ, WRITE, invalidation, rejects and disconnects between two NICs of a process, found by ARP over their Ethernet; and
/// all of it again, by another bench with the same process.
#[test]
fn a_consumer_uses_everything_between_two_device_processes_twice() {
    let rig = Rig::new(&[]);
    let lines = [
        "client: refused, as it should be",
        "client: connected",
        "client: 16 echoes in ",
        "client: read 65536 bytes",
        "client: wrote 65536 bytes",
        "client: disconnected",
        "client: rejected what the server had accepted",
        "result: 0x00000000",
        "verifier: no violation",
    ];
    for _ in 0..2 {
        let output = rig.pingpong(&[]).output().expect("ntbench starts");
        expect(&output, 0, &lines);
    }
    assert_eq!(rig.server.said().matches("the client has gone").count(), 4);
}

/// All calls, sends, pauses and the halt, with the verifier.
#[test]
fn the_driver_breaks_no_rule() {
    let rig = Rig::new(&[]);
    let output = Command::new(setting("VRNIC_NTBENCH"))
        .args(["check", &setting("VRNIC_SYS"), "--vfio-user", &rig.socket("a")])
        .output()
        .expect("ntbench starts");
    expect(&output, 0, &["no rule was broken"]);
}

#[test]
fn a_process_that_dies_is_a_nic_that_was_pulled_out() {
    let rig = Rig::new(&[]);
    let bench = rig.pingpong(&["--wait", "4"]).spawn().expect("ntbench starts");
    let started = Instant::now();
    while rig.server.said().matches("a client has come").count() < 2 {
        assert!(started.elapsed() < LIMIT, "the bench connects");
        thread::sleep(Duration::from_millis(10));
    }
    // The consumer has ended by then, or is in the middle of it: either way nothing hangs.
    thread::sleep(Duration::from_secs(2));
    let killed = Instant::now();
    drop(rig.server);
    let output = bench.wait_with_output().expect("it ends");
    assert!(killed.elapsed() < LIMIT);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("the device is gone"), "{errors}");
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "no broken rule: {errors}"
    );
}

#[test]
fn where_nobody_listens_the_error_says_so() {
    let output = Command::new(setting("VRNIC_NTBENCH"))
        .args(["check", &setting("VRNIC_SYS"), "--vfio-user", "/nobody/listens"])
        .output()
        .expect("ntbench starts");
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("nobody listens at /nobody/listens"), "{errors}");
}
