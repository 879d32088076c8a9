//! `vrnic-vfio-user`: see `--help`.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use vrnic_device::{NicConfig, PcapTap};
use vrnic_vfio_user::options::{self, NicOptions, Options, WireOptions};
use vrnic_vfio_user::{Function, Server, truncated};
use vrnic_wire::{DgramPort, Hub, HubConfig, Pcap, StreamPort, TapPort};

fn main() -> ExitCode {
    match run(&Options::from(&options::command().get_matches())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vrnic-vfio-user: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<()> {
    truncated::tolerate()?;
    let hub = Hub::new(HubConfig::default())?;
    if let Some(path) = &options.pcap {
        hub.tap(Arc::new(named(path.display(), Pcap::create(path))?));
    }
    let mut wires = Vec::new();
    for wire in &options.wire {
        wires.push(named(format!("{wire:?}"), plug_in(&hub, wire))?);
    }
    let mut servers = Vec::new();
    for (number, nic) in options.nics().iter().enumerate() {
        let server = serve(&hub, number, nic);
        servers.push(named(nic.socket.display(), server)?);
        println!("listening {}", nic.socket.display());
    }
    // Whoever waits for these lines may read a pipe.
    io::stdout().flush()?;
    servers.into_iter().for_each(Server::join);
    Ok(())
}

/// What keeps a wire plugged in while it lives.
#[expect(dead_code, reason = "kept for what happens when it is dropped")]
enum Wire {
    Dgram(DgramPort),
    Stream(StreamPort),
    Tap(TapPort),
}

fn plug_in(hub: &Hub, wire: &WireOptions) -> io::Result<Wire> {
    Ok(match wire {
        WireOptions::Dgram(local, remote) => Wire::Dgram(DgramPort::attach(hub, "dgram", local, remote)?),
        WireOptions::Listen(path) => Wire::Stream(StreamPort::listen(hub, "stream", path)?),
        WireOptions::Connect(path) => Wire::Stream(StreamPort::connect(hub, "stream", path)?),
        WireOptions::Tap(name) => Wire::Tap(TapPort::attach(hub, name)?),
    })
}

fn serve(hub: &Hub, number: usize, options: &NicOptions) -> io::Result<Server> {
    let name = format!("nic{number}");
    let mut config = NicConfig::new(options.mac.unwrap_or_default());
    config.mtu = options.mtu.unwrap_or(config.mtu);
    let port = Arc::new(hub.port(&name));
    let function = Function::new(&name, config, Arc::clone(&port) as Arc<dyn vrnic_device::Wire>)?;
    if let Some(path) = &options.pcap {
        // Unbuffered: the process is usually ended by a signal.
        let file = std::fs::File::create(path)?;
        function.nic().set_tap(Some(Arc::new(PcapTap::new(file)?)));
    }
    let nic = Arc::downgrade(function.nic());
    port.connect(Arc::new(move |frame| {
        if let Some(nic) = nic.upgrade() {
            nic.receive(frame);
        }
    }));
    Server::start(&options.socket, function)
}

/// Puts what an error is about in front of it.
fn named<T>(what: impl std::fmt::Display, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::new(error.kind(), format!("{what}: {error}")))
}
