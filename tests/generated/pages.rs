//! Hand-written pages match the code: the hosts of each cloud, the address for vulnerabilities, and the paths for contributors.

use std::path::Path;

use tabular_operator::azure::cloud::Cloud;

use crate::chart::read;

/// The second host name of the authority in China, which firewalls must also allow.
const SECOND_AUTHORITY: &str = "`login.partner.microsoftonline.cn`";

/// A page of the project's site, so that a reporter needs no mail address.
const REPORT: &str = "https://github.com/tabular-operator/tabular-operator/security/advisories/new";

#[test]
fn clouds_page_lists_the_hosts_of_each_cloud() {
    let page = read("docs/clouds.md");
    for name in Cloud::NAMES {
        let cloud = Cloud::by_name(name).unwrap();
        let row = page.lines().find(|line| line.starts_with(&format!("| `{name}`"))).unwrap_or_else(|| panic!("no row of {name}"));
        let authority = cloud.authority_host.trim_start_matches("https://").to_owned();
        let servers = cloud.analysis_services.iter().map(|service| format!("*{}", service.host));
        for host in servers.chain([authority, cloud.power_bi.unwrap().host]) {
            assert!(row.contains(&format!("`{host}`")), "the row of {name} lacks {host}");
        }
    }
}

#[test]
fn pages_on_firewalls_name_both_authorities_of_china() {
    for page in ["docs/clouds.md", "docs/operations/network.md"] {
        let text = read(page);
        let first = format!("`{}`", Cloud::china().authority_host.trim_start_matches("https://"));
        assert!(text.contains(&first) && text.contains(SECOND_AUTHORITY), "{page} lacks one of {first} and {SECOND_AUTHORITY}");
    }
}

#[test]
fn security_policy_has_contact_and_response_times() {
    let policy = read("SECURITY.md");
    assert!(policy.contains(REPORT), "SECURITY.md does not link {REPORT}");
    for part in ["## Report a vulnerability", "## What to expect", "## Supported versions", "within 3 working days", "90 days"] {
        assert!(policy.contains(part), "SECURITY.md lacks '{part}'");
    }
    // An unmonitored address would be worse than none.
    assert!(!policy.contains('@') && !policy.contains("mailto:"), "SECURITY.md names a mail address");
    assert!(read("docs/operations/security.md").contains("(../../SECURITY.md)"), "the page on security does not link the policy");
}

#[test]
fn contributor_pages_name_existing_paths() {
    let tops = ["src/", "tests/", "docs/", "deploy/", "charts/", "crds/"];
    for (page, least) in [("AGENTS.md", 40), ("CONTRIBUTING.md", 20)] {
        let text = read(page);
        let (spans, links) =
            (text.split('`').skip(1).step_by(2), text.split("](").skip(1).filter_map(|rest| rest.split(&[')', '#']).next()));
        let paths = spans.chain(links).filter(|span| tops.iter().any(|top| span.starts_with(top)));
        // Excludes placeholders, such as `tests/fuzz/corpus/<target>`, and findings of the fuzzer.
        let paths: Vec<&str> = paths.filter(|path| !path.contains(['<', '…', ' ']) && !path.starts_with("tests/fuzz/crashes")).collect();
        assert!(paths.len() >= least, "only {} paths were found in {page}", paths.len());
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let missing: Vec<&&str> = paths.iter().filter(|path| !root.join(path).exists()).collect();
        assert!(missing.is_empty(), "{page} names missing paths: {missing:?}");
    }
}
