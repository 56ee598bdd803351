//! The Prometheus text format 0.0.4, which predates `OpenMetrics`, for clients that do not request `OpenMetrics`: `curl` and older agents.

use std::fmt::Write as _;

/// Converts metrics to the older format. Removes what it does not support: units, exemplars, the end marker, and separate types for
/// counters (which have their full name there) and info metrics.
#[must_use]
pub fn from_open_metrics(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            // The type comes after the help text and determines the name.
            help = described.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|typed| typed.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            if let Some((_, text)) = help.take() {
                let _ = writeln!(plain, "# HELP {name}{suffix} {text}");
            }
            let _ = writeln!(plain, "# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with('#') {
            // Only buckets have exemplars. The free text in other labels may look like one.
            let is_bucket = line.split('{').next().is_some_and(|name| name.ends_with("_bucket"));
            let sample = line.split(" # {").next().filter(|_| is_bucket).unwrap_or(line);
            let _ = writeln!(plain, "{sample}");
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_unknown_to_the_older_format_are_removed() {
        let open = "# HELP a_build Which version.\n# TYPE a_build info\na_build_info{version=\"1\"} 1\n\
            # HELP a_calls Calls.\n# TYPE a_calls counter\na_calls_total{x=\"y # {z}\"} 3\n\
            # HELP a_took_seconds Time.\n# TYPE a_took_seconds histogram\n# UNIT a_took_seconds seconds\n\
            a_took_seconds_bucket{le=\"1.0\"} 1 # {trace_id=\"ab\"} 0.5\n# EOF\n";
        let plain = "# HELP a_build_info Which version.\n# TYPE a_build_info gauge\na_build_info{version=\"1\"} 1\n\
            # HELP a_calls_total Calls.\n# TYPE a_calls_total counter\na_calls_total{x=\"y # {z}\"} 3\n\
            # HELP a_took_seconds Time.\n# TYPE a_took_seconds histogram\na_took_seconds_bucket{le=\"1.0\"} 1\n";
        assert_eq!(from_open_metrics(open), plain);
    }
}
