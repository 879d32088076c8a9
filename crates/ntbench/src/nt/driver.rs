//! `DRIVER_OBJECT`, and a driver's life: load, `DriverEntry`, unload.

use super::unicode::OwnedUnicodeString;
use super::{object, registry, spinlock, timer, work};
use crate::cpu::call::call;
use crate::cpu::vp;
use crate::memory;
use crate::pe::file::LoadError;
use crate::pe::image::LoadedImage;
use crate::verifier::pool;
use crate::{ndis, netio, wsk};
use std::path::Path;

/// Offsets in `DRIVER_OBJECT` (ntddk's wdm.h, x64).
mod offset {
    pub const SIZE_OF: usize = 336;
    pub const DRIVER_START: usize = 24;
    pub const DRIVER_SIZE: usize = 32;
    pub const DRIVER_EXTENSION: usize = 48;
    pub const DRIVER_NAME: usize = 56;
    pub const DRIVER_INIT: usize = 88;
    pub const DRIVER_UNLOAD: usize = 104;
    pub const SERVICE_KEY_NAME_IN_EXTENSION: usize = 24;
}

/// `IO_TYPE_DRIVER`
const IO_TYPE_DRIVER: u16 = 4;

/// A loaded driver.
#[derive(Debug)]
pub struct Driver {
    image: LoadedImage,
    object: Box<[u64; offset::SIZE_OF / 8]>,
    _extension: Box<[u64; 8]>,
    registry_path: OwnedUnicodeString,
    _name: OwnedUnicodeString,
    service: String,
    started: bool,
}

impl Driver {
    /// Loads an image as the driver of a service.
    ///
    /// # Errors
    /// See [`LoadedImage::load`].
    ///
    /// # Panics
    /// When the image is larger than 4 GiB.
    pub fn load(path: &Path, service: &str) -> Result<Self, LoadError> {
        let image = LoadedImage::load(path)?;
        let key = registry::service_key(service);
        registry::create_key(&key);
        let registry_path = OwnedUnicodeString::new(&key);
        let name = OwnedUnicodeString::new(&format!(r"\Driver\{service}"));
        let extension = Box::new([0_u64; 8]);
        let mut object = Box::new([0_u64; offset::SIZE_OF / 8]);
        let address = object.as_mut_ptr() as usize;
        let size = u32::try_from(image.file.size).expect("images are smaller than 4 GiB");
        memory::write(address, IO_TYPE_DRIVER);
        memory::write(address + 2, u16::try_from(offset::SIZE_OF).expect("small"));
        memory::write(address + offset::DRIVER_START, image.base as u64);
        memory::write(address + offset::DRIVER_SIZE, size);
        memory::write(address + offset::DRIVER_EXTENSION, extension.as_ptr() as u64);
        memory::write(address + offset::DRIVER_NAME, name.words());
        memory::write(address + offset::DRIVER_INIT, image.entry() as u64);
        memory::write(extension.as_ptr() as usize, address as u64);
        memory::write(
            extension.as_ptr() as usize + offset::SERVICE_KEY_NAME_IN_EXTENSION,
            OwnedUnicodeString::words(&name),
        );
        Ok(Self {
            image,
            object,
            _extension: extension,
            registry_path,
            _name: name,
            service: service.to_owned(),
            started: false,
        })
    }

    /// Name of the service.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Address of the driver's `DRIVER_OBJECT`.
    #[must_use]
    pub fn object(&self) -> usize {
        self.object.as_ptr() as usize
    }

    /// The mapped image.
    #[must_use]
    pub fn image(&self) -> &LoadedImage {
        &self.image
    }

    /// Calls `DriverEntry` at PASSIVE level and discards the INIT sections. Returns its NTSTATUS.
    pub fn start(&mut self) -> i32 {
        let result = call(
            self.image.entry(),
            &[self.object() as u64, self.registry_path.address() as u64],
        );
        // An NTSTATUS is the lower half of rax.
        #[expect(clippy::cast_possible_truncation, reason = "the upper half means nothing")]
        let status = (result as u32).cast_signed();
        self.image.discard_init();
        self.started = status >= 0;
        status
    }

    /// Calls the driver's unload routine if `DriverEntry` has succeeded and set one, checks that nothing of it is
    /// left behind, and unmaps the image.
    pub fn unload(self) {
        let unload: usize = memory::read(self.object() + offset::DRIVER_UNLOAD);
        if self.started && unload != 0 {
            let _ = call(unload, &[self.object() as u64]);
        }
        // What was queued before may still run: Windows waits for queued DPCs, too.
        for vp in vp::all() {
            vp.flush_dpcs();
        }
        self.check_left_behind();
    }

    fn check_left_behind(&self) {
        let (base, range) = (self.image.base, self.image.range());
        ndis::driver::check_unloaded(self.object());
        netio::addresses::check_unloaded(&range);
        wsk::clients::check_unloaded(base);
        let name = self
            .image
            .file
            .path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        work::check_unloaded(&range, &name);
        pool::check_leaks(base, &name);
        object::check_leaks(base, &name);
        // Objects in the image's own data.
        timer::check_freed(&range);
        spinlock::check_freed(&range);
    }
}
