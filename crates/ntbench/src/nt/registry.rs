//! The registry: keys and values in memory.

use super::object::{self, Object};
use super::status::{self, NtStatus};
use super::unicode;
use crate::exports;
use crate::memory;
use parking_lot::RwLock;
use std::collections::BTreeMap;

exports! {
    /// Registry routines.
    pub static EXPORTS: "ntoskrnl.exe" = {
        ZwOpenKey = function(zw_open_key, exactly(PASSIVE_LEVEL));
        ZwCreateKey = function(zw_create_key, exactly(PASSIVE_LEVEL));
        ZwQueryValueKey = function(zw_query_value_key, exactly(PASSIVE_LEVEL));
        ZwSetValueKey = function(zw_set_value_key, exactly(PASSIVE_LEVEL));
        ZwDeleteValueKey = function(zw_delete_value_key, exactly(PASSIVE_LEVEL));
    }
}

/// A registry value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `REG_SZ`
    Sz(String),
    /// `REG_DWORD`
    Dword(u32),
    /// `REG_QWORD`
    Qword(u64),
    /// `REG_MULTI_SZ`
    MultiSz(Vec<String>),
    /// `REG_BINARY`
    Binary(Vec<u8>),
}

mod value_type {
    pub const SZ: u32 = 1;
    pub const BINARY: u32 = 3;
    pub const DWORD: u32 = 4;
    pub const MULTI_SZ: u32 = 7;
    pub const QWORD: u32 = 11;
}

impl Value {
    /// Type number and content as the registry stores them.
    #[must_use]
    pub fn encode(&self) -> (u32, Vec<u8>) {
        let wide = |text: &str| {
            text.encode_utf16()
                .chain([0])
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<u8>>()
        };
        match self {
            Self::Sz(text) => (value_type::SZ, wide(text)),
            Self::Dword(value) => (value_type::DWORD, value.to_le_bytes().to_vec()),
            Self::Qword(value) => (value_type::QWORD, value.to_le_bytes().to_vec()),
            Self::MultiSz(texts) => {
                let mut bytes: Vec<u8> = texts.iter().flat_map(|text| wide(text)).collect();
                bytes.extend([0, 0]);
                (value_type::MULTI_SZ, bytes)
            }
            Self::Binary(bytes) => (value_type::BINARY, bytes.clone()),
        }
    }

    /// The reverse of [`Value::encode`]; unknown types become binary.
    #[must_use]
    pub fn decode(kind: u32, bytes: &[u8]) -> Self {
        let units: Vec<u16> = bytes
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        match (kind, bytes.len()) {
            (value_type::SZ, _) => {
                Self::Sz(String::from_utf16_lossy(&units).trim_end_matches('\0').to_owned())
            }
            (value_type::DWORD, 4) => Self::Dword(u32::from_le_bytes(bytes.try_into().unwrap_or_default())),
            (value_type::QWORD, 8) => Self::Qword(u64::from_le_bytes(bytes.try_into().unwrap_or_default())),
            (value_type::MULTI_SZ, _) => Self::MultiSz(
                String::from_utf16_lossy(&units)
                    .split('\0')
                    .filter(|text| !text.is_empty())
                    .map(str::to_owned)
                    .collect(),
            ),
            _ => Self::Binary(bytes.to_vec()),
        }
    }
}

/// The values of a key by their name in lower case, each with its name as it was given.
type Values = BTreeMap<String, (String, Value)>;

/// Keys by their path in lower case.
static KEYS: RwLock<BTreeMap<String, Values>> = RwLock::new(BTreeMap::new());

fn normal(path: &str) -> String {
    path.trim_end_matches('\\').to_lowercase()
}

/// The path of a service's key.
#[must_use]
pub fn service_key(service: &str) -> String {
    format!(r"\REGISTRY\MACHINE\SYSTEM\CurrentControlSet\Services\{service}")
}

/// Forgets everything.
pub fn clear() {
    KEYS.write().clear();
}

/// Creates a key; false if it was there.
pub fn create_key(path: &str) -> bool {
    let mut keys = KEYS.write();
    let new = !keys.contains_key(&normal(path));
    keys.entry(normal(path)).or_default();
    new
}

/// Sets a value, and creates its key.
pub fn set(path: &str, name: &str, value: Value) {
    KEYS.write()
        .entry(normal(path))
        .or_default()
        .insert(name.to_lowercase(), (name.to_owned(), value));
}

/// Reads a value.
#[must_use]
pub fn get(path: &str, name: &str) -> Option<Value> {
    KEYS.read()
        .get(&normal(path))?
        .get(&name.to_lowercase())
        .map(|(_, value)| value.clone())
}

/// The path in an `OBJECT_ATTRIBUTES`: root directory at 8, name at 16.
fn path_of(attributes: usize) -> Option<String> {
    let root: u64 = memory::read(attributes + 8);
    let name_address: usize = memory::read(attributes + 16);
    let name = if name_address == 0 {
        String::new()
    } else {
        unicode::read(name_address)
    };
    if root == 0 {
        return Some(name);
    }
    match object::get(root)? {
        Object::Key(path) => Some(format!(r"{path}\{name}")),
        Object::Thread(_) => None,
    }
}

fn key_path(handle: u64) -> Option<String> {
    match object::get(handle)? {
        Object::Key(path) => Some(path),
        Object::Thread(_) => None,
    }
}

extern "win64" fn zw_open_key(handle: usize, _access: u32, attributes: usize) -> NtStatus {
    let Some(path) = path_of(attributes) else {
        return status::INVALID_HANDLE;
    };
    if !KEYS.read().contains_key(&normal(&path)) {
        return status::OBJECT_NAME_NOT_FOUND;
    }
    memory::write(handle, object::open(Object::Key(path)));
    status::SUCCESS
}

extern "win64" fn zw_create_key(
    handle: usize,
    _access: u32,
    attributes: usize,
    _title: u32,
    _class: usize,
    _options: u32,
    disposition: usize,
) -> NtStatus {
    let Some(path) = path_of(attributes) else {
        return status::INVALID_HANDLE;
    };
    let new = create_key(&path);
    if disposition != 0 {
        // REG_CREATED_NEW_KEY or REG_OPENED_EXISTING_KEY
        memory::write(disposition, if new { 1_u32 } else { 2 });
    }
    memory::write(handle, object::open(Object::Key(path)));
    status::SUCCESS
}

/// `KEY_VALUE_INFORMATION_CLASS`
mod class {
    pub const BASIC: u32 = 0;
    pub const FULL: u32 = 1;
    pub const PARTIAL: u32 = 2;
}

/// The structure of an information class: its fixed part, and all of it.
fn information(class: u32, name: &str, value: &Value) -> Option<(usize, Vec<u8>)> {
    let (kind, data) = value.encode();
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let word = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = [[0; 4], kind.to_le_bytes()].concat();
    let fixed = match class {
        class::BASIC => {
            bytes.extend(word(name.len()));
            bytes.extend(&name);
            12
        }
        class::FULL => {
            let offset = (20 + name.len()).next_multiple_of(8);
            bytes.extend([word(offset), word(data.len()), word(name.len())].concat());
            bytes.extend(&name);
            bytes.resize(offset, 0);
            bytes.extend(&data);
            20
        }
        class::PARTIAL => {
            bytes.extend(word(data.len()));
            bytes.extend(&data);
            12
        }
        _ => return None,
    };
    Some((fixed, bytes))
}

extern "win64" fn zw_query_value_key(
    handle: u64,
    name: usize,
    class: u32,
    buffer: usize,
    length: u32,
    result_length: usize,
) -> NtStatus {
    let Some(path) = key_path(handle) else {
        return status::INVALID_HANDLE;
    };
    let name = unicode::read(name);
    let found = KEYS
        .read()
        .get(&normal(&path))
        .and_then(|values| values.get(&name.to_lowercase()).cloned());
    let Some((name, value)) = found else {
        return status::OBJECT_NAME_NOT_FOUND;
    };
    let Some((fixed, bytes)) = information(class, &name, &value) else {
        return status::INVALID_PARAMETER;
    };
    memory::write(result_length, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    let length = length as usize;
    memory::write_bytes(
        buffer,
        &bytes[..bytes.len().min(if length < fixed { 0 } else { length })],
    );
    if length < fixed {
        status::BUFFER_TOO_SMALL
    } else if length < bytes.len() {
        status::BUFFER_OVERFLOW
    } else {
        status::SUCCESS
    }
}

extern "win64" fn zw_set_value_key(
    handle: u64,
    name: usize,
    _title: u32,
    kind: u32,
    data: usize,
    size: u32,
) -> NtStatus {
    let Some(path) = key_path(handle) else {
        return status::INVALID_HANDLE;
    };
    set(
        &path,
        &unicode::read(name),
        Value::decode(kind, &memory::read_bytes(data, size as usize)),
    );
    status::SUCCESS
}

extern "win64" fn zw_delete_value_key(handle: u64, name: usize) -> NtStatus {
    let Some(path) = key_path(handle) else {
        return status::INVALID_HANDLE;
    };
    let name = unicode::read(name).to_lowercase();
    let removed = KEYS
        .write()
        .get_mut(&normal(&path))
        .and_then(|values| values.remove(&name));
    if removed.is_some() {
        status::SUCCESS
    } else {
        status::OBJECT_NAME_NOT_FOUND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip_through_their_encoding() {
        let values = [
            Value::Sz("text".into()),
            Value::Dword(7),
            Value::Qword(1 << 40),
            Value::MultiSz(vec!["a".into(), "b".into()]),
            Value::Binary(vec![1, 2, 3]),
        ];
        for value in values {
            let (kind, bytes) = value.encode();
            assert_eq!(Value::decode(kind, &bytes), value);
        }
        assert_eq!(
            Value::decode(value_type::DWORD, &[1]),
            Value::Binary(vec![1]),
            "a short DWORD is not read beyond"
        );
    }

    #[test]
    fn names_ignore_case() {
        set(r"\Registry\Machine\Test\Case", "MaxCq", Value::Dword(3));
        assert_eq!(
            get(r"\registry\machine\TEST\case\", "maxcq"),
            Some(Value::Dword(3))
        );
        assert_eq!(get(r"\registry\machine\TEST", "maxcq"), None);
    }

    #[test]
    fn information_classes_have_the_documented_layout() {
        let value = Value::Dword(0x0102_0304);
        let (fixed, partial) = information(class::PARTIAL, "Name", &value).expect("known class");
        assert_eq!((fixed, partial.len()), (12, 16));
        assert_eq!(partial[4..], [4, 0, 0, 0, 4, 0, 0, 0, 4, 3, 2, 1]);
        let (_, full) = information(class::FULL, "Name", &value).expect("known class");
        assert_eq!(
            full[8..12],
            32_u32.to_le_bytes(),
            "the data follows the name, aligned"
        );
        assert_eq!(full[32..], [4, 3, 2, 1]);
        assert!(information(9, "Name", &value).is_none());
    }
}
