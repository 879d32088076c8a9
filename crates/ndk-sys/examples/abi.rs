//! Prints the layouts of all structures as JSON, as `./x abi` does.

fn main() {
    println!("{}", ndk_sys::abi::Json);
}
