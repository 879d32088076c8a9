//! The headers in `consumers/include` agree with `ndk-sys`, whose layouts are those of Microsoft's headers: clang says so.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use xtask::driver::consumer;
use xtask::paths;

/// Members that Microsoft's headers have in a union with a name, which `ndk-sys` leaves out.
const IN_NAMED_UNIONS: [&str; 3] = ["Byte", "Word", "S_addr"];

/// The text of all headers.
fn headers() -> String {
    let folder = paths::workspace().join("consumers/include");
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("the headers are there") {
        text += &fs::read_to_string(entry.expect("a file").path()).expect("text");
    }
    text
}

/// What clang says of these assertions; `None` if it has no complaint.
fn complaint(assertions: &str) -> Option<String> {
    consumer::set_up().expect("the compiler can be installed");
    let mut clang = consumer::compiler()
        .args(["-fsyntax-only", "-ferror-limit=0", "-x", "c", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("clang starts");
    let source = format!("#include <ntddk.h>\n#include \"wskndk.h\"\n{assertions}");
    let mut stdin = clang.stdin.take().expect("a pipe");
    stdin.write_all(source.as_bytes()).expect("clang reads");
    drop(stdin);
    let output = clang.wait_with_output().expect("clang ends");
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The identifiers in a text.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .collect()
}

#[test]
fn layouts_and_numbers_are_microsofts() {
    let headers = headers();
    let words = words(&headers);
    let mut assertions = String::new();
    let (mut structures, mut numbers) = (0, 0);
    let defined = |name: &str| {
        headers.contains(&format!("}} {name}")) || headers.contains(&format!("struct _{name} {{"))
    };
    for (name, layout) in ndk_sys::abi::named_layouts().filter(|(name, _)| defined(name)) {
        structures += 1;
        let _ = writeln!(
            assertions,
            "_Static_assert(sizeof({name}) == {}, \"{name}\");",
            layout.size
        );
        layout.for_each_member(&mut |member, offset| {
            if words.contains(member) && !IN_NAMED_UNIONS.contains(&member) {
                let _ = writeln!(
                    assertions,
                    "_Static_assert(FIELD_OFFSET({name}, {member}) == {offset}, \"{name}.{member}\");"
                );
            }
        });
    }
    let values = ndk_sys::abi::enums().flat_map(|one| one.values);
    let constants = ndk_sys::abi::constants().map(|one| (one.name, one.value));
    let all = values
        .map(|&(name, value)| (name, i128::from(value)))
        .chain(constants);
    for (name, value) in all.filter(|(name, _)| words.contains(name)) {
        numbers += 1;
        let _ = writeln!(
            assertions,
            "_Static_assert((LONG64)({name}) == {value}LL, \"{name}\");"
        );
    }
    assert!(structures > 35, "only {structures} structures were compared");
    assert!(numbers > 50, "only {numbers} numbers were compared");
    let complaint = complaint(&assertions);
    assert!(complaint.is_none(), "{}", complaint.unwrap_or_default());
}

#[test]
fn a_wrong_offset_is_noticed() {
    let wrong = "_Static_assert(FIELD_OFFSET(NDK_QP, Dispatch) == 0x30, \"NDK_QP.Dispatch\");";
    assert!(complaint(wrong).is_some_and(|text| text.contains("NDK_QP.Dispatch")));
}
