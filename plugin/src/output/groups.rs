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

    #[test]
    fn groups_keep_the_order_in_which_they_began() {
        let things = [("b", 1), ("a", 2), ("b", 3), ("c", 4), ("a", 5)];
        assert_eq!(
            groups(things),
            [("b", vec![1, 3]), ("a", vec![2, 5]), ("c", vec![4])]
        );
    }
}
