//! Compares everything that the crate declares with the numbers of Microsoft's headers: a difference, and anything
//! that only one side has, fails.

use std::collections::BTreeMap;
use std::fmt::Debug;

use ndk_sys::abi;
use serde_json::Value;

/// One side of the comparison: by structure (or group) and member, a number or a bit field's place.
type Facts = BTreeMap<String, BTreeMap<String, String>>;

/// Reads one group of a reference file.
fn reference(text: &str, group: &str) -> Value {
    let mut file: Value = serde_json::from_str(text).expect("the reference file is JSON");
    file[group].take()
}

fn layouts_file(group: &str) -> Value {
    reference(include_str!("layouts.json"), group)
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().expect("a JSON object").iter()
}

/// Adds the structures of a reference group to `facts`.
fn add_structs(facts: &mut Facts, structs: &Value) {
    for (name, layout) in entries(structs) {
        let members = facts.entry(name.clone()).or_default();
        members.insert("(size)".to_owned(), layout["size"].to_string());
        for (field, place) in entries(&layout["fields"]) {
            let place = place.as_str().map_or_else(|| place.to_string(), str::to_owned);
            members.insert(field.clone(), place);
        }
    }
}

fn reference_layouts() -> Facts {
    let mut facts = Facts::new();
    add_structs(&mut facts, &layouts_file("structs"));
    add_structs(&mut facts, &layouts_file("newer"));
    facts
}

fn our_layouts() -> Facts {
    let members = |layout: &abi::Layout| {
        let mut members = BTreeMap::from([("(size)".to_owned(), layout.size.to_string())]);
        layout.for_each_member(&mut |name, offset| {
            members.insert(name.to_owned(), offset.to_string());
        });
        layout.for_each_bit_field(&mut |name, start, width| {
            members.insert(name.to_owned(), format!("bit {start} width {width}"));
        });
        members
    };
    abi::named_layouts()
        .map(|(name, layout)| (name.to_owned(), members(layout)))
        .collect()
}

fn reference_enums() -> Facts {
    let values = |e: &Value| {
        entries(e)
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect()
    };
    entries(&layouts_file("enums"))
        .map(|(name, e)| (name.clone(), values(e)))
        .collect()
}

fn our_enums() -> Facts {
    let values = |e: &abi::Enum| {
        e.values
            .iter()
            .map(|(n, v)| ((*n).to_owned(), v.to_string()))
            .collect()
    };
    abi::enums().map(|e| (e.name.to_owned(), values(e))).collect()
}

fn reference_constants() -> Facts {
    let values = reference(include_str!("constants.json"), "constants");
    let values = entries(&values)
        .map(|(name, value)| (name.clone(), value.to_string()))
        .collect();
    Facts::from([("constants".to_owned(), values)])
}

fn our_constants() -> Facts {
    // The headers' macros are unsigned 32-bit numbers where ours are statuses, which are signed.
    let unsigned = |value: i128| if value < 0 { value + (1 << 32) } else { value };
    let values = abi::constants()
        .map(|c| (c.name.to_owned(), unsigned(c.value).to_string()))
        .collect();
    Facts::from([("constants".to_owned(), values)])
}

/// Every difference between two maps: for each key, what `compare` finds in the two values.
fn compare_maps<V: Default + Debug>(
    ours: &BTreeMap<String, V>,
    theirs: &BTreeMap<String, V>,
    compare: &mut dyn FnMut(&str, &V, &V),
) {
    let none = V::default();
    for key in ours
        .keys()
        .chain(theirs.keys().filter(|key| !ours.contains_key(*key)))
    {
        compare(
            key,
            ours.get(key).unwrap_or(&none),
            theirs.get(key).unwrap_or(&none),
        );
    }
}

fn differences(ours: &Facts, theirs: &Facts) -> Vec<String> {
    let mut found = Vec::new();
    compare_maps(ours, theirs, &mut |group, ours, theirs| {
        compare_maps(ours, theirs, &mut |member, ours, theirs| {
            if ours != theirs {
                found.push(format!("{group}.{member}: ours {ours:?}, Microsoft's {theirs:?}"));
            }
        });
    });
    found
}

#[test]
fn layouts_are_microsofts() {
    assert_eq!(
        differences(&our_layouts(), &reference_layouts()),
        Vec::<String>::new()
    );
}

#[test]
fn enumerations_are_microsofts() {
    assert_eq!(
        differences(&our_enums(), &reference_enums()),
        Vec::<String>::new()
    );
}

#[test]
fn constants_are_microsofts() {
    assert_eq!(
        differences(&our_constants(), &reference_constants()),
        Vec::<String>::new()
    );
}

#[test]
fn a_difference_is_found() {
    let theirs = reference_layouts();
    let found_after = |change: &dyn Fn(&mut Facts)| {
        let mut ours = our_layouts();
        change(&mut ours);
        differences(&ours, &theirs)
    };
    let sge = |facts: &mut Facts| facts.remove("NDK_SGE").expect("NDK_SGE is declared");

    let moved = found_after(&|ours| {
        let mut changed = sge(ours);
        changed.insert("Length".to_owned(), "12".to_owned());
        ours.insert("NDK_SGE".to_owned(), changed);
    });
    assert_eq!(moved, [r#"NDK_SGE.Length: ours "12", Microsoft's "8""#]);

    let missing = found_after(&|ours| {
        let mut changed = sge(ours);
        changed.remove("LogicalAddress");
        ours.insert("NDK_SGE".to_owned(), changed);
    });
    assert_eq!(missing, [r#"NDK_SGE.LogicalAddress: ours "", Microsoft's "0""#]);

    let unknown = found_after(&|ours| {
        let changed = sge(ours);
        ours.insert("NDK_SGE".to_owned(), changed.clone());
        ours.insert("NDK_SGE_OF_OURS".to_owned(), changed);
    });
    assert_eq!(unknown.len(), 5, "size and four members: {unknown:?}");
}

#[test]
fn every_structure_is_in_the_json() {
    let json: Value = serde_json::from_str(&abi::Json.to_string()).expect("valid JSON");
    let mut ours = our_layouts();
    for members in ours.values_mut() {
        members.retain(|_, place| !place.starts_with("bit "));
    }
    let mut printed = Facts::new();
    add_structs(&mut printed, &json);
    assert_eq!(differences(&printed, &ours), Vec::<String>::new());
    assert!(printed.len() > 250);
}
