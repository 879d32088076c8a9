//! The table that `./x bench` ends with: our figures beside the peers'.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Instructions.
    Instructions,
    /// Nanoseconds.
    Nanoseconds,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// 10^9 bytes in a second.
    GigabytesPerSecond,
    /// Events in a second.
    PerSecond,
}

impl Unit {
    /// Whether less is better.
    #[must_use]
    pub const fn less_is_better(self) -> bool {
        !matches!(self, Self::GigabytesPerSecond | Self::PerSecond)
    }

    /// The unit of that name, as `Display` writes it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::Instructions,
            Self::Nanoseconds,
            Self::Microseconds,
            Self::Milliseconds,
            Self::GigabytesPerSecond,
            Self::PerSecond,
        ];
        all.into_iter().find(|unit| unit.to_string() == name)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Instructions => "instructions",
            Self::Nanoseconds => "ns",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::GigabytesPerSecond => "GB/s",
            Self::PerSecond => "/s",
        })
    }
}

/// A measured figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Who was measured: `vrnic`, or a peer.
    pub who: String,
    /// What.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
}

/// Who we are in a table.
pub const OURSELVES: &str = "vrnic";

/// One line for each figure of ours: the peers' beside it, and the ratio to each. The last line sums up.
#[must_use]
pub fn render(figures: &[Figure]) -> String {
    let mut peers: BTreeMap<&str, Vec<&Figure>> = BTreeMap::new();
    for figure in figures.iter().filter(|figure| figure.who != OURSELVES) {
        peers.entry(&figure.name).or_default().push(figure);
    }
    let ours: Vec<&Figure> = figures.iter().filter(|figure| figure.who == OURSELVES).collect();
    let width = ours
        .iter()
        .map(|figure| figure.name.len())
        .max()
        .unwrap_or_default();
    let (mut text, mut better, mut compared) = (String::new(), 0, 0);
    for figure in ours {
        // Writing to a String cannot fail.
        let _ = write!(text, "{:width$}  {}", figure.name, amount(figure));
        for peer in peers.get(&*figure.name).into_iter().flatten() {
            let ratio = figure.value / peer.value;
            let _ = write!(text, "   {} {} (x{ratio:.2})", peer.who, amount(peer));
            compared += 1;
            better += usize::from(if figure.unit.less_is_better() {
                ratio <= 1.0
            } else {
                ratio >= 1.0
            });
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "bench: {better} of {compared} comparisons are at least as good as the peer"
    );
    text
}

fn amount(figure: &Figure) -> String {
    let digits = if figure.value >= 100.0 { 0 } else { 2 };
    format!("{:>9.digits$} {}", figure.value, figure.unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_stand_beside_our_figures_with_the_ratio() {
        let figure = |who: &str, value, unit| Figure {
            who: who.into(),
            name: "send".into(),
            value,
            unit,
        };
        let text = render(&[
            figure(OURSELVES, 150.0, Unit::Instructions),
            figure("erdma", 200.0, Unit::Instructions),
            figure("mlx5", 100.0, Unit::Instructions),
        ]);
        assert!(text.contains("erdma       200 instructions (x0.75)"), "{text}");
        assert!(text.contains("(x1.50)"), "{text}");
        assert!(
            text.ends_with("bench: 1 of 2 comparisons are at least as good as the peer\n"),
            "{text}"
        );
    }

    #[test]
    fn units_are_found_by_their_names() {
        assert_eq!(Unit::from_name("GB/s"), Some(Unit::GigabytesPerSecond));
        assert_eq!(Unit::from_name("parsecs"), None);
    }
}
