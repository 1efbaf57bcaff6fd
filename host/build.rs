//! The boards are in the program: a change of one of their files compiles it anew.

fn main() {
    println!("cargo::rerun-if-changed=boards");
}
