//! The places in the picture, and the positions and targets in each of them.

use svc_reach_common::{
    position::Position,
    report::{Cell, Report},
    target::{NodeRole, Target, TargetKind},
};

/// The side of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    From,
    To,
}

/// Where something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Site<'a> {
    /// A node: whether it is without a backend, and its name.
    Node(bool, Option<&'a str>),
    /// The Service's own addresses, which every node knows.
    Service,
    /// Outside the cluster.
    Outside,
}

/// A position, or the targets of one kind in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spot {
    From(Position),
    To(TargetKind),
}

/// A place and the spots in it.
#[derive(Debug)]
pub struct Lane<'a> {
    pub site: Site<'a>,
    pub spots: Vec<Spot>,
}

/// All places of a report.
pub struct Lanes<'a> {
    from: Vec<Lane<'a>>,
    to: Vec<Lane<'a>>,
}

impl<'a> Lanes<'a> {
    pub fn of(report: &'a Report) -> Self {
        let mut places = Self {
            from: Vec::new(),
            to: Vec::new(),
        };
        for cell in &report.cells {
            add(
                &mut places.from,
                Site::of_position(cell),
                Spot::From(cell.position),
            );
            add(
                &mut places.to,
                Site::of_target(&cell.target),
                Spot::To(cell.target.kind),
            );
        }
        for place in places.from.iter_mut().chain(&mut places.to) {
            place.spots.sort();
        }
        places.from.sort_by_key(|place| place.site);
        places.to.sort_by_key(|place| place.site);
        places
    }

    pub fn inside(&self, column: Column) -> Vec<&Lane<'a>> {
        self.all(column)
            .iter()
            .filter(|place| place.site != Site::Outside)
            .collect()
    }

    pub fn outside(&self, column: Column) -> Vec<&Lane<'a>> {
        self.all(column)
            .iter()
            .filter(|place| place.site == Site::Outside)
            .collect()
    }

    fn all(&self, column: Column) -> &[Lane<'a>] {
        match column {
            Column::From => &self.from,
            Column::To => &self.to,
        }
    }
}

fn add<'a>(places: &mut Vec<Lane<'a>>, site: Site<'a>, spot: Spot) {
    match places.iter_mut().find(|place| place.site == site) {
        Some(place) if place.spots.contains(&spot) => {}
        Some(place) => place.spots.push(spot),
        None => places.push(Lane {
            site,
            spots: vec![spot],
        }),
    }
}

impl<'a> Site<'a> {
    pub fn of_position(cell: &'a Cell) -> Self {
        match cell.position.beside_backend() {
            Some(beside) => Self::Node(!beside, cell.node.as_deref()),
            None => Self::Outside,
        }
    }

    pub fn of_target(target: &'a Target) -> Self {
        match target.kind {
            TargetKind::PodIp | TargetKind::NodePort | TargetKind::HealthCheckNodePort => {
                // If the role is unknown, the target is a pod, and pods that are targets are backends.
                let backend = target.node_role != Some(NodeRole::Other);
                Self::Node(!backend, target.node.as_deref())
            }
            TargetKind::ClusterIp | TargetKind::Dns => Self::Service,
            TargetKind::LoadBalancer
            | TargetKind::ExternalIp
            | TargetKind::Dnat
            | TargetKind::Ingress => Self::Outside,
        }
    }

    /// The heading of the place: its name and its kind.
    pub fn title(self, column: Column) -> (&'a str, &'static str) {
        match (self, column) {
            (Self::Node(other, name), _) => (
                name.unwrap_or("no such node"),
                if other {
                    "node without a backend"
                } else {
                    "node with a backend"
                },
            ),
            (Self::Service, _) => ("Service", "known on every node"),
            (Self::Outside, Column::From) => ("this machine", "runs the plugin"),
            (Self::Outside, Column::To) => ("in front", "leads into the cluster"),
        }
    }
}
