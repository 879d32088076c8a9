//! When to send again: the local ACK timeout, RNR delays, and how often (IBTA 9.7.5.2.8, 9.7.6.1.3).

use roce_wire::num::Timeout;
use vrnic_abi::cqe::WorkStatus;

use super::SendAttributes;

/// RNR timer codes in units of 10 µs (IBTA table 46).
const RNR_TIMER: [u64; 32] = [
    65536, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048,
    3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152,
];

/// An RNR retry count without limit.
const FOR_EVER: u8 = 7;

/// A timeout is not stretched beyond this many nanoseconds.
const STRETCH_LIMIT: u64 = 1_000_000_000;

/// The delay that an RNR timer code stands for, in nanoseconds.
pub(super) fn rnr_delay(code: u8) -> u64 {
    RNR_TIMER[usize::from(code & 0x1f)] * 10_000
}

/// The retry counters of a requester. Progress fills them again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Retry {
    /// Nanoseconds; none: wait for ever.
    timeout: Option<u64>,
    allowed: u8,
    rnr_allowed: u8,
    left: u8,
    rnr_left: u8,
}

impl Retry {
    pub fn new(attributes: SendAttributes) -> Self {
        let timeout = Timeout::truncated(attributes.timeout);
        Self {
            timeout: (timeout.get() != 0).then(|| timeout.nanoseconds()),
            allowed: attributes.retry_count,
            rnr_allowed: attributes.rnr_retry,
            left: attributes.retry_count,
            rnr_left: attributes.rnr_retry,
        }
    }

    /// When to give up waiting that begins now. The time doubles with the first two attempts without progress (the timer may take up to four
    /// times its value), but a long one stays as it is.
    pub fn deadline(&self, now: u64) -> Option<u64> {
        let attempt = (self.allowed - self.left).min(2);
        self.timeout.map(|timeout| {
            let stretched = (timeout << attempt).min(timeout.max(STRETCH_LIMIT));
            now.saturating_add(stretched)
        })
    }

    /// Whether a lost retransmission is noticed by its timeout.
    pub const fn has_timeout(&self) -> bool {
        self.timeout.is_some()
    }

    pub const fn progress(&mut self) {
        self.left = self.allowed;
        self.rnr_left = self.rnr_allowed;
    }

    /// Takes a transport retry.
    pub fn again(&mut self) -> Result<(), WorkStatus> {
        self.left = self.left.checked_sub(1).ok_or(WorkStatus::RETRY_EXCEEDED)?;
        Ok(())
    }

    /// Takes an RNR retry.
    pub fn not_ready(&mut self) -> Result<(), WorkStatus> {
        if self.rnr_allowed != FOR_EVER {
            self.rnr_left = self
                .rnr_left
                .checked_sub(1)
                .ok_or(WorkStatus::RNR_RETRY_EXCEEDED)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Retry, SendAttributes, WorkStatus, rnr_delay};
    use roce_wire::num::Psn;

    fn retry(timeout: u8, retry_count: u8, rnr_retry: u8) -> Retry {
        Retry::new(SendAttributes {
            psn: Psn::default(),
            timeout,
            retry_count,
            rnr_retry,
        })
    }

    #[test]
    fn rnr_codes_are_those_of_the_table() {
        let milliseconds = |code| rnr_delay(code) / 1000;
        assert_eq!(
            [0, 1, 12, 14, 24, 31].map(milliseconds),
            [655_360, 10, 640, 1280, 40_960, 491_520]
        );
    }

    #[test]
    fn waiting_takes_one_to_four_timeouts() {
        let mut retry = retry(14, 7, 6);
        let mut waits = Vec::new();
        loop {
            waits.push(retry.deadline(0).expect("there is a timeout") >> 14);
            if retry.again().is_err() {
                break;
            }
        }
        assert_eq!(waits, [1, 2, 4, 4, 4, 4, 4, 4].map(|times| 4096 * times));
        retry.progress();
        assert_eq!(retry.deadline(5), Some(5 + (4096 << 14)));
    }

    #[test]
    fn no_code_overflows() {
        for code in 0..=u8::MAX {
            let mut retry = retry(code, 7, 7);
            while retry.again().is_ok() {
                let wait = retry.deadline(u64::MAX - 1);
                assert_eq!(wait, (code & 0x1f != 0).then_some(u64::MAX));
            }
        }
        assert_eq!(retry(31, 7, 7).deadline(0), Some(4096 << 31));
    }

    #[test]
    fn counters_end_and_seven_rnr_retries_do_not() {
        let mut finite = retry(14, 0, 2);
        assert_eq!(finite.again(), Err(WorkStatus::RETRY_EXCEEDED));
        assert_eq!((finite.not_ready(), finite.not_ready()), (Ok(()), Ok(())));
        assert_eq!(finite.not_ready(), Err(WorkStatus::RNR_RETRY_EXCEEDED));
        let mut endless = retry(14, 0, 7);
        assert!((0..100).all(|_| endless.not_ready().is_ok()));
    }
}
