//! Paths: from a position to the targets of one kind in one place.

use super::{
    frame::{Band, Frame},
    places::{Column, Site, Spot},
};
use crate::output::marks;
use maud::{Markup, html};
use svc_reach_common::{
    observation::ObservedValue,
    position::Position,
    report::{Cell, Report},
    target::TargetKind,
    verdict::Verdict,
};

/// Cells that share a path. They have the same observation and verdict, so that no result hides another.
struct Path<'a> {
    position: Position,
    from: Site<'a>,
    to: Site<'a>,
    kind: TargetKind,
    observed: ObservedValue,
    verdict: Verdict,
    cells: Vec<&'a Cell>,
}

/// Where a path is drawn.
struct Line {
    start: (f64, f64),
    end: (f64, f64),
}

/// Whether a path is highlighted.
pub const fn stands_out(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Worse | Verdict::Better | Verdict::Unstable
    )
}

/// All paths. Highlighted paths come last, so that they are drawn above the others.
pub fn paths(report: &Report, frame: &Frame, bands: &[&Band<'_>]) -> Markup {
    let mut paths: Vec<Path<'_>> = Vec::new();
    for cell in &report.cells {
        let path = Path {
            position: cell.position,
            from: Site::of_position(cell),
            to: Site::of_target(&cell.target),
            kind: cell.target.kind,
            observed: cell.observed.value,
            verdict: cell.verdict,
            cells: vec![cell],
        };
        match paths.iter_mut().find(|known| known.same(&path)) {
            Some(known) => known.cells.push(cell),
            None => paths.push(path),
        }
    }
    paths.sort_by_key(|path| stands_out(path.verdict));
    html! {
        g.paths {
            @for path in &paths {
                @if let Some(line) = path.line(frame, bands) { (path.draw(&line)) }
            }
        }
    }
}

impl Path<'_> {
    fn same(&self, other: &Self) -> bool {
        (self.position, self.kind, self.observed, self.verdict)
            == (other.position, other.kind, other.observed, other.verdict)
            && (self.from, self.to) == (other.from, other.to)
    }

    fn line(&self, frame: &Frame, bands: &[&Band<'_>]) -> Option<Line> {
        let level = |column, site, spot| {
            bands
                .iter()
                .find_map(|band| band.level(column, site, spot))
                .map(f64::from)
        };
        let (left, right) = frame.span();
        let from = level(Column::From, self.from, Spot::From(self.position))?;
        let to = level(Column::To, self.to, Spot::To(self.kind))?;
        // At the target, paths end side by side, in the order of the positions.
        let lane = match self.position {
            Position::NodeSame => -10.0,
            Position::PodSame => -5.0,
            Position::NodeOther => 0.0,
            Position::PodOther => 5.0,
            Position::External => 10.0,
        };
        Some(Line {
            start: (f64::from(left) + 5.0, from),
            end: (f64::from(right) - 4.0, to + lane),
        })
    }

    fn draw(&self, line: &Line) -> Markup {
        let (x, y) = line.end;
        // A path that failed ends before its target.
        let stop = match self.observed {
            ObservedValue::Reachable | ObservedValue::Unstable => x - 4.0,
            ObservedValue::Unreachable | ObservedValue::NotObserved => x - 16.0,
        };
        html! {
            g.path.{ "seen-" (self.observed) }.{ "is-" (self.verdict) }.{ "from-" (self.position) } {
                title { (self.title()) }
                path.reach d=(curve(line.start, (stop, y))) {}
                path.line d=(curve(line.start, (stop, y))) {}
                (tip(self.observed, stop, y))
                @if let Some(badge) = badge(self.verdict) {
                    @let (bx, by) = self.middle(line);
                    circle.badge cx={ (Number(bx)) } cy={ (Number(by)) } r="8" {}
                    text.badge-word x={ (Number(bx)) } y={ (Number(by + 4.0)) } { (badge) }
                }
            }
        }
    }

    /// The point of the curve for the badge. It depends on the position, so that badges do not overlap.
    fn middle(&self, line: &Line) -> (f64, f64) {
        let t: f64 = match self.position {
            Position::NodeSame => 0.34,
            Position::PodSame => 0.42,
            Position::NodeOther => 0.5,
            Position::PodOther => 0.58,
            Position::External => 0.66,
        };
        let u = 1.0 - t;
        let bend = (line.start.0 + line.end.0) / 2.0;
        let at = |a: f64, b: f64, c: f64, d: f64| {
            u.powi(3) * a + 3.0 * u * u * t * b + 3.0 * u * t * t * c + t.powi(3) * d
        };
        (
            at(line.start.0, bend, bend, line.end.0),
            at(line.start.1, line.start.1, line.end.1, line.end.1),
        )
    }

    fn title(&self) -> String {
        let words = self
            .cells
            .first()
            .map_or_else(String::new, |cell| marks::words(cell));
        let to = match self.to {
            Site::Node(_, Some(node)) => format!(" on {node}"),
            Site::Node(_, None) | Site::Service | Site::Outside => String::new(),
        };
        let count = match self.cells.len() {
            1 => String::new(),
            count => format!(" ({count} cells)"),
        };
        format!("{} → {}{to}: {words}{count}", self.position, self.kind)
    }
}

/// A coordinate, written with one decimal.
struct Number(f64);

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1}", self.0)
    }
}

impl maud::Render for Number {
    fn render_to(&self, buffer: &mut String) {
        use std::fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = write!(buffer, "{self}");
    }
}

fn curve(start: (f64, f64), end: (f64, f64)) -> String {
    let bend = Number((start.0 + end.0) / 2.0);
    let [x0, y0, x1, y1] = [start.0, start.1, end.0, end.1].map(Number);
    format!("M{x0} {y0}C{bend} {y0} {bend} {y1} {x1} {y1}")
}

/// How a path ends: an arrow head, a cross, a question mark.
fn tip(value: ObservedValue, x: f64, y: f64) -> Markup {
    let [x, y] = [x, y].map(Number);
    html! {
        g transform={ "translate(" (x) " " (y) ")" } {
            @match value {
                ObservedValue::Reachable => path.tip d="M-2 -3.2L4.5 0L-2 3.2Z" {},
                ObservedValue::Unstable => path.tip.hollow d="M-2 -3.2L4.5 0L-2 3.2Z" {},
                ObservedValue::Unreachable => path.tip.cross d="M1 -3L7 3M1 3L7 -3" {},
                ObservedValue::NotObserved => text.tip-word x="5" y="3.5" { "?" },
            }
        }
    }
}

const fn badge(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Worse => Some("!"),
        Verdict::Better => Some("+"),
        Verdict::Unstable => Some("~"),
        Verdict::AsExpected | Verdict::Disputed | Verdict::NotObserved | Verdict::Undocumented => {
            None
        }
    }
}

/// A path for the legend.
pub fn sample(value: ObservedValue) -> Markup {
    html! {
        svg.sample viewBox="0 0 48 14" width="48" height="14" aria-hidden="true" {
            g.path.{ "seen-" (value) }.is-as-expected {
                path.line d="M2 7L34 7" {}
                (tip(value, 36.0, 7.0))
            }
        }
    }
}
