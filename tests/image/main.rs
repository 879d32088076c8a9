//! What Windows asks of a kernel driver's image, checked on the `.sys` that `./x driver` built.
//!
//! Each check is a function that takes an image. The tests run it on the driver, where it must pass, and on a copy
//! with one thing spoiled, where it must fail and say so.
//!
//! - [`pe`]: reading an image, and spoiling a copy of it
//! - [`checks`]: headers, sections, imports
//! - [`guard`]: Control Flow Guard
//! - [`version`]: the version resource
//! - [`symbols`]: the symbols beside the image
//! - [`readobj`]: the same image as LLVM reads it

mod checks;
mod guard;
mod locks;
mod pe;
mod readobj;
mod symbols;
mod version;

use pe::Image;

/// What a check found: nothing, or what is wrong.
type Verdict = Result<(), String>;

/// Runs a check on the driver, where it must pass, and on spoiled copies, where it must fail with these words.
fn pass_and_fail(check: fn(&Image) -> Verdict, spoiled: &[(&str, Image)]) {
    check(&Image::driver()).expect("the driver passes");
    for (words, image) in spoiled {
        let complaint = check(image).expect_err("a spoiled image fails");
        assert!(
            complaint.contains(words),
            "complains about {words:?}: {complaint}"
        );
    }
}
