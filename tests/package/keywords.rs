//! The keywords that the INF offers against the table that the driver reads them by: the same names, values and defaults.

use vrnic::ndis::config::{self, Values};
use xtask::package::inf::install::Install;
use xtask::package::inf::network;
use xtask::package::inf::parse::Inf;

const INX: &str = include_str!("../../inf/vrnic.inx");

/// The driver's table has all technologies, so that it can be told to be another one and keeps NDK off then. An INF must offer
/// those that the device has (NDKPI: INF requirements).
const TECHNOLOGIES: (&str, &[u32]) = ("*NetworkDirectTechnology", &[config::ROCE_V2]);

/// What differs between an INF and the driver's table.
fn differences(inx: &str) -> Vec<String> {
    let inf = Inf::parse(&inx.replace("$ARCH$", "amd64")).expect("it is INF");
    let offered = network::keywords(&Install::read(&inf));
    let mut different = Vec::new();
    for keyword in config::KEYWORDS {
        let name = keyword.name;
        let Some(found) = offered.get(name) else {
            different.push(format!("{name} is not in the INF"));
            continue;
        };
        if found.number("default") != Some(keyword.default) {
            different.push(format!("{name} has another default, not {}", keyword.default));
        }
        match keyword.values {
            Values::Choice(values) => {
                let values = if name == TECHNOLOGIES.0 {
                    TECHNOLOGIES.1
                } else {
                    values
                };
                let numbers: Vec<u32> = found
                    .choices
                    .iter()
                    .filter_map(|(value, _)| value.parse().ok())
                    .collect();
                if numbers != values {
                    different.push(format!("{name} offers {numbers:?}, not {values:?}"));
                }
            }
            Values::Range { min, max, step } => {
                let numbers = ["min", "max", "step"].map(|limit| found.number(limit));
                if numbers != [min, max, step].map(Some) {
                    different.push(format!("{name} offers {numbers:?}, not {min} to {max} by {step}"));
                }
            }
        }
    }
    let is_known = |name: &str| {
        name == config::NETWORK_ADDRESS || config::KEYWORDS.iter().any(|keyword| keyword.name == name)
    };
    different.extend(
        offered
            .keys()
            .filter(|name| !is_known(name))
            .map(|name| format!("the driver does not read {name}")),
    );
    if !offered.contains_key(config::NETWORK_ADDRESS) {
        different.push(format!("{} is not in the INF", config::NETWORK_ADDRESS));
    }
    different
}

#[test]
fn the_inf_offers_what_the_driver_reads() {
    assert_eq!(differences(INX), <Vec<String>>::new());
}

#[test]
fn each_difference_is_noticed() {
    for (instead_of, there_is, complaint) in [
        ("Params\\VlanID,", "Params\\Vlan,", "VlanID is not in the INF"),
        ("Params\\VlanID,", "Params\\Vlan,", "does not read Vlan"),
        (
            "Params\\NetworkAddress,",
            "Params\\Address,",
            "NetworkAddress is not in the INF",
        ),
        (
            "*JumboPacket,      Default,   0, \"1514\"",
            "*JumboPacket, Default, 0, \"9014\"",
            "*JumboPacket has another default, not 1514",
        ),
        (
            "*NumRssQueues,      Max,       0, \"16\"",
            "*NumRssQueues, Max, 0, \"8\"",
            "not 1 to 16 by 1",
        ),
        (
            "*RSS\\enum, \"0\"",
            "*RSS\\enums, \"0\"",
            "*RSS offers [1], not [0, 1]",
        ),
        (
            "Technology\\enum, \"4\"",
            "Technology\\enum, \"3\"",
            "*NetworkDirectTechnology offers [3], not [4]",
        ),
    ] {
        assert!(INX.contains(instead_of), "the INX has no {instead_of:?} any more");
        let different = differences(&INX.replace(instead_of, there_is));
        assert!(
            different.iter().any(|text| text.contains(complaint)),
            "{complaint:?}: {different:?}"
        );
    }
}
