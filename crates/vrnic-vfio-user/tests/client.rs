//! The client against our server, and against servers that mean harm.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use vrnic_abi::pci;
use vrnic_device::{HostMemory, NicConfig, Wire};
use vrnic_vfio_user::protocol::{
    CONFIG_REGION, DEVICE_IS_PCI, DMA_READ, DeviceInfo, DmaMap, Header, MSIX, RegionAccess, RegionInfo,
    Version, command, flags,
};
use vrnic_vfio_user::{Client, ClientError, Function, Server};
use zerocopy::{FromBytes, IntoBytes};

const LIMIT: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(300);

struct NoWire;

impl Wire for NoWire {
    fn transmit(&self, _: &[u8]) {}
}

#[test]
fn our_server_is_understood() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let function = Function::new("nic", NicConfig::new([2, 0, 0, 0, 0, 1]), Arc::new(NoWire));
    let server = Server::start(&path, function.expect("a good configuration")).expect("a fresh folder");
    let client = Client::connect(&path, LIMIT).expect("it listens");
    client.device().expect("a PCI function");
    let doorbells = client.region(pci::DOORBELL_BAR.into()).expect("a region");
    assert_eq!(doorbells.size, pci::DOORBELL_BAR_SIZE);
    assert!(doorbells.file.is_some(), "it can be mapped");
    let registers = client.region(pci::REGISTER_BAR.into()).expect("a region");
    assert!(registers.file.is_none(), "they are trapped");

    let event = eventfd(0, EventfdFlags::NONBLOCK).expect("a file");
    let files = [event.as_fd(); pci::VECTORS as usize];
    client
        .set_event_files(MSIX, &files)
        .expect("they are event files");
    assert_eq!(
        client.interrupts(MSIX).map(|info| info.count).ok(),
        Some(pci::VECTORS.into())
    );

    let memory = memfd_create("memory", MemfdFlags::CLOEXEC).expect("memory");
    ftruncate(&memory, 8192).expect("memory");
    rustix::io::pwrite(&memory, &[7; 8], 4096).expect("memory");
    let map = DmaMap {
        argsz: 32,
        flags: DMA_READ,
        offset: 4096,
        address: 0x10_0000,
        size: 4096,
    };
    client.map(&map, memory.as_fd()).expect("a file");
    let seen = server.function().memory();
    let mut bytes = [0; 8];
    assert_eq!(seen.read(0x10_0000, &mut bytes), Ok(()));
    assert_eq!(bytes, [7; 8]);
    assert!(seen.write(0x10_0000, &bytes).is_err(), "it is for reading");
    // A refusal does not end the connection.
    let again = client.map(&map, memory.as_fd());
    assert!(matches!(again, Err(ClientError::Refused(..))), "{again:?}");
    client.unmap(0x10_0000, 4096).expect("it is mapped");
    assert!(seen.read(0x10_0000, &mut bytes).is_err());

    client.write(CONFIG_REGION, 4, &[6, 0]).expect("the command word");
    let mut word = [0; 2];
    client
        .read(CONFIG_REGION, 4, &mut word)
        .expect("the command word");
    assert_eq!(word, [6, 0]);
    client.reset().expect("a reset");
    client
        .read(CONFIG_REGION, 4, &mut word)
        .expect("the command word");
    assert_eq!(word, [0, 0]);

    let second = Client::connect(&path, LIMIT);
    assert!(
        matches!(second, Err(ClientError::Refused(..))),
        "the NIC has a client"
    );
    drop(server);
    let ended = Instant::now();
    assert!(matches!(client.reset(), Err(ClientError::Gone(_))));
    assert!(client.reset().is_err() && client.fault().is_some());
    assert!(ended.elapsed() < LIMIT);
}

/// A server that greets as it should (`greeting` may say otherwise), and answers the next command with what `answer` makes of
/// its header and body.
fn server(
    path: &std::path::Path,
    greeting: &'static [u8],
    answer: impl Fn(Header, &[u8]) -> Vec<u8> + Send + 'static,
) -> JoinHandle<()> {
    let listener = UnixListener::bind(path).expect("a fresh folder");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody comes");
        let Some((hello, _)) = next(&mut stream) else {
            return;
        };
        let version = Version { major: 0, minor: 1 };
        let body = if greeting.is_empty() {
            [version.as_bytes(), b"{}\0"].concat()
        } else {
            greeting.to_vec()
        };
        let _ = stream.write_all(&reply(hello, &body));
        while let Some((header, body)) = next(&mut stream) {
            let bytes = answer(header, &body);
            if bytes.is_empty() {
                // It says nothing, until the client gives up.
                let _ = stream.read(&mut [0]);
                return;
            }
            let _ = stream.write_all(&bytes);
        }
    })
}

fn next(stream: &mut UnixStream) -> Option<(Header, Vec<u8>)> {
    let mut bytes = [0; size_of::<Header>()];
    stream.read_exact(&mut bytes).ok()?;
    let header = Header::read_from_bytes(&bytes).ok()?;
    let mut body = vec![0; header.size as usize - bytes.len()];
    stream.read_exact(&mut body).ok()?;
    Some((header, body))
}

fn reply(to: Header, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(size_of::<Header>() + body.len()).expect("short");
    let header = Header {
        size,
        flags: flags::REPLY,
        error: 0,
        ..to
    };
    [header.as_bytes(), body].concat()
}

/// What the client makes of a server's answer; it must not take long, and must not try again.
fn judge<T: std::fmt::Debug>(
    answer: impl Fn(Header, &[u8]) -> Vec<u8> + Send + 'static,
    call: impl Fn(&Client) -> Result<T, ClientError>,
) -> ClientError {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let server = server(&path, b"", answer);
    let client = Client::connect(&path, SHORT).expect("a good greeting");
    let start = Instant::now();
    let error = call(&client).expect_err("no good answer");
    assert!(start.elapsed() < LIMIT, "{error}");
    assert!(client.fault().is_some(), "the connection has ended: {error}");
    assert!(matches!(client.reset(), Err(ClientError::Gone(_))));
    drop(client);
    server.join().expect("no panic");
    error
}

#[test]
fn greetings_that_are_none_are_named() {
    for greeting in [
        &[0][..],
        &[1, 0, 0, 0, b'{', b'}', 0],
        &[0, 0, 1, 0, b'{', b'}'],
        &[0, 0, 1, 0, b'{', 0],
        b"\0\0\x01\0{\"capabilities\":{\"max_msg_fds\":0}}\0",
        b"\0\0\x01\0{\"capabilities\":{\"max_data_xfer_size\":\"x\"}}\0",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let server = server(&path, greeting, |_, _| Vec::new());
        let error = Client::connect(&path, SHORT).expect_err("no greeting");
        assert!(
            matches!(error, ClientError::Malformed(..)),
            "{greeting:?}: {error}"
        );
        server.join().expect("no panic");
    }
    let error = Client::connect(std::path::Path::new("/nobody/listens"), SHORT);
    assert!(matches!(error, Err(ClientError::Connect(..))));
}

/// Makes a message of a request's header and body.
type Answer = Box<dyn Fn(Header, &[u8]) -> Vec<u8> + Send>;

#[test]
fn answers_that_are_wrong_end_the_connection() {
    let read = |client: &Client| client.read(CONFIG_REGION, 0, &mut [0; 4]);
    let echo = |header: Header, body: &[u8], data: &[u8]| reply(header, &[body, data].concat());
    let malformed: [Answer; 9] = [
        // Nothing but a header; too little; too much; of another place.
        Box::new(move |header, _| reply(header, &[])),
        Box::new(move |header, body| echo(header, body, &[1, 2, 3])),
        Box::new(move |header, body| echo(header, body, &[0; 5])),
        Box::new(move |header, _| {
            let other = RegionAccess {
                offset: 8,
                region: CONFIG_REGION,
                count: 4,
            };
            echo(header, other.as_bytes(), &[0; 4])
        }),
        // Of another command; to another one; no reply at all.
        Box::new(|header, body| {
            let command = command::REGION_WRITE;
            reply(Header { command, ..header }, &[body, &[0; 4]].concat())
        }),
        Box::new(|header, body| {
            let id = header.id.wrapping_add(1);
            reply(Header { id, ..header }, &[body, &[0; 4]].concat())
        }),
        Box::new(|header, _| Header { size: 16, ..header }.as_bytes().to_vec()),
        // An error that is none, and sizes that no message has.
        Box::new(|header, _| {
            let flags = flags::REPLY | flags::ERROR;
            let (size, error) = (16, 1 << 30);
            let header = Header {
                flags,
                size,
                error,
                ..header
            };
            header.as_bytes().to_vec()
        }),
        Box::new(|header, _| {
            let (flags, size) = (flags::REPLY, u32::MAX);
            Header {
                flags,
                size,
                ..header
            }
            .as_bytes()
            .to_vec()
        }),
    ];
    for (number, answer) in malformed.into_iter().enumerate() {
        let error = judge(answer, read);
        assert!(matches!(error, ClientError::Malformed(..)), "{number}: {error}");
    }
    let no_pci = DeviceInfo {
        argsz: 16,
        flags: 0,
        regions: 9,
        irqs: 5,
    };
    assert_ne!(DEVICE_IS_PCI, 0);
    let error = judge(move |header, _| reply(header, no_pci.as_bytes()), Client::device);
    assert!(error.to_string().contains("no PCI function"), "{error}");
    let other = RegionInfo {
        argsz: 32,
        flags: 3,
        index: 5,
        capabilities: 0,
        size: 4096,
        offset: 0,
    };
    let error = judge(
        move |header, _| reply(header, other.as_bytes()),
        |client| client.region(0),
    );
    assert!(matches!(error, ClientError::Malformed(..)), "{error}");
}

#[test]
fn nobody_waits_for_ever() {
    let read = |client: &Client| client.read(CONFIG_REGION, 0, &mut [0; 4]);
    let error = judge(|_, _| Vec::new(), read);
    assert!(matches!(error, ClientError::Late(..)), "{error}");
    // Half a header, and then nothing.
    let error = judge(|header, _| reply(header, &[])[..9].to_vec(), read);
    assert!(matches!(error, ClientError::Late(..)), "{error}");
}
