//! Bar charts as SVG, drawn by hand: bars and words need no plotting library.

use std::fmt::Write as _;

/// A chart of horizontal bars.
#[derive(Clone, Debug)]
pub struct Plot {
    /// Above the chart.
    pub title: String,
    /// What the values are, such as `µs`.
    pub unit: &'static str,
    /// Whether each factor of ten is equally long. For engines that are worlds apart.
    pub logarithmic: bool,
    /// From top to bottom.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Left of the bar.
    pub label: String,
    /// Its length.
    pub value: f64,
    /// Whether it is Callgate's, and drawn to stand out.
    pub ours: bool,
}

const WIDTH: f64 = 860.0;
/// Where bars begin: room for the labels.
const LEFT: f64 = 330.0;
/// The longest bar; to its right is room for the value.
const LONGEST: f64 = 400.0;
const ROW: f64 = 26.0;
const HEAD: f64 = 52.0;

/// The plots, one below the other.
pub(crate) fn svg(plots: &[Plot]) -> String {
    let total: f64 = plots.iter().map(height).sum();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {total}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{total}\" fill=\"#ffffff\"/>\n"
    );
    let mut top = 0.0;
    for plot in plots {
        draw(&mut svg, plot, top);
        top += height(plot);
    }
    svg.push_str("</svg>\n");
    svg
}

fn height(plot: &Plot) -> f64 {
    plot.bars.iter().fold(HEAD, |sum, _| sum + ROW)
}

fn draw(svg: &mut String, plot: &Plot, top: f64) {
    let scale = if plot.logarithmic {
        ", logarithmic"
    } else {
        ""
    };
    let title = escape(&format!("{} ({}{scale})", plot.title, plot.unit));
    let _ = writeln!(
        svg,
        "<text x=\"16\" y=\"{}\" font-size=\"15\" font-weight=\"bold\">{title}</text>",
        top + 32.0
    );
    let length = lengths(plot);
    let mut y = top + HEAD;
    for bar in &plot.bars {
        draw_bar(svg, bar, length(bar.value), y);
        y += ROW;
    }
}

fn draw_bar(svg: &mut String, bar: &Bar, length: f64, y: f64) {
    let fill = if bar.ours { "#1f6feb" } else { "#9aa4b2" };
    let text = y + 14.0;
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text>\
         <rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"18\" rx=\"2\" fill=\"{fill}\"/>\
         <text x=\"{:.1}\" y=\"{text}\">{}</text>",
        LEFT - 10.0,
        escape(&bar.label),
        LEFT + length + 8.0,
        value(bar.value),
    );
}

/// How long a value's bar is. On a logarithmic scale the shortest bar keeps a tenth
/// of the width, so that it is still a bar.
fn lengths(plot: &Plot) -> impl Fn(f64) -> f64 {
    let values = || plot.bars.iter().map(|bar| bar.value).filter(|v| *v > 0.0);
    let most = values().fold(f64::MIN_POSITIVE, f64::max);
    let least = values().fold(most, f64::min);
    let logarithmic = plot.logarithmic && most > least;
    move |value| {
        let share = if logarithmic && value > 0.0 {
            0.1 + 0.9 * (value / least).ln() / (most / least).ln()
        } else {
            value / most
        };
        LONGEST * share.clamp(0.0, 1.0)
    }
}

/// Three digits that matter.
fn value(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(label: &str, value: f64) -> Bar {
        Bar {
            label: label.into(),
            value,
            ours: false,
        }
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let mut plot = Plot {
            title: "t".into(),
            unit: "µs",
            logarithmic: false,
            bars: vec![bar("a", 1.0), bar("b", 4.0)],
        };
        assert_eq!(lengths(&plot)(1.0), LONGEST / 4.0);
        plot.logarithmic = true;
        assert!((lengths(&plot)(2.0) - LONGEST * 0.55).abs() < 1e-9);
    }

    #[test]
    fn labels_are_text() {
        let plot = Plot {
            title: "p50 < 1".into(),
            unit: "µs",
            logarithmic: false,
            bars: vec![bar("a & b", 0.0)],
        };
        let svg = svg(&[plot]);
        assert!(svg.contains("p50 &lt; 1") && svg.contains("a &amp; b"));
    }
}
