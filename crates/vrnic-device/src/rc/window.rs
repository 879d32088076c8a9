//! How many packets may be in flight.

use super::TransportConfig;

/// Packets that may always be in flight.
const FLOOR: u32 = 4;

/// A window that grows with each acknowledged packet up to a threshold, then by one in each round, and that a loss halves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    size: u32,
    limit: u32,
    threshold: u32,
    /// Packets acknowledged since the window grew by one.
    round: u32,
}

impl Window {
    pub fn new(config: &TransportConfig) -> Self {
        let limit = config.max_window.max(1);
        Self {
            size: config.initial_window.clamp(1, limit),
            limit,
            threshold: limit,
            round: 0,
        }
    }

    /// Packets that may be in flight.
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// So many packets have arrived.
    pub fn acknowledged(&mut self, packets: u32) {
        if self.size < self.threshold {
            self.size = self.size.saturating_add(packets).min(self.threshold);
            return;
        }
        self.round = self.round.saturating_add(packets);
        if self.round >= self.size {
            self.round = 0;
            self.size = self.size.saturating_add(1).min(self.limit);
        }
    }

    /// Something has been lost.
    pub fn lost(&mut self) {
        self.size = (self.size / 2).max(FLOOR.min(self.limit));
        self.threshold = self.size;
        self.round = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{TransportConfig, Window};

    fn window() -> Window {
        Window::new(&TransportConfig {
            max_window: 64,
            initial_window: 16,
            ..TransportConfig::default()
        })
    }

    #[test]
    fn grows_to_its_limit() {
        let mut window = window();
        window.acknowledged(16);
        assert_eq!(window.size(), 32);
        window.acknowledged(u32::MAX);
        window.acknowledged(u32::MAX);
        assert_eq!(window.size(), 64);
    }

    #[test]
    fn a_loss_halves_it_and_growth_is_slow_then() {
        let mut window = window();
        window.lost();
        assert_eq!(window.size(), 8);
        window.acknowledged(7);
        assert_eq!(window.size(), 8);
        window.acknowledged(1);
        assert_eq!(window.size(), 9);
        (0..10).for_each(|_| window.lost());
        assert_eq!(window.size(), 4);
    }
}
