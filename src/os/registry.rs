//! The adapter's configuration in the registry.
#![expect(unsafe_code, reason = "NDIS configuration handles")]

use ndk_sys::NDIS_STATUS_SUCCESS;
use ndk_sys::{
    NDIS_CONFIGURATION_OBJECT, NDIS_CONFIGURATION_OBJECT_REVISION_1, NDIS_HANDLE, NDIS_OBJECT_HEADER,
    NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT, NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1, NDIS_STATUS,
    NDIS_STRING, NdisParameterHexInteger, NdisParameterInteger, imports::ndis,
};

use super::handle::AdapterHandle;
use super::irql::Passive;
use crate::ndis::config::Source;

/// Longest keyword, in UTF-16 units with the terminator.
const MAX_KEYWORD: usize = 48;

/// The open configuration.
pub struct Configuration(NDIS_HANDLE);

impl Configuration {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// What NDIS says.
    pub fn open(passive: &Passive, adapter: AdapterHandle) -> Result<Self, NDIS_STATUS> {
        passive.check();
        let mut object = NDIS_CONFIGURATION_OBJECT {
            Header: NDIS_OBJECT_HEADER {
                Type: NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT,
                Revision: NDIS_CONFIGURATION_OBJECT_REVISION_1,
                Size: NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1,
            },
            NdisHandle: adapter.raw(),
            Flags: 0,
        };
        let mut handle = core::ptr::null_mut();
        // SAFETY: a filled structure and a place for the handle, at PASSIVE_LEVEL.
        let status = unsafe { ndis::NdisOpenConfigurationEx(&raw mut object, &raw mut handle) };
        if status == NDIS_STATUS_SUCCESS {
            Ok(Self(handle))
        } else {
            Err(status)
        }
    }
}

impl Source for Configuration {
    /// # Panics
    ///
    /// If the keyword is too long, or not ASCII.
    fn integer(&self, keyword: &str) -> Option<u32> {
        let mut units = [0u16; MAX_KEYWORD];
        assert!(keyword.len() < MAX_KEYWORD, "a longer keyword than planned for");
        for (unit, byte) in units.iter_mut().zip(keyword.bytes()) {
            *unit = byte.into();
        }
        let length = u16::try_from(keyword.len() * size_of::<u16>()).unwrap_or(u16::MAX);
        let mut name = NDIS_STRING {
            Length: length,
            MaximumLength: length + 2,
            Buffer: units.as_mut_ptr(),
        };
        let mut status = NDIS_STATUS_SUCCESS;
        let mut value = core::ptr::null_mut();
        // SAFETY: an open handle, a counted string, places for the results; at PASSIVE_LEVEL, where the handle was made.
        unsafe {
            ndis::NdisReadConfiguration(
                &raw mut status,
                &raw mut value,
                self.0,
                &raw mut name,
                NdisParameterInteger,
            );
        };
        if status != NDIS_STATUS_SUCCESS || value.is_null() {
            return None;
        }
        // SAFETY: NDIS returned a parameter, valid until the handle is closed.
        let value = unsafe { &*value };
        let number =
            value.ParameterType == NdisParameterInteger || value.ParameterType == NdisParameterHexInteger;
        // SAFETY: every member of the union begins with four bytes that are initialised.
        let integer = unsafe { value.ParameterData.IntegerData };
        number.then_some(integer)
    }

    fn network_address(&self) -> Option<[u8; 6]> {
        let mut status = NDIS_STATUS_SUCCESS;
        let mut address = core::ptr::null_mut();
        let mut length = 0;
        // SAFETY: an open handle and places for the results; at PASSIVE_LEVEL, where the handle was made.
        unsafe {
            ndis::NdisReadNetworkAddress(&raw mut status, &raw mut address, &raw mut length, self.0);
        };
        if status != NDIS_STATUS_SUCCESS || length != 6 || address.is_null() {
            return None;
        }
        // SAFETY: NDIS returned that many bytes, valid until the handle is closed.
        Some(unsafe { *address.cast::<[u8; 6]>() })
    }
}

impl Drop for Configuration {
    fn drop(&mut self) {
        // SAFETY: an open handle.
        unsafe { ndis::NdisCloseConfiguration(self.0) };
    }
}
