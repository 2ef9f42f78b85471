//! The figures as a picture (SVG): each as a share of its goal, so that all fit one axis.

use std::fmt::Write as _;

use crate::figure::{Figure, number};

const NAME_WIDTH: f64 = 330.0;
const PLOT_WIDTH: f64 = 420.0;
const VALUE_WIDTH: f64 = 170.0;
const ROW_HEIGHT: f64 = 26.0;
const BAR_HEIGHT: f64 = 14.0;
const TOP: f64 = 44.0;
/// Shares beyond it are cut off; their number stands beside them.
const SHARE_MAX: f64 = 2.0;

/// Greys and colours that stand out from white and from black alike: a picture within a page is not
/// told which of them the page is.
const STYLE: &str = "text{font:13px sans-serif;fill:#757d87}.axis{stroke:#757d87;stroke-width:1}\
    .goal{stroke:#757d87;stroke-width:1.5;stroke-dasharray:5 3}.met{fill:#2f86b8}\
    .missed{fill:#d0682c}.round{fill:#757d87;stroke:#fff;stroke-width:.5}";

/// The picture; figures without a goal are left out.
pub(crate) fn svg(figures: &[Figure]) -> String {
    let rows: Vec<_> = figures.iter().filter_map(Row::of).collect();
    let rows_height = ROW_HEIGHT * rows.iter().map(|_| 1.0).sum::<f64>();
    let (width, height) = (
        NAME_WIDTH + PLOT_WIDTH + VALUE_WIDTH,
        TOP + rows_height + 12.0,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         role=\"img\" aria-label=\"Figures as shares of their goals\">\n<style>{STYLE}</style>\n"
    );
    let whole = TOP + rows_height;
    for (share, label, class, end) in [
        (0.0, "0", "axis", whole),
        (0.5, "half", "axis", TOP),
        (1.0, "goal", "goal", whole),
        (1.5, "1.5 ×", "axis", TOP),
        (2.0, "2 ×", "axis", TOP),
    ] {
        text(&mut svg, at(share), TOP - 14.0, "middle", label);
        line(&mut svg, at(share), TOP - 6.0, end, class);
    }
    let mut y = TOP;
    for row in rows {
        row.draw(&mut svg, y);
        y += ROW_HEIGHT;
    }
    svg.push_str("</svg>\n");
    svg
}

/// One bar.
struct Row<'a> {
    figure: &'a Figure,
    value: f64,
    goal: f64,
}

impl<'a> Row<'a> {
    fn of(figure: &'a Figure) -> Option<Self> {
        let (value, goal) = (figure.value()?, figure.goal?);
        Some(Self {
            figure,
            value,
            goal,
        })
    }

    fn draw(&self, svg: &mut String, y: f64) {
        let middle = y + ROW_HEIGHT / 2.0;
        let class = if self.value <= self.goal {
            "met"
        } else {
            "missed"
        };
        let unit = &self.figure.unit;
        text(
            svg,
            NAME_WIDTH - 10.0,
            middle + 4.5,
            "end",
            &self.figure.name,
        );
        let (top, bar) = (
            middle - BAR_HEIGHT / 2.0,
            at(self.value / self.goal) - NAME_WIDTH,
        );
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{NAME_WIDTH:.1}\" y=\"{top:.1}\" width=\"{bar:.1}\" \
             height=\"{BAR_HEIGHT:.1}\"/>"
        );
        for round in &self.figure.rounds {
            let x = at(round / self.goal);
            let _ = writeln!(
                svg,
                "<circle class=\"round\" cx=\"{x:.1}\" cy=\"{middle:.1}\" r=\"2.5\"/>"
            );
        }
        let said = format!("{} of {} {unit}", number(self.value), number(self.goal));
        text(
            svg,
            NAME_WIDTH + PLOT_WIDTH + 12.0,
            middle + 4.5,
            "start",
            &said,
        );
    }
}

/// Where a share of the goal lies.
fn at(share: f64) -> f64 {
    NAME_WIDTH + share.clamp(0.0, SHARE_MAX) / SHARE_MAX * PLOT_WIDTH
}

fn line(svg: &mut String, x: f64, top: f64, bottom: f64, class: &str) {
    let _ = writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\"/>"
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str, goal: Option<f64>) -> Figure {
        Figure {
            name: name.to_owned(),
            unit: "×".to_owned(),
            goal,
            rounds: vec![1.0, 5.0, 3.0],
        }
    }

    #[test]
    fn a_bar_says_whether_its_goal_is_met_and_ends_at_the_edge() {
        let figures = [
            figure("good", Some(6.0)),
            figure("a < b", Some(1.0)),
            figure("no", None),
        ];
        let svg = svg(&figures);
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(
            svg.contains("class=\"met\" x=\"330.0\" y=\"50.0\" width=\"105.0\""),
            "{svg}"
        );
        assert!(
            svg.contains("class=\"missed\" x=\"330.0\" y=\"76.0\" width=\"420.0\""),
            "{svg}"
        );
        assert!(svg.contains("a &lt; b") && svg.contains("3.00 of 6.00 ×"));
    }
}
