//! Whether the device works, and why it does not.
//!
//! The state is one word, so that the first to find something wrong names the reason and all others see the result:
//! working, then dead or removed; dead may become removed.

use core::sync::atomic::{AtomicU64, Ordering};

use super::command::CommandError;

/// What commands can expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// The device works.
    Working,
    /// It does not, until it is reset.
    Dead,
    /// It is not there any more.
    Removed,
}

impl Health {
    /// What a command gets instead of being posted.
    ///
    /// # Errors
    ///
    /// [`CommandError::Dead`] or [`CommandError::Removed`].
    pub fn check(self) -> Result<(), CommandError> {
        match self {
            Self::Working => Ok(()),
            Self::Dead => Err(CommandError::Dead),
            Self::Removed => Err(CommandError::Removed),
        }
    }
}

/// Why the device is not trusted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// A command was not completed in time; its opcode.
    CommandTimeout = 1,
    /// A completion has a tag that is not in flight; tag and status.
    BadCompletion = 2,
    /// The device says that it has stopped; its syndrome.
    Fatal = 3,
    /// The device says that it is not running, though it was started; its state.
    Stopped = 4,
    /// Registers read all ones, or Windows says that the device has been removed.
    Removed = 5,
    /// The firmware does not give up an object.
    Refused = 6,
    /// Frames were given to the device, and nothing has come of them for too long.
    TransmitStuck = 7,
    /// A completion of an Ethernet queue cannot be.
    BadFrame = 8,
    /// The adapter sleeps.
    Asleep = 9,
}

impl Reason {
    const ALL: [Self; 9] = [
        Self::CommandTimeout,
        Self::BadCompletion,
        Self::Fatal,
        Self::Stopped,
        Self::Removed,
        Self::Refused,
        Self::TransmitStuck,
        Self::BadFrame,
        Self::Asleep,
    ];

    /// For the event log.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::CommandTimeout => "firmware did not answer a command in time",
            Self::BadCompletion => "firmware completed a command that it does not have",
            Self::Fatal => "firmware has stopped",
            Self::Stopped => "firmware has stopped without a reason",
            Self::Removed => "device has been removed",
            Self::Refused => "firmware does not give up an object",
            Self::TransmitStuck => "device does not send what it was given",
            Self::BadFrame => "device completed a frame that it does not have",
            Self::Asleep => "adapter sleeps",
        }
    }
}

/// The state and the reason for it.
#[derive(Debug, Default)]
pub struct HealthWord(AtomicU64);

impl HealthWord {
    /// Working.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The state now.
    #[must_use]
    pub fn get(&self) -> Health {
        match self.diagnosis() {
            None => Health::Working,
            Some((Reason::Removed, _)) => Health::Removed,
            Some(_) => Health::Dead,
        }
    }

    /// The reason and its detail, if the device does not work.
    #[must_use]
    pub fn diagnosis(&self) -> Option<(Reason, u32)> {
        let word = self.0.load(Ordering::Acquire);
        let reason = Reason::ALL
            .into_iter()
            .find(|reason| u64::from(*reason as u8) == word >> 32)?;
        Some((reason, (word & 0xFFFF_FFFF) as u32))
    }

    /// The device has been started again, unless it is removed. Whether it works.
    #[must_use]
    pub fn revive(&self) -> bool {
        let update = |old: u64| (old >> 32 != u64::from(Reason::Removed as u8)).then_some(0);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, update)
            .is_ok()
    }

    /// Declares the device dead, or removed if that is the reason. Whether this changed the state.
    pub fn fail(&self, reason: Reason, detail: u32) -> bool {
        let new = u64::from(reason as u8) << 32 | u64::from(detail);
        let update = |old: u64| {
            let removed = old >> 32 == u64::from(Reason::Removed as u8);
            (old == 0 || (reason == Reason::Removed && !removed)).then_some(new)
        };
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, update)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        let word = HealthWord::new();
        assert_eq!(word.get(), Health::Working);
        assert_eq!(word.diagnosis(), None);
        assert!(word.fail(Reason::CommandTimeout, 0x202));
        assert!(!word.fail(Reason::Fatal, 1));
        assert_eq!(word.get(), Health::Dead);
        assert_eq!(word.diagnosis(), Some((Reason::CommandTimeout, 0x202)));
    }

    #[test]
    fn removal_is_final() {
        let word = HealthWord::new();
        assert!(word.fail(Reason::Fatal, 4));
        assert!(word.fail(Reason::Removed, 0));
        assert_eq!(word.get(), Health::Removed);
        assert!(!word.fail(Reason::Removed, 0));
        assert!(!word.fail(Reason::BadCompletion, 99));
        assert_eq!(word.get().check(), Err(CommandError::Removed));
    }

    #[test]
    fn the_dead_can_be_revived_but_not_the_removed() {
        let word = HealthWord::new();
        assert!(word.fail(Reason::Asleep, 0));
        assert!(word.revive());
        assert_eq!(word.get(), Health::Working);
        assert!(word.fail(Reason::Fatal, 3), "it can fail again");
        assert!(word.fail(Reason::Removed, 0));
        assert!(!word.revive());
        assert_eq!(word.get(), Health::Removed);
    }

    #[test]
    fn every_reason_survives_the_word() {
        for reason in Reason::ALL {
            let word = HealthWord::new();
            assert!(word.fail(reason, u32::MAX));
            assert_eq!(word.diagnosis(), Some((reason, u32::MAX)));
        }
    }
}
