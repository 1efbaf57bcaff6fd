//! Tells the linker of the board's memory, as esp-hal lays it out.

fn main() {
    println!("cargo::rustc-link-arg-bins=-Tlinkall.x");
}
