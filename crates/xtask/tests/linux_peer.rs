//! The Linux peer by itself. Needs what `./x peer` prepares.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use xtask::paths;
use xtask::peer::{ClientEvent, Connect, LinuxPeer, Listen, PeerConfig, PeerFiles, Reply, Wire};

const LIMIT: Duration = Duration::from_mins(1);

/// A guest with nobody on its wire.
fn boot_alone(name: &str) -> (LinuxPeer, PeerConfig) {
    let wire = Wire::in_dir(&paths::run_dir(name).expect("a folder for the run"));
    wire.unplug_host().expect("an unplugged wire");
    let config = PeerConfig::new(wire, Vec::new());
    let files = PeerFiles::prepared().expect("a prepared peer");
    (LinuxPeer::boot(&files, &config).expect("the guest boots"), config)
}

/// What Linux shows of a REJ's private data: the field's 148 bytes.
fn padded(data: &[u8]) -> Vec<u8> {
    let mut all = data.to_vec();
    all.resize(148, 0);
    all
}

fn summary(events: &[ClientEvent]) -> Vec<(u32, &str, i32)> {
    events
        .iter()
        .map(|event| (event.attempt, event.event.as_str(), event.status))
        .collect()
}

/// Linux connects to itself: shows that client, listener and guest work, with no code of ours in the exchange.
#[test]
fn linux_rejects_and_accepts_itself() {
    let (peer, config) = boot_alone("self");
    for addr in [IpAddr::V4(config.ipv4.0), IpAddr::V6(config.ipv6.0)] {
        let listen = Listen {
            addr,
            port: 7000,
            reply: Reply::Reject(b"no".to_vec()),
            count: 2,
            timeout: LIMIT,
        };
        let mut listener = peer.listen(&listen).expect("it listens");
        let connect = Connect {
            data: vec![7; 56],
            count: 2,
            ..Connect::new(addr, 7000)
        };
        let events = peer.connect(&connect).expect("two attempts");
        assert_eq!(
            summary(&events),
            [
                (1, "RDMA_CM_EVENT_REJECTED", 28),
                (2, "RDMA_CM_EVENT_REJECTED", 28)
            ]
        );
        assert_eq!(events[0].data, padded(b"no"));
        let request = listener.next_event(LIMIT).expect("an event").expect("a request");
        assert_eq!(
            (request.event.as_str(), request.data),
            ("RDMA_CM_EVENT_CONNECT_REQUEST", vec![7; 56])
        );

        let listen = Listen {
            port: 7001,
            reply: Reply::Accept(b"yes".to_vec()),
            count: 1,
            ..listen
        };
        let _listener = peer.listen(&listen).expect("it listens");
        let connect = Connect {
            count: 5,
            reconnect: true,
            ..Connect::new(addr, 7001)
        };
        let events = peer.connect(&connect).expect("it connects");
        assert_eq!(
            summary(&events),
            [
                (1, "RDMA_CM_EVENT_ESTABLISHED", 0),
                (1, "RDMA_CM_EVENT_DISCONNECTED", 0)
            ]
        );
    }
}

/// What goes wrong in the guest is said, not hung on.
#[test]
fn failures_in_the_guest_are_reported() {
    let (peer, config) = boot_alone("fail");
    let nobody = Connect::new(IpAddr::V4(config.ipv4.0), 7002);
    let events = peer.connect(&nobody).expect("an answer");
    // Nobody listens: the kernel's own REJ, invalid service id.
    assert_eq!(summary(&events), [(1, "RDMA_CM_EVENT_REJECTED", 8)]);

    let no_route = Connect::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 7002);
    let error = peer.connect(&no_route).expect_err("there is no route");
    assert!(format!("{error:#}").contains("rdma_resolve_addr"), "{error:#}");

    let usage = peer
        .run("vrnic-rdma-client connect 10.77.0.2 99999", LIMIT)
        .expect("it ends");
    assert_eq!(usage.code, 2);
    assert!(usage.lines[0].contains("not a port"), "{usage:?}");

    let slow = peer
        .run("sleep 100", Duration::from_millis(300))
        .expect_err("too slow");
    assert!(format!("{slow:#}").contains("said nothing"), "{slow:#}");

    peer.run("poweroff -f", LIMIT).expect_err("the guest is gone");
    peer.run("echo", LIMIT).expect_err("and stays gone");
}

/// The line protocol keeps the output of many commands apart, and loses none of it.
#[test]
fn commands_can_run_at_the_same_time() {
    let (peer, _config) = boot_alone("many");
    for round in 0..10 {
        let running: Vec<_> = (0..20)
            .map(|n| {
                (
                    n,
                    peer.start(&format!("echo {round} {n}; usleep {n}000; echo end; exit {n}"))
                        .expect("it starts"),
                )
            })
            .collect();
        for (n, command) in running {
            let finished = command.finish(LIMIT).expect("it ends");
            assert_eq!(
                (finished.lines, finished.code),
                (vec![format!("{round} {n}"), "end".to_owned()], n)
            );
        }
    }
}

/// What QEMU objects to is in the error, at once.
#[test]
fn a_guest_that_cannot_start_says_why() {
    let wire = Wire::in_dir(&paths::run_dir("broken").expect("a folder for the run"));
    wire.unplug_host().expect("an unplugged wire");
    let files = PeerFiles {
        kernel: "/no/such/kernel".into(),
        initramfs: "/no/such/initramfs".into(),
    };
    let error = LinuxPeer::boot(&files, &PeerConfig::new(wire, Vec::new())).expect_err("there is no kernel");
    assert!(error.to_string().contains("/no/such/kernel"), "{error:#}");
}
