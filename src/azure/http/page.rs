//! The text of an HTML page, which is the only information about a server that responded instead of the service. Also the text of XML.

use super::text;

/// Maximum size of the part of a page that is read.
const MAX_LENGTH: usize = 64 * 1024;

/// Elements whose content is not text.
const NON_TEXT: [&str; 4] = ["script", "style", "svg", "noscript"];

/// The first words of a page, at most `limit` characters, without markup and tokens.
pub(in crate::azure) fn summary(page: &[u8], limit: usize) -> String {
    let page = String::from_utf8_lossy(page.get(..MAX_LENGTH).unwrap_or(page));
    let mut pieces = page.split('<');
    let mut output = pieces.next().unwrap_or_default().to_owned();
    let mut skipped = None;
    for piece in pieces {
        let (tag, content) = piece.split_once('>').unwrap_or((piece, ""));
        let named = |name: &str| {
            let tag = tag.get(..name.len() + 1).or(tag.get(..name.len())).unwrap_or_default();
            tag.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).eq_ignore_ascii_case(name)
        };
        match skipped {
            Some(name) if tag.strip_prefix('/').is_some_and(|end| end.trim_end().eq_ignore_ascii_case(name)) => skipped = None,
            Some(_) => continue,
            None => skipped = NON_TEXT.into_iter().find(|name| named(name) && !tag.ends_with('/')),
        }
        // A comment may contain tags, so the text after the first one is included, which does no harm.
        if skipped.is_none() && !tag.starts_with("!--") {
            output.push(' ');
            output.push_str(content);
        }
        if output.len() > 8 * limit {
            break;
        }
    }
    let plain = [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&apos;", "'"), ("&amp;", "&")];
    text::sanitize(&plain.iter().fold(output, |output, (entity, c)| output.replace(entity, c)), limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_summarized_in_a_few_words() {
        let rows = [
            (
                "<html><head><title>403 Forbidden</title><STYLE type=x>a > b {}</STYLE></head><body>\n<h1>No&nbsp;way</h1>",
                "403 Forbidden No way",
            ),
            ("<script src='x'>if (a < b) {}</script><scripture>It &lt;says&gt;</scripture>", "It <says>"),
            ("<script src='x'/><p>a</p><br/>b", "a b"),
            ("<!-- no --><p>yes</p>", "yes"),
            ("<soap:Fault><faultcode>X.0xc1000006</faultcode><faultstring>No way.</faultstring></soap:Fault>", "X.0xc1000006 No way."),
            ("<p>your token eyJ0eXAiOiJKV1QiLCJhbGciOi.x.y</p>", "your token [redacted]"),
            ("Blocked <b>here</b>", "Blocked here"),
            ("<", ""),
            ("", ""),
        ];
        for (page, expected) in rows {
            assert_eq!(summary(page.as_bytes(), 60), expected, "{page}");
        }
        assert_eq!(summary("<p>abc</p>".repeat(100_000).as_bytes(), 10).chars().count(), 10);
    }

    proptest::proptest! {
        #[test]
        fn no_page_panics(page in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            assert!(summary(&page, 20).chars().count() <= 20);
        }
    }
}
