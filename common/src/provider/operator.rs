//! Who runs a cluster of Huawei's product.

use crate::facts::Facts;

words! {
    /// Who runs a Huawei Cloud Container Engine. Editions of the matrix `huawei-cce` name one of them.
    pub enum Operator("operator") {
        /// Huawei Cloud itself.
        HuaweiCloud = "huawei-cloud",
        /// Open Telekom Cloud of T-Systems.
        OpenTelekomCloud = "open-telekom-cloud",
    }
}

/// Regions and their operators. A zone begins with its region, as `eu-de-01` and `cn-north-4a` do. The list has only
/// regions for which a source was read. The operator of every other region is unknown.
///
/// Sources: opentelekomcloud-docs/regions-and-endpoints, `doc/source/index.rst`;
/// <https://support.huaweicloud.com/intl/es-us/api-iam/iam_01_0004.html> for China;
/// <https://support.huaweicloud.com/intl/en-us/api-iam/iam_05_0001.html> and
/// <https://support.huaweicloud.com/eu/api-iam/iam_05_0001.html> for the others.
const REGIONS: [(&str, Operator); 8] = [
    ("eu-de", Operator::OpenTelekomCloud),
    ("eu-nl", Operator::OpenTelekomCloud),
    ("cn-north", Operator::HuaweiCloud),
    ("cn-east", Operator::HuaweiCloud),
    ("cn-south", Operator::HuaweiCloud),
    ("ap-southeast", Operator::HuaweiCloud),
    ("eu-west-101", Operator::HuaweiCloud),
    ("la-south", Operator::HuaweiCloud),
];

/// Labels of nodes that name a region or a zone (kubernetes.io, Well-Known Labels).
const PLACES: [&str; 4] = [
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/zone",
];

impl Operator {
    /// Who runs a cluster of Huawei's product, and the label that tells it. `None` if no node has a label with a known
    /// region, or if nodes contradict each other.
    #[must_use]
    pub fn of(facts: &Facts) -> Option<(Self, String)> {
        let mut found = facts.nodes.iter().filter_map(|node| {
            PLACES.iter().find_map(|label| {
                let place = node.labels.get(*label)?;
                let region = REGIONS.iter().find(|(region, _)| in_region(place, region));
                region.map(|(_, operator)| (*operator, *label, place, &node.name))
            })
        });
        let (operator, label, place, node) = found.next()?;
        if found.any(|(other, ..)| other != operator) {
            return None;
        }
        Some((operator, format!("label {label}={place} of node {node}")))
    }
}

/// Whether a region or zone is the given region or lies in it. A number after it belongs to another region, as in
/// `eu-de2`.
fn in_region(place: &str, region: &str) -> bool {
    place
        .strip_prefix(region)
        .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::Operator;
    use crate::facts::{Facts, FurtherNodes, Node, Service};
    use serde_json::{Value, json};

    /// The facts of a cluster whose only node has these labels.
    fn facts(labels: &Value) -> Facts {
        let node = json!({"metadata": {"name": "node-1", "labels": labels}});
        let service = json!({
            "metadata": {"namespace": "default", "name": "nginx"},
            "spec": {"type": "ClusterIP", "clusterIP": "10.247.0.7", "ports": [{"port": 80}]},
        });
        Facts {
            service: Service::try_from(&service).unwrap(),
            endpoints: Vec::new(),
            nodes: vec![Node::try_from(&node).unwrap()].into(),
            further_nodes: FurtherNodes::None,
            changed: None,
            server_version: None,
            routes: Ok(Vec::new()),
        }
    }

    #[test]
    fn regions_and_zones_tell_the_operator() {
        let rows = [
            (
                "failure-domain.beta.kubernetes.io/zone",
                "eu-de-01",
                Some(Operator::OpenTelekomCloud),
            ),
            (
                "topology.kubernetes.io/region",
                "eu-nl",
                Some(Operator::OpenTelekomCloud),
            ),
            (
                "topology.kubernetes.io/region",
                "cn-north-4",
                Some(Operator::HuaweiCloud),
            ),
            (
                "topology.kubernetes.io/zone",
                "ap-southeast-1a",
                Some(Operator::HuaweiCloud),
            ),
            (
                "topology.kubernetes.io/region",
                "la-south-2",
                Some(Operator::HuaweiCloud),
            ),
            // Another operator of the same product.
            ("topology.kubernetes.io/region", "eu-west-0", None),
            ("topology.kubernetes.io/region", "eu-de2", None),
            ("example.com/region", "eu-de", None),
        ];
        for (label, place, expected) in rows {
            let facts = facts(&json!({label: place}));
            let found = Operator::of(&facts);
            assert_eq!(found.map(|(operator, _)| operator), expected, "{place}");
        }
    }
}
