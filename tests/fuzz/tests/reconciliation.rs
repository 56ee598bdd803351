//! The reconciliation of each resource of the corpus with random responses.
#![allow(clippy::unwrap_used)]

use fuzz::mutate::Rng;

/// Number of response sequences per resource.
const SEQUENCES: u64 = 40;
/// Number of choices per sequence.
const CHOICES: usize = 300;

#[test]
fn reconciliation_ends_for_random_responses() {
    let run = fuzz::target("resource").run;
    let mut rng = Rng::new(7);
    let mut resources = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/resource")).unwrap() {
        let mut input = std::fs::read(file.unwrap().path()).unwrap();
        input.retain(|byte| *byte != 0);
        input.push(0);
        let end = input.len();
        for _ in 0..SEQUENCES {
            input.truncate(end);
            input.extend((0..CHOICES).map(|_| u8::try_from(rng.below(256)).unwrap()));
            run(&input);
        }
        resources += 1;
    }
    assert!(resources > 10, "{resources}");
}
