//! The layout of the picture.

use super::places::{Column, Lane, Site, Spot};
use maud::{Markup, html};
use svc_reach_common::position::Network;

/// Space around everything.
pub const MARGIN: u32 = 4;
/// Space between boxes.
pub const GAP: u32 = 10;
const TITLE: u32 = 26;
const HEAD: u32 = 38;
const ROW: u32 = 30;
const FOOT: u32 = 4;

/// The widths of a drawing.
pub struct Frame {
    pub width: u32,
    /// Width of the boxes on the left.
    from: u32,
    /// Width of the boxes on the right.
    to: u32,
    /// Space between the edge and the boxes.
    inset: u32,
    /// How many characters of a place's name fit on the left and on the right.
    letters: (usize, usize),
    /// Whether there is room for notes.
    roomy: bool,
}

pub const WIDE: Frame = Frame {
    width: 880,
    from: 240,
    to: 240,
    inset: 18,
    letters: (30, 30),
    roomy: true,
};

pub const NARROW: Frame = Frame {
    width: 380,
    from: 108,
    to: 146,
    inset: 10,
    letters: (14, 20),
    roomy: false,
};

/// A box, with the vertical middle of each of its rows.
struct Boxed<'a> {
    place: &'a Lane<'a>,
    top: u32,
    height: u32,
    rows: Vec<(Spot, u32)>,
}

/// The inside or the outside of the cluster.
pub struct Band<'a> {
    top: u32,
    height: u32,
    from: Vec<Boxed<'a>>,
    to: Vec<Boxed<'a>>,
}

impl Band<'_> {
    pub const fn is_empty(&self) -> bool {
        self.from.is_empty() && self.to.is_empty()
    }

    pub const fn bottom(&self) -> u32 {
        self.top + self.height
    }

    /// The vertical position of a spot.
    pub fn level(&self, column: Column, site: Site<'_>, spot: Spot) -> Option<u32> {
        let boxes = match column {
            Column::From => &self.from,
            Column::To => &self.to,
        };
        boxes
            .iter()
            .filter(|boxed| boxed.place.site == site)
            .flat_map(|boxed| &boxed.rows)
            .find(|(known, _)| *known == spot)
            .map(|(_, level)| *level)
    }
}

impl Frame {
    /// The horizontal positions at which paths begin and end.
    pub const fn span(&self) -> (u32, u32) {
        (self.inset + self.from, self.width - self.inset - self.to)
    }

    /// Stacks places in two columns. The shorter column is centred.
    pub fn band<'a>(&self, top: u32, from: &[&'a Lane<'a>], to: &[&'a Lane<'a>]) -> Band<'a> {
        let (from_height, to_height) = (stacked(from), stacked(to));
        let tallest = from_height.max(to_height);
        let start = top + TITLE;
        Band {
            top,
            height: TITLE + tallest + GAP,
            from: boxes(from, start + (tallest - from_height) / 2),
            to: boxes(to, start + (tallest - to_height) / 2),
        }
    }

    /// The frame of a band and its boxes.
    pub fn draw(&self, title: &str, class: &str, band: &Band<'_>) -> Markup {
        html! {
            g.(class) {
                rect.region x=(MARGIN) y=(band.top) width=(self.width - 2 * MARGIN) height=(band.height) rx="10" {}
                text.region-title x=(MARGIN + 10) y=(band.top + 18) { (title) }
                @for boxed in &band.from {
                    (self.boxed(boxed, Column::From, self.inset, self.from, self.letters.0))
                }
                @for boxed in &band.to {
                    (self.boxed(boxed, Column::To, self.span().1, self.to, self.letters.1))
                }
            }
        }
    }

    fn boxed(
        &self,
        boxed: &Boxed<'_>,
        column: Column,
        left: u32,
        width: u32,
        letters: usize,
    ) -> Markup {
        let (name, kind) = boxed.place.site.title(column);
        html! {
            g.site {
                title { (name) ", " (kind) }
                rect x=(left) y=(boxed.top) width=(width) height=(boxed.height) rx="6" {}
                text.name x=(left + 9) y=(boxed.top + 17) { (clipped(name, letters)) }
                text.note x=(left + 9) y=(boxed.top + 31) { (if self.roomy { kind } else { short(kind) }) }
            }
            @for (spot, level) in &boxed.rows {
                (self.spot(*spot, left, width, *level))
            }
        }
    }

    fn spot(&self, spot: Spot, left: u32, width: u32, level: u32) -> Markup {
        html! {
            @match spot {
                Spot::From(position) => {
                    g.spot.{ "at-" (position) } {
                        rect.hover x=(left + 4) y=(level - ROW / 2 + 2) width=(width - 4) height=(ROW - 4) rx="4" {}
                        text.word x=(left + 9) y=(level + 4) { (position) }
                        @if self.roomy {
                            text.note x=(left + 96) y=(level + 4) { (network(position.network())) }
                        }
                        circle.socket cx=(left + width) cy=(level) r="4.5" {}
                    }
                }
                Spot::To(kind) => {
                    g.spot {
                        rect.door x=(left - 2) y=(level - 12) width="4" height="24" rx="2" {}
                        text.word x=(left + 11) y=(level + 4) { (kind) }
                    }
                }
            }
        }
    }
}

const fn network(network: Network) -> &'static str {
    match network {
        Network::Host => "host network",
        Network::Pod => "pod network",
        Network::External => "not in the cluster",
    }
}

fn short(kind: &'static str) -> &'static str {
    kind.strip_prefix("node ").unwrap_or(kind)
}

fn clipped(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    let kept: String = text.chars().take(letters.saturating_sub(1)).collect();
    kept + "…"
}

fn height(place: &Lane<'_>) -> u32 {
    place.spots.iter().fold(HEAD + FOOT, |sum, _| sum + ROW)
}

fn stacked(places: &[&Lane<'_>]) -> u32 {
    places
        .iter()
        .map(|place| height(place) + GAP)
        .sum::<u32>()
        .saturating_sub(GAP)
}

fn boxes<'a>(places: &[&'a Lane<'a>], top: u32) -> Vec<Boxed<'a>> {
    let mut y = top;
    places
        .iter()
        .map(|place| {
            let mut level = y + HEAD + ROW / 2;
            let rows = place
                .spots
                .iter()
                .map(|spot| {
                    let row = (*spot, level);
                    level += ROW;
                    row
                })
                .collect();
            let boxed = Boxed {
                place,
                top: y,
                height: height(place),
                rows,
            };
            y += boxed.height + GAP;
            boxed
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::places::Lane, Column, Site, Spot, WIDE};
    use svc_reach_common::target::TargetKind;

    #[test]
    fn thousands_of_nodes_do_not_overlap() {
        let place = Lane {
            site: Site::Node(false, Some("a")),
            spots: vec![Spot::To(TargetKind::NodePort)],
        };
        let band = WIDE.band(0, &[], &vec![&place; 5000]);
        let tops = band.to.iter().map(|boxed| boxed.top);
        assert!(tops.is_sorted_by(|a, b| a < b));
        let last = band.to.last().map(|boxed| boxed.top + boxed.height);
        assert!(last.is_some_and(|last| last <= band.bottom()));
        assert_eq!(
            band.level(Column::From, place.site, place.spots[0]),
            None,
            "the left column is empty"
        );
    }
}
