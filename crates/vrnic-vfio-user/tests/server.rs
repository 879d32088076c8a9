//! The server against rust-vmm's client, and against clients that mean harm.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use vfio_user::{Client, Error};
use vrnic_abi::pci;
use vrnic_device::{HostMemory, NicConfig, Wire};
use vrnic_vfio_user::protocol::{
    CONFIG_REGION, DmaMap, Header, IrqSet, MAX_MESSAGE, RegionAccess, Version, command, flags,
};
use vrnic_vfio_user::{Function, Server, truncated};
use zerocopy::{FromBytes, IntoBytes};

const LIMIT: Duration = Duration::from_secs(20);

struct NoWire;

impl Wire for NoWire {
    fn transmit(&self, _: &[u8]) {}
}

struct Setup {
    // Goes first: it removes its socket.
    server: Server,
    folder: tempfile::TempDir,
}

impl Setup {
    fn new() -> Self {
        truncated::tolerate().expect("a handler can be set");
        let folder = tempfile::tempdir().expect("a folder");
        let function = Function::new("nic", NicConfig::new([2, 0, 0, 0, 0, 1]), Arc::new(NoWire))
            .expect("the configuration is good");
        let server = Server::start(&folder.path().join("s"), function).expect("a fresh folder");
        Self { server, folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// rust-vmm's client; the one before may still be on its way out.
    fn client(&self) -> Client {
        Client::new(&self.socket()).expect("the server takes a client")
    }

    /// A client that says what it likes.
    fn raw(&self) -> Raw {
        let stream = UnixStream::connect(self.socket()).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("not zero");
        stream.set_write_timeout(Some(LIMIT)).expect("not zero");
        Raw { stream }
    }

    fn greeted(&self) -> Raw {
        let mut raw = self.raw();
        let version = Version { major: 0, minor: 1 };
        let reply = raw.ask(command::VERSION, &[version.as_bytes(), b"{}\0"].concat());
        assert_eq!(reply.map(|reply| reply.error), Some(0));
        raw
    }

    /// The NIC answers the next client as if nothing had been.
    fn check_works(&self) {
        let mut client = self.client();
        let mut id = [0; 4];
        client
            .region_read(CONFIG_REGION, 0, &mut id)
            .expect("the configuration space");
        assert_eq!(id[..2], pci::VENDOR_ID.to_le_bytes());
        assert_eq!(id[2..], pci::DEVICE_ID.to_le_bytes());
        client.shutdown().expect("connected");
    }
}

struct Raw {
    stream: UnixStream,
}

impl Raw {
    fn send(&mut self, header: &Header, body: &[u8]) {
        // The server may have closed already: the answer tells.
        let _ = self.stream.write_all(&[header.as_bytes(), body].concat());
    }

    fn header(command: u16, body: &[u8]) -> Header {
        Header {
            id: 7,
            command,
            size: u32::try_from(size_of::<Header>() + body.len()).expect("short"),
            flags: flags::COMMAND,
            error: 0,
        }
    }

    /// Sends a command and reads the reply; `None`: the server has closed the connection.
    fn ask(&mut self, command: u16, body: &[u8]) -> Option<Header> {
        self.send(&Self::header(command, body), body);
        self.reply()
    }

    fn reply(&mut self) -> Option<Header> {
        let mut bytes = [0; size_of::<Header>()];
        self.stream.read_exact(&mut bytes).ok()?;
        let header = Header::read_from_bytes(&bytes).expect("the size fits");
        let mut body = vec![0; header.size as usize - bytes.len()];
        self.stream.read_exact(&mut body).ok()?;
        assert_eq!(header.flags & flags::TYPE, flags::REPLY);
        Some(header)
    }
}

fn memory(pages: u64) -> OwnedFd {
    let file = memfd_create("guest", MemfdFlags::CLOEXEC).expect("memory");
    ftruncate(&file, pages * 4096).expect("memory");
    file
}

const EVENTFD_TRIGGER: u32 = 4 | 32;

#[test]
fn rust_vmms_client_finds_the_nic() {
    let setup = Setup::new();
    let mut client = setup.client();
    for (index, size) in [
        (u32::from(pci::REGISTER_BAR), pci::REGISTER_BAR_SIZE),
        (u32::from(pci::DOORBELL_BAR), pci::DOORBELL_BAR_SIZE),
        (u32::from(pci::MSIX_BAR), pci::MSIX_BAR_SIZE),
        (CONFIG_REGION, 4096),
        (1, 0),
        (6, 0),
    ] {
        assert_eq!(
            client.region(index).map(|region| region.size),
            Some(size),
            "{index}"
        );
    }
    assert!(
        client
            .region(u32::from(pci::DOORBELL_BAR))
            .is_some_and(|region| region.file_offset.is_some())
    );
    let irq = client.get_irq_info(2).expect("MSI-X");
    assert_eq!(irq.count, u32::from(pci::VECTORS));
    // The size of BAR0, as firmware asks for it.
    client
        .region_write(CONFIG_REGION, 0x10, &[0xFF; 4])
        .expect("the BAR");
    let mut bar = [0; 4];
    client
        .region_read(CONFIG_REGION, 0x10, &mut bar)
        .expect("the BAR");
    assert_eq!(
        u64::from(!(u32::from_le_bytes(bar) & !0xF)) + 1,
        pci::REGISTER_BAR_SIZE
    );
    client.reset().expect("a reset");
    client
        .region_read(CONFIG_REGION, 0x10, &mut bar)
        .expect("the BAR");
    assert_eq!(bar, [4, 0, 0, 0], "as after power-on");
}

#[test]
fn the_doorbells_are_the_devices_own_memory() {
    let setup = Setup::new();
    let client = setup.client();
    let region = client.region(u32::from(pci::DOORBELL_BAR)).expect("it is there");
    let file = region.file_offset.as_ref().expect("it can be mapped");
    let mut mapped = file.file().try_clone().expect("a file");
    std::io::Seek::seek(&mut mapped, std::io::SeekFrom::Start(64)).expect("inside");
    mapped.write_all(&0x1234_u32.to_le_bytes()).expect("inside");
    assert_eq!(setup.server.function().nic().doorbells().load(64), 0x1234);
    assert!(ftruncate(file.file(), 0).is_err(), "it is sealed");
}

#[test]
fn client_after_client_finds_the_nic_as_after_power_on() {
    let setup = Setup::new();
    for _ in 0..5 {
        let mut client = setup.client();
        let mut command = [0; 2];
        client
            .region_read(CONFIG_REGION, 4, &mut command)
            .expect("command");
        assert_eq!(command, [0, 0]);
        client.region_write(CONFIG_REGION, 4, &[6, 0]).expect("command");
        client.dma_map(0, 0, 4096, memory(1).as_raw_fd()).expect("memory");
        // As if QEMU had been killed: no goodbye.
        drop(client);
    }
    setup.check_works();
}

#[test]
fn a_second_client_at_the_same_time_is_refused() {
    let setup = Setup::new();
    let first = setup.client();
    assert!(
        matches!(
            Client::new(&setup.socket()),
            Err(Error::StreamRead(_) | Error::DeserializeCapabilites(_))
        ),
        "an error is no greeting"
    );
    drop(first);
    setup.check_works();
}

#[test]
fn what_a_message_gets_wrong_is_its_error() {
    let setup = Setup::new();
    let mut raw = setup.greeted();
    let access = |region, offset, count| {
        RegionAccess {
            offset,
            region,
            count,
        }
        .as_bytes()
        .to_vec()
    };
    let map = |flags, offset, address, size| {
        DmaMap {
            argsz: 32,
            flags,
            offset,
            address,
            size,
        }
        .as_bytes()
        .to_vec()
    };
    let irqs = |index, start, count| {
        IrqSet {
            argsz: 20,
            flags: EVENTFD_TRIGGER,
            index,
            start,
            count,
        }
        .as_bytes()
        .to_vec()
    };
    let reads = [
        access(0, 0, 0),
        access(0, 0, u32::MAX),
        access(0, pci::REGISTER_BAR_SIZE - 2, 4),
        access(0, u64::MAX, 4),
        access(1, 0, 4),
        access(9, 0, 4),
        access(u32::MAX, 0, 4),
        access(CONFIG_REGION, 4095, 2),
        vec![1, 2, 3],
    ];
    let commands = reads
        .iter()
        .map(|body| (command::REGION_READ, body.clone()))
        .chain([
            (
                command::VERSION,
                Version { major: 0, minor: 0 }.as_bytes().to_vec(),
            ),
            (command::REGION_WRITE, access(0, 0, 4)),
            (command::REGION_WRITE, [access(0, 0, 4), vec![0; 5]].concat()),
            (command::DMA_MAP, map(3, 0, 4096, 0)),
            (command::DMA_MAP, map(3, 0, u64::MAX, 4096)),
            (command::DMA_UNMAP, vec![0; 24]),
            (command::DMA_UNMAP, vec![0xFF; 24]),
            (command::DEVICE_GET_INFO, vec![]),
            (command::DEVICE_GET_REGION_INFO, vec![0xFF; 32]),
            (command::DEVICE_GET_IRQ_INFO, vec![0xFF; 16]),
            (command::DEVICE_SET_IRQS, irqs(2, 0, 1 << 31)),
            (command::DEVICE_SET_IRQS, irqs(2, u32::MAX, u32::MAX)),
            (command::DEVICE_SET_IRQS, irqs(0, 0, 1)),
            (command::DEVICE_SET_IRQS, vec![]),
            (6, vec![]),
            (11, vec![0; 16]),
            (0, vec![]),
            (u16::MAX, vec![0; 100]),
        ]);
    for (command, body) in commands {
        let reply = raw.ask(command, &body).expect("an answer");
        assert!(
            reply.error != 0 && reply.flags & flags::ERROR != 0 && reply.id == 7,
            "{command} {body:x?}: {reply:?}"
        );
    }
    // The connection has taken no harm.
    let reply = raw.ask(command::REGION_READ, &access(CONFIG_REGION, 0, 4));
    assert_eq!(reply.map(|reply| (reply.error, reply.size)), Some((0, 36)));
}

#[test]
fn what_cannot_be_understood_ends_its_client_only() {
    let setup = Setup::new();
    let header = |size, flags| Header {
        size,
        flags,
        ..Raw::header(command::DEVICE_RESET, &[])
    };
    for bad in [
        header(0, 0),
        header(15, 0),
        header(MAX_MESSAGE + 1, 0),
        header(u32::MAX, 0),
        header(16, flags::REPLY),
    ] {
        let mut raw = setup.greeted();
        raw.send(&bad, &[]);
        assert_eq!(raw.reply(), None, "{bad:?}");
    }
    // Half a message, and half a header.
    for length in [3, 20] {
        let mut raw = setup.greeted();
        let message = [header(64, 0).as_bytes(), &[0; 48]].concat();
        raw.stream.write_all(&message[..length]).expect("connected");
    }
    setup.check_works();
}

#[test]
fn nothing_is_done_before_the_greeting_or_for_a_bad_one() {
    let setup = Setup::new();
    let mut raw = setup.raw();
    assert!(
        raw.ask(command::DEVICE_RESET, &[])
            .is_some_and(|reply| reply.error != 0)
    );
    for bad in [
        &[][..],
        &[0, 0],
        &[1, 0, 0, 0],
        &[0, 0, 0, 0, b'{'],
        &[0, 0, 0, 0, b'{', 0, b'}', 0],
        &[0, 0, 0, 0, 0xFF, 0xFE, 0],
    ] {
        let reply = raw.ask(command::VERSION, bad);
        assert!(reply.is_some_and(|reply| reply.error != 0), "{bad:x?}");
    }
    drop(raw);
    setup.check_works();
}

#[test]
fn a_client_that_stops_in_a_message_does_not_hold_up_the_next_when_it_is_gone() {
    let setup = Setup::new();
    let mut stuck = setup.greeted();
    stuck.stream.write_all(&[0; 7]).expect("connected");
    drop(stuck);
    setup.check_works();
}

#[test]
fn chance_finds_no_message_that_does_harm() {
    let setup = Setup::new();
    let mut chance = fastrand::Rng::with_seed(4);
    for _ in 0..40 {
        let mut raw = setup.greeted();
        for _ in 0..50 {
            let mut body: Vec<u8> = (0..chance.usize(0..64)).map(|_| chance.u8(..)).collect();
            if chance.bool() {
                // Small numbers get further.
                for byte in &mut body {
                    *byte &= 1;
                }
            }
            let header = Header {
                flags: if chance.u8(..) < 16 { chance.u32(..) } else { 0 },
                ..Raw::header(chance.u16(0..17), &body)
            };
            raw.send(&header, &body);
            if header.flags & (flags::NO_REPLY | flags::TYPE) == 0 && raw.reply().is_none() {
                break;
            }
        }
    }
    setup.check_works();
}

#[test]
fn memory_that_becomes_shorter_costs_nothing_but_itself() {
    let setup = Setup::new();
    let mut client = setup.client();
    let file = memory(4);
    client.dma_map(0, 0, 4 * 4096, file.as_raw_fd()).expect("memory");
    // Bus mastering and memory decoding on, and the file gone: a command queue in it reads as zeros.
    client.region_write(CONFIG_REGION, 4, &[6, 0]).expect("command");
    ftruncate(&file, 0).expect("it is ours");
    let memory = setup.server.function().memory();
    let mut bytes = [1; 8];
    assert_eq!(memory.read(2 * 4096, &mut bytes), Ok(()));
    assert_eq!(bytes, [0; 8]);
    assert_eq!(memory.write(3 * 4096, &bytes), Ok(()), "lost");
    drop(client);
    setup.check_works();
}

#[test]
fn files_that_are_none_are_refused() {
    let setup = Setup::new();
    let mut client = setup.client();
    let (pipe, _other) = rustix::pipe::pipe().expect("a pipe");
    let null = File::open("/dev/null").expect("it is everywhere");
    // rust-vmm's client does not look at the error of a reply: what counts is that nothing was mapped and nobody hangs.
    client.dma_map(0, 0, 4096, pipe.as_raw_fd()).expect("an answer");
    client.dma_map(0, 0, 4096, null.as_raw_fd()).expect("an answer");
    client
        .set_irqs(2, EVENTFD_TRIGGER, 0, 1, &[pipe.as_raw_fd()])
        .expect("an answer");
    let event = eventfd(0, EventfdFlags::empty()).expect("a file");
    client
        .set_irqs(2, EVENTFD_TRIGGER, 0, 1, &[event.as_raw_fd()])
        .expect("an answer");
    client.set_irqs(2, 1 | 32, 0, 1, &[]).expect("an answer");
    let mut counter = [0; 8];
    rustix::io::read(&event, &mut counter).expect("it was triggered");
    assert_eq!(u64::from_ne_bytes(counter), 1);
}
