//! A picture of the cluster: positions on the left, targets on the right, and a path for each result.
//!
//! It is drawn twice, for wide screens and for phones, because a wide picture would be too small to read on a phone.

mod frame;
mod path;
mod places;

use super::Nth;
use crate::output::marks;
use frame::{Frame, NARROW, WIDE};
use maud::{Markup, html};
use places::{Column, Lanes};
use svc_reach_common::{observation::ObservedValue, report::Report};

pub fn section(report: &Report, nth: Nth) -> Markup {
    let places = Lanes::of(report);
    let id = nth.id("picture");
    html! {
        section aria-labelledby=(id) {
            h3 id=(id) { "From where, to what" }
            div.wide { (drawing(report, &places, &WIDE)) }
            div.narrow { (drawing(report, &places, &NARROW)) }
            (legend(report))
        }
    }
}

fn drawing(report: &Report, places: &Lanes<'_>, frame: &Frame) -> Markup {
    let inside = frame.band(
        frame::MARGIN,
        &places.inside(Column::From),
        &places.inside(Column::To),
    );
    let outside = frame.band(
        inside.bottom() + frame::GAP,
        &places.outside(Column::From),
        &places.outside(Column::To),
    );
    let bottom = if outside.is_empty() {
        inside.bottom()
    } else {
        outside.bottom()
    };
    let height = bottom + frame::MARGIN;
    let paths = path::paths(report, frame, &[&inside, &outside]);
    html! {
        svg.picture viewBox={ "0 0 " (frame.width) " " (height) } role="img"
            aria-label="Paths from each position to each target. The table below says the same in words." {
            @if !inside.is_empty() { (frame.draw("Kubernetes cluster", "cluster", &inside)) }
            @if !outside.is_empty() { (frame.draw("Outside the cluster", "beyond", &outside)) }
            (paths)
        }
    }
}

/// Explains the kinds of paths that occur.
fn legend(report: &Report) -> Markup {
    let occurs = |value: &&ObservedValue| {
        report
            .cells
            .iter()
            .any(|cell| cell.observed.value == **value)
    };
    let any = |stands_out: bool| {
        report
            .cells
            .iter()
            .any(|cell| path::stands_out(cell.verdict) == stands_out)
    };
    html! {
        ul.legend aria-label="Paths" {
            @for value in ObservedValue::ALL.iter().filter(occurs) {
                li { (path::sample(*value)) " " (marks::seen(*value)) }
            }
            @if any(true) { li { "bold, with a badge: not as expected" } }
            @if any(false) && any(true) { li { "thin: as expected, or not judged" } }
        }
    }
}
