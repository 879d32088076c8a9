//! What a network adapter must have: the class, the kind of adapter, the interfaces that protocols look for, interrupt
//! messages, and the keywords under `Ndi\Params`.

use std::collections::BTreeMap;

use super::install::{Install, RegistryValue};
use super::parse::Inf;
use super::standard::{self, Kind};
use super::{Problem, Rule, number};

/// The class of network adapters.
const CLASS: (&str, &str) = ("Net", "{4d36e972-e325-11ce-bfc1-08002be10318}");

/// What describes an Ethernet adapter on PCI in its install section.
const ADAPTER: [(&str, u32, &str); 4] = [
    ("BusType", 5, "PCI"),
    ("*IfType", 6, "IF_TYPE_ETHERNET_CSMACD"),
    ("*MediaType", 0, "NdisMedium802_3"),
    ("*PhysicalMediaType", 14, "NdisPhysicalMedium802_3"),
];

/// `NCF_VIRTUAL`, `NCF_SOFTWARE_ENUMERATED`, `NCF_PHYSICAL`: an adapter is one of these.
const CHARACTERISTICS: (u32, u32, u32) = (0x1, 0x2, 0x4);

/// The key of the keywords.
const PARAMS: &str = r"ndi\params\";

/// The key of the interrupt messages.
const MESSAGES: &str = r"interrupt management\messagesignaledinterruptproperties";

/// Most messages that MSI-X allows.
const MAX_MESSAGES: u32 = 2048;

/// Checks the rules of network adapters.
#[must_use]
pub fn check(inf: &Inf, install: &Install) -> Vec<Problem> {
    let mut rules = Rules {
        inf,
        install,
        problems: Vec::new(),
    };
    rules.class();
    rules.adapter();
    rules.interfaces();
    rules.messages();
    let keywords = keywords(install);
    for (name, keyword) in &keywords {
        rules.keyword(name, keyword);
    }
    rules.required(&keywords);
    rules.problems
}

/// What an INF says of one keyword.
#[derive(Clone, Debug, Default)]
pub struct Keyword {
    /// The first line.
    pub line: usize,
    /// The values beside each other, by name in lower case.
    pub properties: BTreeMap<String, String>,
    /// Values to choose from, with their texts.
    pub choices: Vec<(String, String)>,
}

impl Keyword {
    /// A value, by its name in lower case.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }

    /// A value that is a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u32> {
        self.property(name).and_then(number)
    }
}

/// The keywords that an INF offers, by name.
#[must_use]
pub fn keywords(install: &Install) -> BTreeMap<String, Keyword> {
    let mut keywords: BTreeMap<String, Keyword> = BTreeMap::new();
    for value in &install.software {
        let key = value.key.to_ascii_lowercase();
        let Some(rest) = key.strip_prefix(PARAMS) else {
            continue;
        };
        let name = &value.key[PARAMS.len()..][..rest.find('\\').unwrap_or(rest.len())];
        let keyword = keywords.entry(name.to_owned()).or_default();
        if keyword.line == 0 {
            keyword.line = value.line;
        }
        let data = value.data.concat();
        if rest.ends_with(r"\enum") {
            keyword.choices.push((value.name.clone(), data));
        } else {
            keyword.properties.insert(value.name.to_ascii_lowercase(), data);
        }
    }
    keywords
}

struct Rules<'a> {
    inf: &'a Inf,
    install: &'a Install,
    problems: Vec<Problem>,
}

impl Rules<'_> {
    fn problem(&mut self, line: usize, text: impl Into<String>) {
        let text = text.into();
        self.problems.push(Problem {
            line,
            rule: Rule::Network,
            text,
        });
    }

    fn class(&mut self) {
        let Some(version) = self.inf.section("Version") else {
            return;
        };
        let (class, guid) = (version.value("Class"), version.value("ClassGuid"));
        if !(class.eq_ignore_ascii_case(CLASS.0) && guid.eq_ignore_ascii_case(CLASS.1)) {
            let text = format!("the class is {class} {guid}, not {} {}", CLASS.0, CLASS.1);
            self.problem(version.number, text);
        }
    }

    fn adapter(&mut self) {
        let install = self.install;
        for name in install.models.iter().filter_map(|model| model.section.as_ref()) {
            let Some(section) = self.inf.section(name) else {
                continue;
            };
            let characteristics = number(section.value("Characteristics")).unwrap_or(0);
            let (software, enumerated, physical) = CHARACTERISTICS;
            if characteristics & (software | enumerated | physical) != physical {
                let text = "Characteristics are not those of a physical adapter (0x4, neither 0x1 nor 0x2)";
                self.problem(section.number, text);
            }
            for (directive, value, meaning) in ADAPTER {
                let found = section.value(directive);
                if number(found) != Some(value) {
                    let line = section.line(directive).map_or(section.number, |line| line.number);
                    self.problem(line, format!("{directive} is {found:?}, not {value} ({meaning})"));
                }
            }
        }
    }

    /// The data of a value in the driver's key, with its line.
    fn software(&self, key: &str, name: &str) -> Option<(usize, String)> {
        let is_it = |value: &&RegistryValue| {
            value.key.eq_ignore_ascii_case(key) && value.name.eq_ignore_ascii_case(name)
        };
        let value = self.install.software.iter().find(is_it)?;
        Some((value.line, value.data.join(",")))
    }

    fn interfaces(&mut self) {
        let service = self
            .install
            .services
            .iter()
            .find(|service| service.is_function_driver)
            .map_or("", |service| service.name.as_str());
        for (key, name, wanted, why) in [
            ("Ndi", "Service", service, "the service of the driver"),
            (
                r"Ndi\Interfaces",
                "UpperRange",
                "ndis5",
                "without which Windows looks for no NDK provider",
            ),
            (
                r"Ndi\Interfaces",
                "LowerRange",
                "ethernet",
                "as for every Ethernet adapter",
            ),
        ] {
            let (line, found) = self.software(key, name).unwrap_or_default();
            if !found.eq_ignore_ascii_case(wanted) {
                let text = format!("{name} in {key} is {found:?}, not {wanted:?}, {why}");
                self.problem(line, text);
            }
        }
    }

    fn messages(&mut self) {
        let value = |name: &str| {
            let is_it = |value: &&RegistryValue| {
                value.key.eq_ignore_ascii_case(MESSAGES) && value.name.eq_ignore_ascii_case(name)
            };
            let value = self.install.hardware.iter().find(is_it)?;
            Some((value.line, number(&value.data.concat())?))
        };
        let (supported, limit) = (value("MSISupported"), value("MessageNumberLimit"));
        if supported.is_none_or(|(_, value)| value != 1) {
            let line = supported.map_or(0, |(line, _)| line);
            self.problem(
                line,
                "MSISupported is not 1: the device interrupts with messages only",
            );
        }
        if limit.is_none_or(|(_, value)| !(1..=MAX_MESSAGES).contains(&value)) {
            let text = format!("MessageNumberLimit is not a number of messages, 1 to {MAX_MESSAGES}");
            self.problem(limit.map_or(0, |(line, _)| line), text);
        }
    }

    fn keyword(&mut self, name: &str, keyword: &Keyword) {
        let mut complain = |text: String| self.problem(keyword.line, format!("{name}: {text}"));
        for needed in ["ParamDesc", "Type", "Default"] {
            if keyword.property(&needed.to_ascii_lowercase()).is_none() {
                complain(format!("there is no {needed}"));
            }
        }
        if keyword.property("paramdesc").is_some_and(str::is_empty) {
            complain("its ParamDesc is empty".to_owned());
        }
        if keyword
            .property("optional")
            .is_some_and(|optional| optional != "0" && optional != "1")
        {
            complain("Optional is neither 0 nor 1".to_owned());
        }
        let default = keyword.property("default").unwrap_or_default();
        match keyword.property("type").unwrap_or_default() {
            "enum" => {
                for text in choices(keyword, default) {
                    complain(text);
                }
            }
            "int" | "long" | "word" | "dword" => {
                if let Err(text) = range(keyword) {
                    complain(text);
                }
            }
            // A missing one is reported above.
            "edit" | "" => {}
            other => complain(format!("there is no type {other:?}")),
        }
        if let Some(standard) = standard::find(name) {
            if let Err(text) = is_standard(keyword, standard.kind) {
                complain(text);
            }
        } else if name.starts_with('*') {
            complain("there is no standardized keyword of this name".to_owned());
        }
    }

    fn required(&mut self, keywords: &BTreeMap<String, Keyword>) {
        for standard in standard::KEYWORDS.iter().filter(|keyword| keyword.is_required) {
            let mut names = keywords.keys();
            if !names.any(|name| name.eq_ignore_ascii_case(standard.name)) {
                self.problem(0, format!("keyword {} is missing", standard.name));
            }
        }
    }
}

/// What is wrong with values to choose from.
fn choices(keyword: &Keyword, default: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if keyword.choices.is_empty() {
        wrong.push("there is nothing to choose from".to_owned());
    }
    if !keyword.choices.iter().any(|(value, _)| value == default) {
        wrong.push(format!("the default {default:?} is not one of the values"));
    }
    for (value, text) in &keyword.choices {
        if number(value).is_none() {
            wrong.push(format!("{value:?} is no number"));
        }
        if text.is_empty() {
            wrong.push(format!("value {value} has no text"));
        }
    }
    wrong
}

/// Whether default, least, greatest and step of a number go together.
fn range(keyword: &Keyword) -> Result<(), String> {
    let get = |name: &str| {
        keyword
            .number(name)
            .ok_or_else(|| format!("there is no number {name}"))
    };
    let (default, min, max) = (get("default")?, get("min")?, get("max")?);
    let step = match keyword.property("step") {
        Some(_) => get("step")?,
        None => 1,
    };
    if !(min..=max).contains(&default) {
        return Err(format!("the default {default} is not in {min} to {max}"));
    }
    if step == 0 || (max - min) % step != 0 || (default - min) % step != 0 {
        return Err(format!(
            "steps of {step} from {min} miss the default {default} or the greatest {max}"
        ));
    }
    Ok(())
}

/// Whether the values are those that Microsoft gave the keyword.
fn is_standard(keyword: &Keyword, kind: Kind) -> Result<(), String> {
    let is_choice = keyword.property("type") == Some("enum");
    match kind {
        Kind::Choice(allowed) => {
            if !is_choice {
                return Err("the standardized type is enum".to_owned());
            }
            let foreign = keyword
                .choices
                .iter()
                .find(|(value, _)| number(value).is_none_or(|value| !allowed.contains(&value)));
            foreign.map_or(Ok(()), |(value, _)| {
                Err(format!(
                    "{value} is not one of the standardized values {allowed:?}"
                ))
            })
        }
        // Some vendors offer a few numbers to choose from.
        Kind::Number(_) if is_choice => Ok(()),
        Kind::Number(least) => {
            if keyword.number("min").is_some_and(|min| min < least) {
                return Err(format!("the least standardized value is {least}"));
            }
            Ok(())
        }
        Kind::Text if keyword.property("type") != Some("edit") => {
            Err("the standardized type is edit".to_owned())
        }
        Kind::Text => Ok(()),
    }
}
