//! Groups things by a key.

use std::{collections::HashMap, hash::Hash};

/// Groups things by their key, in the order in which each key first occurs. It hashes keys, because comparing thousands
/// of cells with each other would be slow.
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
    fn groups_are_in_the_order_of_their_first_member() {
        let things = [("b", 1), ("a", 2), ("b", 3), ("c", 4), ("a", 5)];
        assert_eq!(
            groups(things),
            [("b", vec![1, 3]), ("a", vec![2, 5]), ("c", vec![4])]
        );
    }
}
