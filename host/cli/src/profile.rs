//! What plugins cost, as a table.

use folkmoot_plugin::Profile;

use crate::screen::{columns, count, size};

/// One line per plugin and call, with its share of the wall time. Calls that run at the same time add up, so the
/// shares may be more than 100 %.
pub(crate) fn table(profile: &Profile) -> String {
    let head = [
        "plugin",
        "call",
        "calls",
        "total ms",
        "mean µs",
        "slowest µs",
        "share",
        "arithmetic ms",
        "host calls",
        "operations",
        "moved",
        "peak memory",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(profile.calls.iter().map(|own| {
        let usage = &own.usage;
        vec![
            own.plugin.clone(),
            own.call.to_owned(),
            count(own.count as usize),
            format!("{:.1}", usage.seconds * 1e3),
            format!("{:.0}", usage.seconds / own.count as f64 * 1e6),
            format!("{:.0}", own.slowest_seconds * 1e6),
            format!("{:.1} %", 100.0 * usage.seconds / profile.seconds),
            format!("{:.1}", usage.arithmetic_seconds * 1e3),
            count(usage.host_calls.total() as usize),
            count(usage.operations as usize),
            size(usage.bytes_moved() as usize),
            size(usage.peak_memory as usize),
        ]
    }));
    columns(&rows)
}
