//! What the documents show and nobody runs here: counted, each with why, so that nothing is left out in silence.

use std::collections::BTreeMap;

use crate::page::Page;

/// How many blocks there are for each cause.
const SKIPPED: &[(&str, usize)] = &[
    ("a command of this repository", 3),
    ("needs Velero", 1),
    ("needs a collector of traces", 1),
    ("needs an Azure subscription", 4),
    ("needs nodes", 1),
    ("what the demo shows", 1),
];

#[test]
fn what_is_not_run_is_known() {
    let (mut found, mut run) = (BTreeMap::<String, usize>::new(), 0);
    for page in Page::all() {
        for block in page.blocks().filter(|block| block.is_shell()) {
            match &block.skip {
                None => run += 1,
                Some(why) => {
                    println!("not run: {}:{}: {why}", page.file, block.line);
                    *found.entry(why.clone()).or_default() += 1;
                }
            }
        }
    }
    println!("{run} blocks are run");
    let known: BTreeMap<String, usize> = SKIPPED.iter().map(|&(why, count)| (why.to_owned(), count)).collect();
    assert_eq!(found, known, "mend the list in tests/docs/skipped.rs, if none of them can be run");
}
