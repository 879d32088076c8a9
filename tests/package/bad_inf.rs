//! INFs with one mistake each: the checker of `./x package` must find each, and nothing in the driver's own INF.

use proptest::prelude::*;
use xtask::package::inf::{self, Rule};
use xtask::package::stamp::Stamp;

/// The driver's INF, stamped.
fn good() -> String {
    let inx = include_str!("../../inf/vrnic.inx");
    let stamp = Stamp::new("0.1.0.7".to_owned(), 1_700_000_000).expect("a time");
    stamp.inf(inx).expect("it is an INX").replace("\r\n", "\n")
}

/// A mistake: text of the good INF, and what stands there instead.
struct Mistake {
    instead_of: &'static str,
    there_is: &'static str,
    rule: Rule,
    complaint: &'static str,
}

const fn mistake(
    instead_of: &'static str,
    there_is: &'static str,
    rule: Rule,
    complaint: &'static str,
) -> Mistake {
    Mistake {
        instead_of,
        there_is,
        rule,
        complaint,
    }
}

const fn verif(number: u16) -> Rule {
    Rule::InfVerif(number)
}

const SYNTAX: &[Mistake] = &[
    mistake("[Version]", "[Version", Rule::Syntax, "not in brackets"),
    mistake(
        "; The driver",
        "x = y ; The driver",
        Rule::Syntax,
        "before the first section",
    ),
    mistake(
        "\"$WINDOWS NT$\"",
        "\"$WINDOWS NT$",
        Rule::Syntax,
        "a quote is not closed",
    ),
    mistake(
        "Class       = Net",
        "= Net",
        Rule::Syntax,
        "nothing before the equals sign",
    ),
];

const VERSION: &[Mistake] = &[
    mistake("[Version]", "[Versions]", Rule::Inf, "no section [Version]"),
    mistake("$WINDOWS NT$", "$CHICAGO$", Rule::Inf, "Signature"),
    mistake("Provider    = %Vrnic%", "", Rule::Inf, "no Provider"),
    mistake(
        "Provider    = %Vrnic%",
        "Provider = Microsoft",
        verif(1204),
        "must not be Microsoft",
    ),
    mistake("CatalogFile = vrnic.cat", "", verif(1233), "names no catalog"),
    mistake("PnpLockdown = 1", "PnpLockdown = 0", verif(1324), "PnpLockdown"),
    mistake(
        "DriverVer ",
        "; DriverVer ",
        verif(1217),
        "the date of DriverVer is \"\"",
    ),
    mistake("11/14/2023", "14/11/2023", verif(1217), "not mm/dd/yyyy"),
    mistake(",0.1.0.7", ",0.1.0", verif(1217), "not four numbers"),
    mistake(",0.1.0.7", ",0.1.0.65536", verif(1217), "not four numbers"),
    mistake(
        "Class       = Net",
        "Class = System",
        Rule::Network,
        "the class is System",
    ),
    mistake(
        "{4d36e972",
        "{4d36e97d",
        Rule::Network,
        "the class is Net {4d36e97d",
    ),
];

const SECTIONS: &[Mistake] = &[
    mistake(
        "[VrnicScaling]",
        "[VrnicScalling]",
        verif(1203),
        "no section [VrnicScaling]",
    ),
    mistake(
        "[VrnicScaling]",
        "[VrnicScalling]",
        verif(2083),
        "nothing refers to section [VrnicScalling]",
    ),
    mistake(
        "[Vrnic.NTamd64.10.0...16299]",
        "[Vrnic]",
        verif(1203),
        "no section [Vrnic.NTamd64.10.0...16299]",
    ),
    mistake(
        "= VrnicInstall, PCI",
        "= Elsewhere, PCI",
        verif(1203),
        "no install section [Elsewhere]",
    ),
    mistake(
        "[VrnicOffloads]",
        "[VrnicNdi]",
        Rule::Inf,
        "section [VrnicNdi] is there twice",
    ),
    mistake(
        "AddReg = VrnicInterrupts",
        "AddReg = VrnicInterrupts\nCopyFiles = VrnicInterrupts",
        verif(1205),
        "referred to as AddReg and as CopyFiles",
    ),
    mistake(
        "[Strings]",
        "[ClassInstall32]\n[Strings]",
        verif(1285),
        "ClassInstall32",
    ),
    mistake(
        "[Strings]",
        "[DefaultInstall.NT]\n[Strings]",
        verif(1212),
        "exclude each other",
    ),
    mistake(
        "[Strings]",
        "[VrnicInstall.NT.CoInstallers]\n[Strings]",
        verif(1300),
        "legacy",
    ),
    mistake(
        "[VrnicInstall.NT.Services]",
        "[VrnicInstall.NT.Service]",
        verif(1296),
        "no .Services",
    ),
    mistake(
        "[VrnicInstall.NT.HW]",
        "[VrnicInstall.HW]",
        verif(2083),
        "[VrnicInstall.HW]",
    ),
    mistake(
        "CopyFiles          =",
        "LogConfig          =",
        verif(1300),
        "LogConfig is legacy",
    ),
    mistake(
        "CopyFiles          =",
        "CopyFile           =",
        Rule::Inf,
        "no directive CopyFile here",
    ),
    mistake(
        "AddService = vrnic",
        "DelService = old\nAddService = vrnic",
        verif(1300),
        "DelService is legacy",
    ),
];

const STRINGS: &[Mistake] = &[
    mistake(
        "RoCEv2                  ",
        "RoCE2                   ",
        verif(1235),
        "string %RoCEv2% is not in [Strings]",
    ),
    mistake(
        "%%SystemRoot%%",
        "%SystemRoot%",
        verif(1235),
        "string %SystemRoot%",
    ),
    mistake(
        "[Strings]",
        "[Strings]\nUnused = \"x\"",
        Rule::Inf,
        "%unused% is not used",
    ),
    mistake(
        "[Strings]",
        "[Strings]\nRoCEv2 = \"x\"",
        Rule::Inf,
        "%rocev2% is there twice",
    ),
    mistake(
        "[Strings]",
        "[Strings]\nlonely",
        Rule::Syntax,
        "a string has no name",
    ),
];

const INSTALL: &[Mistake] = &[
    mistake(
        "%VrnicNic% = VrnicInstall, PCI\\VEN_1AF4&DEV_10F0",
        "",
        verif(1297),
        "installs on no device",
    ),
    mistake(", PCI\\VEN_1AF4&DEV_10F0", "", verif(1297), "no hardware id"),
    mistake(
        "%Vrnic% = Vrnic, NTamd64.10.0...16299\n",
        "%Vrnic% = Vrnic, NTamd64.10.0...15063\n",
        verif(1203),
        "NTamd64.10.0...15063",
    ),
    mistake(
        "NTamd64.10.0...16299",
        "NTamd64.10.0...15063",
        verif(1199),
        "run from the driver store from NTamd64.10.0...16299 on",
    ),
    mistake(
        "NTamd64.10.0...16299",
        "NTamd64",
        verif(1199),
        "run from the driver store from",
    ),
    mistake(
        "DefaultDestDir = 13",
        "DefaultDestDir = 12",
        verif(1306),
        "destination 12",
    ),
    mistake("DefaultDestDir = 13", "", Rule::Inf, "no destination"),
    mistake(
        "[SourceDisksFiles]\nvrnic.sys = 1",
        "[SourceDisksFiles]",
        verif(1230),
        "vrnic.sys is not in [SourceDisksFiles]",
    ),
    mistake(
        "[SourceDisksFiles]",
        "[SourceDisksFiles]\nother.sys = 1",
        Rule::Inf,
        "other.sys is not copied",
    ),
    mistake("vrnic.sys = 1", "vrnic.sys = 2", Rule::Inf, "disk 2"),
    mistake(
        "HKR, Ndi, Service",
        "HKLM, Ndi, Service",
        verif(1304),
        "not relative to the device",
    ),
    mistake(
        "HKR, Ndi, Service",
        "HKR, , CoInstallers32, 0, x\nHKR, Ndi, Service",
        verif(1303),
        "co-installers",
    ),
    mistake(
        "TypesSupported,   0x00010001",
        "TypesSupported, 0x00010008",
        verif(1305),
        "added to a list",
    ),
    mistake(
        "HKR, Ndi, Service",
        "HKR, NDI, service, 0, vrnic\nHKR, Ndi, Service",
        verif(1331),
        "is set in line",
    ),
    mistake(
        "AddService = vrnic, 2",
        "AddService = vrnic, 0",
        verif(1296),
        "not one service",
    ),
    mistake("ServiceType    = 1", "ServiceType = 2", Rule::Inf, "ServiceType"),
    mistake("StartType      = 3", "StartType = 2", Rule::Inf, "StartType"),
    mistake(
        "ErrorControl   = 1",
        "ErrorControl = 3",
        Rule::Inf,
        "ErrorControl",
    ),
    mistake(
        "%13%\\vrnic.sys",
        "%12%\\vrnic.sys",
        verif(1306),
        "not in the driver store",
    ),
    mistake(
        "%13%\\vrnic.sys",
        "%13%\\vrnic2.sys",
        Rule::Inf,
        "vrnic2.sys is not copied",
    ),
    mistake(
        ", VrnicService, VrnicEventLog",
        ", VrnicService, VrnicEvents",
        verif(1203),
        "no section [VrnicEvents]",
    ),
];

const ADAPTER: &[Mistake] = &[
    mistake(
        "= 0x84",
        "= 0x81",
        Rule::Network,
        "not those of a physical adapter",
    ),
    mistake(
        "BusType            = 5",
        "BusType = 1",
        Rule::Network,
        "BusType is \"1\", not 5",
    ),
    mistake(
        "*IfType            = 6",
        "",
        Rule::Network,
        "*IfType is \"\", not 6",
    ),
    mistake(
        "*MediaType         = 0",
        "*MediaType = 16",
        Rule::Network,
        "*MediaType is \"16\"",
    ),
    mistake(
        "*PhysicalMediaType = 14",
        "*PhysicalMediaType = 0",
        Rule::Network,
        "*PhysicalMediaType is \"0\"",
    ),
    mistake(
        "UpperRange, 0, \"ndis5\"",
        "UpperRange, 0, \"ndis6\"",
        Rule::Network,
        "UpperRange in Ndi\\Interfaces is \"ndis6\"",
    ),
    mistake(
        "LowerRange, 0, \"ethernet\"",
        "LowerRange, 0, \"wlan\"",
        Rule::Network,
        "LowerRange",
    ),
    mistake(
        "Service, 0, \"vrnic\"",
        "Service, 0, \"nic\"",
        Rule::Network,
        "Service in Ndi is \"nic\"",
    ),
    mistake(
        "MSISupported, 0x00010001, 1",
        "MSISupported, 0x00010001, 0",
        Rule::Network,
        "MSISupported is not 1",
    ),
    mistake(
        "MessageNumberLimit, 0x00010001, 16",
        "MessageNumberLimit, 0x00010001, 4096",
        Rule::Network,
        "MessageNumberLimit",
    ),
];

const KEYWORDS: &[Mistake] = &[
    mistake(
        "*JumboPacket",
        "*JumboPackets",
        Rule::Network,
        "keyword *JumboPacket is missing",
    ),
    mistake(
        "*JumboPacket",
        "*JumboPackets",
        Rule::Network,
        "*JumboPackets: there is no standardized keyword",
    ),
    mistake(
        "Params\\NetworkAddress",
        "Params\\MacAddress",
        Rule::Network,
        "keyword NetworkAddress is missing",
    ),
    mistake(
        "VlanID,      Type",
        "VlanID, Kind",
        Rule::Network,
        "VlanID: there is no Type",
    ),
    mistake(
        "VlanID,      Type,      0, \"int\"",
        "VlanID, Type, 0, \"number\"",
        Rule::Network,
        "there is no type \"number\"",
    ),
    mistake(
        "VlanID,      ParamDesc",
        "VlanID, Description",
        Rule::Network,
        "VlanID: there is no ParamDesc",
    ),
    mistake(
        "ParamDesc, 0, %VlanID%",
        "ParamDesc, 0, \"\"",
        Rule::Network,
        "VlanID: its ParamDesc is empty",
    ),
    mistake(
        "VlanID,      Optional,  0, \"0\"",
        "VlanID, Optional, 0, \"2\"",
        Rule::Network,
        "Optional is neither",
    ),
    mistake(
        "VlanID,      Default,   0, \"0\"",
        "VlanID, Default, 0, \"4095\"",
        Rule::Network,
        "the default 4095 is not in 0 to 4094",
    ),
    mistake(
        "VlanID,      Max",
        "VlanID, Most",
        Rule::Network,
        "VlanID: there is no number max",
    ),
    mistake(
        "*JumboPacket,      Default,   0, \"1514\"",
        "*JumboPacket, Default, 0, \"1515\"",
        Rule::Network,
        "steps of 4 from 1514 miss the default 1515",
    ),
    mistake(
        "*JumboPacket,      Max,       0, \"9014\"",
        "*JumboPacket, Max, 0, \"9000\"",
        Rule::Network,
        "steps of 4 from 1514 miss",
    ),
    mistake(
        "*JumboPacket,      Min,       0, \"1514\"",
        "*JumboPacket, Min, 0, \"614\"",
        Rule::Network,
        "the least standardized value is 1514",
    ),
    mistake(
        "*RSS,      Default,   0, \"1\"",
        "*RSS, Default, 0, \"3\"",
        Rule::Network,
        "*RSS: the default \"3\" is not one of the values",
    ),
    mistake(
        "*RSS\\enum, \"1\"",
        "*RSS\\enum, \"2\"",
        Rule::Network,
        "*RSS: 2 is not one of the standardized values",
    ),
    mistake(
        "*RSS\\enum, \"1\"",
        "*RSS\\enum, \"one\"",
        Rule::Network,
        "\"one\" is no number",
    ),
    mistake(
        "*RSS\\enum, \"1\",       0, %Enabled%",
        "*RSS\\enum, \"1\", 0, \"\"",
        Rule::Network,
        "value 1 has no text",
    ),
    mistake(
        "*RSS,      Type,      0, \"enum\"",
        "*RSS, Type, 0, \"int\"",
        Rule::Network,
        "*RSS: the standardized type is enum",
    ),
    mistake(
        "NetworkAddress, Type,      0, \"edit\"",
        "NetworkAddress, Type, 0, \"int\"",
        Rule::Network,
        "the standardized type is edit",
    ),
    mistake(
        "Technology\\enum, \"4\"",
        "Technology\\list, \"4\"",
        Rule::Network,
        "there is nothing to choose from",
    ),
];

#[test]
fn the_inf_of_the_driver_breaks_no_rule() {
    assert_eq!(inf::check(&good()), []);
}

#[test]
fn each_mistake_is_found() {
    let tables = [SYNTAX, VERSION, SECTIONS, STRINGS, INSTALL, ADAPTER, KEYWORDS];
    for mistake in tables.into_iter().flatten() {
        let good = good();
        let (wanted, replacement) = (mistake.instead_of, mistake.there_is);
        assert!(good.contains(wanted), "the INF has no {wanted:?} any more");
        let problems = inf::check(&good.replace(wanted, replacement));
        let is_it = |problem: &inf::Problem| {
            problem.rule == mistake.rule && problem.to_string().contains(mistake.complaint)
        };
        assert!(
            problems.iter().any(is_it),
            "{replacement:?} instead of {wanted:?} is {:?}: {problems:#?}",
            mistake.rule
        );
    }
}

#[test]
fn a_template_is_no_inf() {
    let problems = inf::check(include_str!("../../inf/vrnic.inx"));
    let rules: Vec<Rule> = problems.iter().map(|problem| problem.rule).collect();
    assert!(
        rules.contains(&verif(1217)) && rules.contains(&verif(1199)),
        "{problems:#?}"
    );
}

proptest! {
    /// Whatever stands in an INF, the checker says something about it and does not panic.
    #[test]
    fn no_text_confuses_the_checker(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, "[ -~]{0,12}"), 1..6),
        pieces in "\\PC{0,80}",
    ) {
        let mut lines: Vec<String> = good().lines().map(str::to_owned).collect();
        for (index, edit, text) in &edits {
            let index = index.index(lines.len());
            match edit {
                0 => lines[index].clone_from(text),
                1 => lines[index].insert_str(0, text),
                2 => lines[index].push_str(text),
                _ => lines.swap(index, 0),
            }
        }
        let _ = inf::check(&lines.join("\n"));
        let _ = inf::check(&pieces);
    }
}
