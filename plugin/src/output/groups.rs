//! Things that belong together.

use std::{collections::HashMap, hash::Hash};

/// Things by what they have in common, in the order in which each group began. A report has thousands of cells: they are
/// not compared with each other.
pub fn groups<K: Eq + Hash, T>(things: impl IntoIterator<Item = (K, T)>) -> Vec<(K, Vec<T>)> {
    let mut groups: HashMap<K, (usize, Vec<T>)> = HashMap::new();
    for (key, thing) in things {
        let order = groups.len();
        let (_, group) = groups.entry(key).or_insert_with(|| (order, Vec::new()));
        group.push(thing);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, (order, _))| *order);
    groups
        .into_iter()
        .map(|(key, (_, group))| (key, group))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::groups;
    use crate::{
        output::{findings, grid::Grid, wording},
        test_data::crowded,
    };
    use std::time::{Duration, Instant};
    use svc_reach_common::{report::Report, verdict::Verdict};

    #[test]
    fn groups_keep_the_order_in_which_they_began() {
        let things = [("b", 1), ("a", 2), ("b", 3), ("c", 4), ("a", 5)];
        assert_eq!(
            groups(things),
            [("b", vec![1, 3]), ("a", vec![2, 5]), ("c", vec![4])]
        );
    }

    /// Every cell worse, and every target asked from five positions.
    fn large(copies: u16) -> Report {
        let mut report = crowded();
        let cells = std::mem::take(&mut report.cells);
        for copy in 0..copies {
            for mut cell in cells.iter().cloned() {
                cell.target.address = format!("{}-{copy}", cell.target.address);
                cell.verdict = Verdict::Worse;
                report.cells.push(cell);
            }
        }
        report
    }

    #[test]
    fn tens_of_thousands_of_cells_are_arranged_at_once() {
        let report = large(1000);
        let began = Instant::now();
        assert_eq!(Grid::of(&report).rows.len(), 5000);
        assert!(wording::sentence(&report).contains("cells as "));
        assert_eq!(findings::editions(&report).len(), 1);
        assert!(!findings::sections(&report).is_empty());
        // What grows with the square of the cells takes minutes.
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{:?}",
            began.elapsed()
        );
    }
}
