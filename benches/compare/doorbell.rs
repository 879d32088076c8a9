//! Doorbells and registers of a NIC in this process, and of one in a process of its own that is reached over vfio-user.

use crate::{Effort, figure};
use ntbench::measure::access_costs;
use std::env;
use std::ffi::OsString;
use std::path::Path;
use xtask::qemu::guest::NicServer;

pub fn measure(effort: Effort) {
    let program = env::var_os("VRNIC_VFIO_USER").expect("VRNIC_VFIO_USER is not set: run it by ./x bench");
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("nic");
    let arguments = [
        OsString::from("--nic"),
        format!("socket={}", socket.display()).into(),
    ];
    let _server = NicServer::start(Path::new(&program), &arguments, 1, &folder.path().join("log"))
        .expect("the device process starts");
    for (place, socket) in [("in this process", None), ("over vfio-user", Some(&*socket))] {
        let costs = access_costs(socket, effort.times(2000)).expect("the NIC is there");
        for (what, cost) in [
            ("doorbell", costs.doorbell),
            ("waking the NIC", costs.kick),
            ("reading a register", costs.read),
        ] {
            figure(&format!("{what}, {place}"), cost.as_secs_f64() * 1e9, "ns");
        }
    }
}
