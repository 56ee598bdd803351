//! LLVM's fuzzer for the target in `FUZZ_TARGET`. `tests/fuzz/run.sh` builds and runs it.

#![no_main]

use std::sync::OnceLock;

use fuzz::Target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    static TARGET: OnceLock<&Target> = OnceLock::new();
    let target = TARGET.get_or_init(|| fuzz::target(&std::env::var("FUZZ_TARGET").unwrap_or_default()));
    (target.run)(input);
});
