//! The table that `./x bench` ends with: our figures beside the peers'.

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
    /// 10^6 bytes in a second.
    MegabytesPerSecond,
    /// Events in a second.
    PerSecond,
}

impl Unit {
    /// Whether less is better.
    #[must_use]
    pub const fn less_is_better(self) -> bool {
        !matches!(
            self,
            Self::GigabytesPerSecond | Self::MegabytesPerSecond | Self::PerSecond
        )
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
            Self::MegabytesPerSecond,
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
            Self::MegabytesPerSecond => "MB/s",
            Self::PerSecond => "/s",
        })
    }
}

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Whose: ours, a peer's, or a target.
    pub who: String,
    /// What.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
}

impl Figure {
    /// A figure of `who`.
    #[must_use]
    pub fn new(who: &str, name: &str, value: f64, unit: Unit) -> Self {
        Self {
            who: who.to_owned(),
            name: name.to_owned(),
            value,
            unit,
        }
    }

    /// Whether it is of the same thing.
    fn is_comparable(&self, other: &Self) -> bool {
        self.name == other.name && self.unit == other.unit
    }

    /// Whether we want to be as good. Shared memory only shows how far a network is from none.
    fn is_target(&self) -> bool {
        !self.who.ends_with("shm")
    }
}

/// Who we are in a table.
pub const OURSELVES: &str = "vrnic";

/// One line for each figure of ours: the peers' beside it, and the ratio to each. The last line sums up.
#[must_use]
pub fn render(figures: &[Figure]) -> String {
    let (ours, peers): (Vec<&Figure>, Vec<&Figure>) =
        figures.iter().partition(|figure| figure.who == OURSELVES);
    let width = ours.iter().map(|figure| figure.name.len()).max();
    let width = width.unwrap_or_default();
    let (mut text, mut compared, mut missed) = (String::new(), 0, Vec::new());
    for figure in ours {
        // Writing to a String cannot fail.
        let _ = write!(text, "{:width$}  {}", figure.name, amount(figure));
        for peer in peers.iter().filter(|peer| peer.is_comparable(figure)) {
            let ratio = figure.value / peer.value;
            let _ = write!(
                text,
                "   {} {} (x{ratio:.2})",
                peer.who,
                amount(peer).trim_start()
            );
            if peer.is_target() {
                compared += 1;
                let good = if figure.unit.less_is_better() {
                    ratio <= 1.0
                } else {
                    ratio >= 1.0
                };
                if !good {
                    missed.push(format!("{} ({})", figure.name, peer.who));
                }
            }
        }
        text.push('\n');
    }
    let good = compared - missed.len();
    let _ = write!(
        text,
        "bench: as good as the peer or the target in {good} of {compared} comparisons"
    );
    if !missed.is_empty() {
        let _ = write!(text, "; not in {}", missed.join(", "));
    }
    text.push('\n');
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
        let send = |who, value| Figure::new(who, "send", value, Unit::Instructions);
        let text = render(&[
            send(OURSELVES, 150.0),
            Figure::new(OURSELVES, "send", 40.0, Unit::Nanoseconds),
            send("erdma", 200.0),
            send("mlx5", 100.0),
            send("UCX shm", 1.0),
        ]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "send        150 instructions   erdma 200 instructions (x0.75)   mlx5 100 instructions (x1.50)   \
                 UCX shm 1.00 instructions (x150.00)",
                "send      40.00 ns",
                "bench: as good as the peer or the target in 1 of 2 comparisons; not in send (mlx5)",
            ]
        );
    }

    #[test]
    fn units_are_found_by_their_names() {
        assert_eq!(Unit::from_name("GB/s"), Some(Unit::GigabytesPerSecond));
        assert_eq!(Unit::from_name("parsecs"), None);
    }
}
