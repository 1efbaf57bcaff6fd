//! Tells the linker of the board's memory.

fn main() {
    println!("cargo::rerun-if-changed=memory.x");
    println!("cargo::rustc-link-search={}", env!("CARGO_MANIFEST_DIR"));
    for argument in [{{link}}] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
