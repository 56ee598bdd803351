//! Replays inputs: `cargo run -p fuzz -- TARGET FILE…`. Without arguments, lists the targets.

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
        println!("{file}: no invariant violated");
    }
}
