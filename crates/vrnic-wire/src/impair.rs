//! What may happen to a frame on the way.

use roce_wire::eth::EthernetHeader;

/// How often what happens to a frame: probabilities from 0 to 1, which add up to at most 1. The same seed gives the same fates, frame by frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Impairment {
    /// Where chance begins.
    pub seed: u64,
    /// The frame is dropped.
    pub loss: f64,
    /// One bit behind the Ethernet header is inverted.
    pub damage: f64,
    /// The frame arrives twice.
    pub duplication: f64,
    /// The next frame overtakes it.
    pub reordering: f64,
}

/// What happens to one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Passes,
    Lost,
    Damaged,
    Doubled,
    Overtaken,
}

pub(crate) struct Impairer {
    impairment: Impairment,
    chance: fastrand::Rng,
}

impl Impairer {
    pub fn new(impairment: Impairment) -> Self {
        Self {
            impairment,
            chance: fastrand::Rng::with_seed(impairment.seed),
        }
    }

    /// Decides on the next frame, and does the damage if that is its fate.
    pub fn fate(&mut self, frame: &mut [u8]) -> Fate {
        let Impairment {
            loss,
            damage,
            duplication,
            reordering,
            ..
        } = self.impairment;
        let mut drawn = self.chance.f64();
        for (probability, fate) in [
            (loss, Fate::Lost),
            (damage, Fate::Damaged),
            (duplication, Fate::Doubled),
            (reordering, Fate::Overtaken),
        ] {
            if drawn < probability {
                return if fate == Fate::Damaged {
                    self.damage(frame)
                } else {
                    fate
                };
            }
            drawn -= probability;
        }
        Fate::Passes
    }

    fn damage(&mut self, frame: &mut [u8]) -> Fate {
        let position = self
            .chance
            .usize(EthernetHeader::LEN..frame.len().max(EthernetHeader::LEN + 1));
        match frame.get_mut(position) {
            Some(byte) => {
                *byte ^= 1 << self.chance.u8(0..8);
                Fate::Damaged
            }
            None => Fate::Passes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(impairment: Impairment) -> Vec<Fate> {
        let mut impairer = Impairer::new(impairment);
        (0..1000).map(|_| impairer.fate(&mut [0; 64])).collect()
    }

    fn share(fates: &[Fate], fate: Fate) -> usize {
        fates.iter().filter(|other| **other == fate).count()
    }

    #[test]
    fn nothing_happens_unless_asked_for() {
        assert_eq!(share(&fates(Impairment::default()), Fate::Passes), 1000);
    }

    #[test]
    fn everything_happens_about_as_often_as_asked_for() {
        let fates = fates(Impairment {
            seed: 1,
            loss: 0.1,
            damage: 0.2,
            duplication: 0.3,
            reordering: 0.4,
        });
        for (fate, expected) in [
            (Fate::Lost, 100),
            (Fate::Damaged, 200),
            (Fate::Doubled, 300),
            (Fate::Overtaken, 400),
        ] {
            assert!(
                share(&fates, fate).abs_diff(expected) < 60,
                "{fate:?}: {}",
                share(&fates, fate)
            );
        }
    }

    #[test]
    fn a_seed_says_what_happens() {
        let impairment = |seed| Impairment {
            seed,
            loss: 0.5,
            ..Impairment::default()
        };
        assert_eq!(fates(impairment(7)), fates(impairment(7)));
        assert_ne!(fates(impairment(7)), fates(impairment(8)));
    }

    #[test]
    fn damage_is_one_bit_behind_the_header() {
        let mut impairer = Impairer::new(Impairment {
            damage: 1.0,
            ..Impairment::default()
        });
        for _ in 0..100 {
            let mut frame = [0; 20];
            assert_eq!(impairer.fate(&mut frame), Fate::Damaged);
            assert_eq!(frame[..14], [0; 14]);
            assert_eq!(frame.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        }
        assert_eq!(impairer.fate(&mut [0; 14]), Fate::Passes);
    }
}
