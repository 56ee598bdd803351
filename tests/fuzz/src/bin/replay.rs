//! Plays inputs again: `cargo run -p fuzz -- TARGET FILE…`. Without a target it lists them.

#![allow(clippy::expect_used)]

use std::fs;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        for target in fuzz::TARGETS {
            println!("{}", target.name);
        }
        return;
    };
    let target = fuzz::target(&name);
    for file in arguments {
        (target.run)(&fs::read(&file).expect("failed to read the input"));
        println!("{file}: no law is broken");
    }
}
