//! The adapter's registry key, and the event log.

use super::adapter::{Keyword, Miniport};
use super::handles;
use super::header::{self, Expected};
use super::resources::Kind;
use crate::exports;
use crate::memory;
use crate::nt::event_log;
use crate::nt::unicode::{self, OwnedUnicodeString};
use ndk_sys::{
    NDIS_CONFIGURATION_OBJECT, NDIS_CONFIGURATION_PARAMETER, NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT,
    NDIS_PARAMETER_TYPE, NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1, NDIS_STATUS, NDIS_STATUS_FAILURE,
    NDIS_STATUS_SUCCESS, NDIS_STRING, NdisParameterHexInteger, NdisParameterInteger, NdisParameterString,
};
use parking_lot::Mutex;
use std::sync::Arc;

exports! {
    /// Configuration and event log.
    pub static EXPORTS: "ndis.sys" = {
        NdisOpenConfigurationEx = function(ndis_open_configuration_ex, exactly(PASSIVE_LEVEL));
        NdisReadConfiguration = function(ndis_read_configuration, exactly(PASSIVE_LEVEL));
        NdisReadNetworkAddress = function(ndis_read_network_address, exactly(PASSIVE_LEVEL));
        NdisCloseConfiguration = function(ndis_close_configuration, exactly(PASSIVE_LEVEL));
        NdisWriteEventLogEntry = function(ndis_write_event_log_entry, at_most(DISPATCH_LEVEL));
    }
}

/// An open configuration handle, with the values that the driver has read: they live until it is closed.
struct Configuration {
    miniport: Arc<Miniport>,
    values: Mutex<Vec<Value>>,
}

/// A value as the driver sees it.
struct Value {
    parameter: Box<NDIS_CONFIGURATION_PARAMETER>,
    _text: Option<OwnedUnicodeString>,
}

#[expect(unsafe_code, reason = "values hold addresses of each other")]
// SAFETY: the addresses point into boxes that move with the value; the bench never dereferences them.
unsafe impl Send for Value {}

/// The hardware address that an administrator has set, six bytes, if any: keyword `NetworkAddress`.
struct NetworkAddress([u8; 6]);

extern "win64" fn ndis_open_configuration_ex(object: usize, handle_out: usize) -> NDIS_STATUS {
    header::check(
        object,
        Expected {
            name: "NDIS_CONFIGURATION_OBJECT",
            kind: NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT,
            revision: 1,
            size: NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1,
        },
    );
    let value: NDIS_CONFIGURATION_OBJECT = memory::read(object);
    let miniport = handles::get::<Miniport>(value.NdisHandle as u64);
    if crate::verifier::faults::allocation_fails() {
        return NDIS_STATUS_FAILURE;
    }
    let configuration = Configuration {
        miniport: Arc::clone(&miniport),
        values: Mutex::default(),
    };
    let handle = handles::open(Arc::new(configuration));
    miniport.ledger.take(Kind::Configuration, handle, 0);
    memory::write(handle_out, handle);
    NDIS_STATUS_SUCCESS
}

extern "win64" fn ndis_close_configuration(handle: u64) {
    let configuration = handles::close::<Configuration>(handle);
    configuration
        .miniport
        .ledger
        .give_back(Kind::Configuration, handle);
}

extern "win64" fn ndis_read_configuration(
    status_out: usize,
    value_out: usize,
    handle: u64,
    keyword: usize,
    wanted: NDIS_PARAMETER_TYPE,
) {
    let configuration = handles::get::<Configuration>(handle);
    let keyword = unicode::read(keyword);
    let value = configuration
        .miniport
        .config
        .keywords
        .get(&keyword)
        .and_then(|stored| convert(stored, wanted));
    let Some(value) = value else {
        memory::write(status_out, NDIS_STATUS_FAILURE);
        return;
    };
    memory::write(value_out, (&raw const *value.parameter).addr() as u64);
    configuration.values.lock().push(value);
    memory::write(status_out, NDIS_STATUS_SUCCESS);
}

/// A stored value as the wanted type. Standardized keywords are strings in the registry, and NDIS converts them.
fn convert(stored: &Keyword, wanted: NDIS_PARAMETER_TYPE) -> Option<Value> {
    let mut parameter = Box::new(NDIS_CONFIGURATION_PARAMETER::zeroed());
    parameter.ParameterType = wanted;
    if wanted == NdisParameterString {
        let text = match stored {
            Keyword::Text(text) => text.clone(),
            Keyword::Integer(value) => value.to_string(),
        };
        let text = OwnedUnicodeString::new(&text);
        parameter.ParameterData.StringData = memory::read::<NDIS_STRING>(text.address());
        return Some(Value {
            parameter,
            _text: Some(text),
        });
    }
    let radix = if wanted == NdisParameterInteger {
        10
    } else if wanted == NdisParameterHexInteger {
        16
    } else {
        return None;
    };
    parameter.ParameterData.IntegerData = match stored {
        Keyword::Integer(value) => *value,
        Keyword::Text(text) => u32::from_str_radix(text.trim(), radix).ok()?,
    };
    Some(Value {
        parameter,
        _text: None,
    })
}

extern "win64" fn ndis_read_network_address(
    status_out: usize,
    address_out: usize,
    length_out: usize,
    handle: u64,
) {
    let configuration = handles::get::<Configuration>(handle);
    let stored = configuration.miniport.config.keywords.get("NetworkAddress");
    let address = stored.and_then(|keyword| match keyword {
        Keyword::Text(text) => NetworkAddress::parse(text),
        Keyword::Integer(_) => None,
    });
    let Some(address) = address else {
        memory::write(status_out, NDIS_STATUS_FAILURE);
        return;
    };
    let mut parameter = Box::new(NDIS_CONFIGURATION_PARAMETER::zeroed());
    let at = (&raw const *parameter).addr();
    parameter.ParameterType = NdisParameterString;
    // NDIS hands out a pointer to the bytes; they live in the value's own memory.
    memory::write_bytes(at + 8, &address.0);
    memory::write(address_out, (at + 8) as u64);
    memory::write(length_out, 6_u32);
    configuration.values.lock().push(Value {
        parameter,
        _text: None,
    });
    memory::write(status_out, NDIS_STATUS_SUCCESS);
}

impl NetworkAddress {
    /// Twelve hexadecimal digits, with or without separators.
    fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text
            .chars()
            .filter(|c| !matches!(c, '-' | ':'))
            .map(|c| c.to_digit(16)?.try_into().ok())
            .collect::<Option<_>>()?;
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair.get(1).copied().unwrap_or(0))
            .collect();
        (digits.len() == 12)
            .then(|| bytes.try_into().ok())
            .flatten()
            .map(Self)
    }
}

extern "win64" fn ndis_write_event_log_entry(
    _log_handle: usize,
    code: u32,
    _unique: u32,
    strings: u16,
    strings_list: usize,
    data_size: u32,
    data: usize,
) -> NDIS_STATUS {
    let text = |index: u16| {
        let at: u64 = memory::read(strings_list + usize::from(index) * 8);
        memory::read_wide_string(usize::try_from(at).unwrap_or(0), 256)
    };
    event_log::add(event_log::Entry {
        code,
        strings: (0..strings).map(text).collect(),
        data: memory::read_bytes(data, data_size as usize),
    });
    NDIS_STATUS_SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_converted_as_ndis_does() {
        let integer = |stored: Keyword, wanted| {
            convert(&stored, wanted).map(|value| {
                let at = (&raw const *value.parameter).addr();
                memory::read::<u32>(at + 8)
            })
        };
        assert_eq!(
            integer(Keyword::Text("1514".into()), NdisParameterInteger),
            Some(1514)
        );
        assert_eq!(
            integer(Keyword::Text("ff".into()), NdisParameterHexInteger),
            Some(255)
        );
        assert_eq!(integer(Keyword::Integer(7), NdisParameterInteger), Some(7));
        assert_eq!(integer(Keyword::Text("many".into()), NdisParameterInteger), None);
    }

    #[test]
    fn network_addresses_are_twelve_digits() {
        assert_eq!(
            NetworkAddress::parse("02-11-22-33-44-55").map(|a| a.0),
            Some([2, 0x11, 0x22, 0x33, 0x44, 0x55])
        );
        assert_eq!(NetworkAddress::parse("0211223344").map(|a| a.0), None);
        assert_eq!(NetworkAddress::parse("").map(|a| a.0), None);
    }
}
