//! What every driver package must keep to that runs from the driver store.

use std::collections::{BTreeMap, BTreeSet};

use super::install::{ARCHITECTURE, Install, RegistryValue};
use super::parse::{Inf, Line, Section};
use super::{Problem, Rule, number};

/// Sections that nothing refers to because Windows looks for them by name.
const ROOTS: [&str; 7] = [
    "Version",
    "Manufacturer",
    "Strings",
    "SourceDisksNames",
    "SourceDisksFiles",
    "DestinationDirs",
    "ControlFlags",
];

/// What may stand in an install section.
const DIRECTIVES: [&str; 8] = [
    "CopyFiles",
    "AddReg",
    "Include",
    "Needs",
    "FeatureScore",
    "Characteristics",
    "BusType",
    "Port1DeviceID",
];

/// Directives and endings of sections that a package may no longer have.
const LEGACY: [&str; 14] = [
    "LogConfig",
    "DelFiles",
    "RenFiles",
    "DelReg",
    "BitReg",
    "DelService",
    "UpdateInis",
    "UpdateIniFields",
    "Ini2Reg",
    "RegisterDlls",
    "UnregisterDlls",
    "ProfileItems",
    "Reboot",
    "Restart",
];

/// The first Windows whose drivers run from the driver store, as models' decorations name it.
const FIRST_BUILD: u32 = 16299;

/// The directory of the driver package in the driver store.
const DRIVER_STORE: u32 = 13;

/// `FLG_ADDREG_APPEND`: adds to a list that is there.
const APPEND: u32 = 0x0000_0008;

/// Checks the rules.
#[must_use]
pub fn check(inf: &Inf, install: &Install) -> Vec<Problem> {
    let mut rules = Rules {
        inf,
        install,
        problems: Vec::new(),
    };
    rules.version();
    rules.sections();
    rules.strings();
    rules.models();
    rules.directives();
    rules.files();
    rules.registry();
    rules.services();
    rules.problems
}

struct Rules<'a> {
    inf: &'a Inf,
    install: &'a Install,
    problems: Vec<Problem>,
}

impl Rules<'_> {
    fn problem(&mut self, line: usize, rule: Rule, text: impl Into<String>) {
        let text = text.into();
        self.problems.push(Problem { line, rule, text });
    }

    fn text(&self, text: &str) -> String {
        self.inf.expand(text).unwrap_or_default()
    }

    fn version(&mut self) {
        let Some(version) = self.inf.section("Version") else {
            self.problem(0, Rule::Inf, "there is no section [Version]");
            return;
        };
        let at = |key: &str| version.line(key).map_or(version.number, |line| line.number);
        if !version.value("Signature").eq_ignore_ascii_case("$WINDOWS NT$") {
            self.problem(at("Signature"), Rule::Inf, "Signature is not $WINDOWS NT$");
        }
        let provider = self.text(version.value("Provider"));
        if provider.is_empty() {
            self.problem(at("Provider"), Rule::Inf, "there is no Provider");
        } else if provider.eq_ignore_ascii_case("Microsoft") {
            self.problem(
                at("Provider"),
                Rule::InfVerif(1204),
                "Provider must not be Microsoft",
            );
        }
        let catalog = version.value("CatalogFile");
        if std::path::Path::new(catalog)
            .extension()
            .is_none_or(|end| end != "cat")
        {
            self.problem(
                at("CatalogFile"),
                Rule::InfVerif(1233),
                "CatalogFile names no catalog",
            );
        }
        if number(version.value("PnpLockdown")) != Some(1) {
            self.problem(at("PnpLockdown"), Rule::InfVerif(1324), "PnpLockdown is not 1");
        }
        if let Err(text) = driver_version(version) {
            self.problem(at("DriverVer"), Rule::InfVerif(1217), text);
        }
    }

    fn sections(&mut self) {
        let mut seen = BTreeSet::new();
        for section in &self.inf.sections {
            let name = section.name.to_ascii_lowercase();
            let (line, shown) = (section.number, &section.name);
            let base = name.split('.').next().unwrap_or_default();
            let is_root = ROOTS.iter().any(|root| root.eq_ignore_ascii_case(base));
            if base == "classinstall32" {
                let text = "[ClassInstall32] is Microsoft's for the class Net";
                self.problem(line, Rule::InfVerif(1285), text);
            } else if base == "defaultinstall" && self.inf.section("Manufacturer").is_some() {
                let text = "[DefaultInstall] and [Manufacturer] exclude each other";
                self.problem(line, Rule::InfVerif(1212), text);
            } else if name.ends_with(".coinstallers") || name.ends_with(".logconfigoverride") {
                self.problem(line, Rule::InfVerif(1300), format!("[{shown}] is legacy"));
            } else if !is_root && !self.install.references.contains_key(&name) {
                self.problem(
                    line,
                    Rule::InfVerif(2083),
                    format!("nothing refers to section [{shown}]"),
                );
            }
            if !seen.insert(name) {
                self.problem(line, Rule::Inf, format!("section [{shown}] is there twice"));
            }
        }
        for (name, users) in &self.install.references {
            if users.len() > 1 {
                let line = self.inf.section(name).map_or(0, |section| section.number);
                let text = format!("section [{name}] is referred to as {}", users.join(" and as "));
                self.problem(line, Rule::InfVerif(1205), text);
            }
        }
    }

    fn strings(&mut self) {
        let mut used = BTreeSet::new();
        for line in self.inf.sections.iter().flat_map(|section| &section.lines) {
            for text in line.key.iter().chain(&line.values) {
                used.extend(tokens(text));
                if let Err(name) = self.inf.expand(text) {
                    let text = format!("string %{name}% is not in [Strings]");
                    self.problem(line.number, Rule::InfVerif(1235), text);
                }
            }
        }
        let strings = self.inf.section("Strings");
        let mut seen = BTreeSet::new();
        for line in strings.iter().flat_map(|section| &section.lines) {
            let Some(name) = line.key.as_ref().map(|key| key.to_ascii_lowercase()) else {
                self.problem(line.number, Rule::Syntax, "a string has no name");
                continue;
            };
            if !used.contains(&name) {
                self.problem(line.number, Rule::Inf, format!("string %{name}% is not used"));
            }
            if !seen.insert(name.clone()) {
                self.problem(line.number, Rule::Inf, format!("string %{name}% is there twice"));
            }
        }
    }

    fn models(&mut self) {
        if self.install.models.is_empty() {
            self.problem(0, Rule::InfVerif(1297), "the package installs on no device");
        }
        for model in &self.install.models {
            if model.ids.iter().all(String::is_empty) {
                self.problem(model.line, Rule::InfVerif(1297), "the model has no hardware id");
            }
            let build = model
                .target
                .strip_prefix(ARCHITECTURE)
                .and_then(|rest| rest.strip_prefix(".10.0..."))
                .and_then(number);
            if build.is_none_or(|build| build < FIRST_BUILD) {
                let text = format!(
                    "the models are for {:?}, and drivers run from the driver store from \
                     {ARCHITECTURE}.10.0...{FIRST_BUILD} on",
                    model.target
                );
                self.problem(model.line, Rule::InfVerif(1199), text);
            }
            if model.section.is_some() && !model.has_services {
                let text = "the install section has no .Services";
                self.problem(model.line, Rule::InfVerif(1296), text);
            }
        }
    }

    /// The directives of the install sections and of what belongs to them.
    fn directives(&mut self) {
        let sections: Vec<&Section> = self
            .install
            .models
            .iter()
            .filter_map(|model| model.section.as_ref())
            .flat_map(|name| ["", ".HW", ".Services"].map(|part| format!("{name}{part}")))
            .filter_map(|name| self.inf.section(&name))
            .collect();
        for section in sections {
            let is_services = section.name.to_ascii_lowercase().ends_with(".services");
            for line in &section.lines {
                let name = line.key.clone().unwrap_or_else(|| line.value(0).to_owned());
                let is = |known: &&str| name.eq_ignore_ascii_case(known);
                if LEGACY.iter().any(is) {
                    self.problem(
                        line.number,
                        Rule::InfVerif(1300),
                        format!("directive {name} is legacy"),
                    );
                } else if !(is(&"AddService") && is_services
                    || DIRECTIVES.iter().any(is) && !is_services
                    || name.starts_with('*'))
                {
                    self.problem(
                        line.number,
                        Rule::Inf,
                        format!("there is no directive {name} here"),
                    );
                }
            }
        }
    }

    fn files(&mut self) {
        let destinations = self.inf.section("DestinationDirs");
        let default = destinations.map_or("", |section| section.value("DefaultDestDir"));
        let sources = self.inf.section("SourceDisksFiles");
        let disks = self.inf.section("SourceDisksNames");
        for line in destinations.iter().flat_map(|section| &section.lines) {
            if number(line.value(0)) != Some(DRIVER_STORE) {
                let text = format!("the destination {} is not the driver store (13)", line.value(0));
                self.problem(line.number, Rule::InfVerif(1306), text);
            }
        }
        for (line, file, section) in &self.install.files {
            let explicit = destinations.and_then(|destinations| destinations.line(section));
            if explicit.is_none() && default.is_empty() {
                let text = format!("{file} has no destination in [DestinationDirs]");
                self.problem(*line, Rule::Inf, text);
            }
            if sources.is_none_or(|sources| sources.line(file).is_none()) {
                let text = format!("{file} is not in [SourceDisksFiles]");
                self.problem(*line, Rule::InfVerif(1230), text);
            }
        }
        let copied = |name: &str| {
            let mut files = self.install.files.iter();
            files.any(|(_, file, _)| file.eq_ignore_ascii_case(name))
        };
        let mut found = Vec::new();
        for line in sources.iter().flat_map(|section| &section.lines) {
            let file = line.key.as_deref().unwrap_or_default();
            if !copied(file) {
                found.push((line.number, format!("{file} is not copied anywhere")));
            }
            if disks.is_none_or(|disks| disks.line(line.value(0)).is_none()) {
                found.push((
                    line.number,
                    format!(
                        "{file} is on disk {}, which is not in [SourceDisksNames]",
                        line.value(0)
                    ),
                ));
            }
        }
        for (line, text) in found {
            self.problem(line, Rule::Inf, text);
        }
    }

    fn registry(&mut self) {
        let install = self.install;
        let places = [&install.software, &install.hardware, &install.services_values];
        for values in places {
            let mut set: BTreeMap<(String, String), usize> = BTreeMap::new();
            for value in values {
                self.registry_value(value);
                let name = (value.key.to_ascii_lowercase(), value.name.to_ascii_lowercase());
                if let Some(first) = set.insert(name, value.line) {
                    let text = format!("{} of {:?} is set in line {first} too", value.name, value.key);
                    self.problem(value.line, Rule::InfVerif(1331), text);
                }
            }
        }
    }

    fn registry_value(&mut self, value: &RegistryValue) {
        let line = value.line;
        if !value.root.eq_ignore_ascii_case("HKR") {
            let text = format!("{} is not relative to the device (HKR)", value.root);
            self.problem(line, Rule::InfVerif(1304), text);
        }
        if value.name.eq_ignore_ascii_case("CoInstallers32") {
            self.problem(line, Rule::InfVerif(1303), "there are no co-installers any more");
        }
        if value.flags & APPEND != 0 {
            let text = "a value is added to a list that others have";
            self.problem(line, Rule::InfVerif(1305), text);
        }
    }

    fn services(&mut self) {
        let functions = self
            .install
            .services
            .iter()
            .filter(|service| service.is_function_driver);
        if !self.install.models.is_empty() && functions.count() != 1 {
            let text = "there is not one service with the flag of a function driver (2)";
            self.problem(0, Rule::InfVerif(1296), text);
        }
        for service in &self.install.services {
            let Some(section) = self.inf.section(&service.section) else {
                continue;
            };
            let at = |key: &str| section.line(key).map_or(section.number, |line| line.number);
            let one_of = |key: &str, allowed: &[u32]| {
                number(section.value(key)).is_some_and(|value| allowed.contains(&value))
            };
            if !one_of("ServiceType", &[1]) {
                let text = "ServiceType is not that of a kernel driver (1)";
                self.problem(at("ServiceType"), Rule::Inf, text);
            }
            if !one_of("StartType", &[3]) {
                let text = "StartType is not on demand (3), as for every driver of a Plug and Play device";
                self.problem(at("StartType"), Rule::Inf, text);
            }
            if !one_of("ErrorControl", &[0, 1]) {
                self.problem(
                    at("ErrorControl"),
                    Rule::Inf,
                    "ErrorControl is not ignore (0) or normal (1)",
                );
            }
            let binary = section.value("ServiceBinary");
            let file = binary.strip_prefix("%13%\\");
            if file.is_none() {
                let text = "ServiceBinary is not in the driver store (%13%)";
                self.problem(at("ServiceBinary"), Rule::InfVerif(1306), text);
            }
            let mut files = self.install.files.iter();
            if let Some(file) = file
                && !files.any(|(_, copied, _)| copied.eq_ignore_ascii_case(file))
            {
                let text = format!("ServiceBinary {file} is not copied");
                self.problem(at("ServiceBinary"), Rule::Inf, text);
            }
        }
    }
}

/// The names of the strings in `text`, in lower case.
fn tokens(text: &str) -> Vec<String> {
    let pieces: Vec<&str> = text.split('%').collect();
    pieces
        .iter()
        .skip(1)
        .step_by(2)
        .map(|name| name.to_ascii_lowercase())
        .collect()
}

/// Whether `DriverVer` has a date `mm/dd/yyyy` and a version of four numbers.
fn driver_version(version: &Section) -> Result<(), String> {
    let empty = Line {
        number: 0,
        key: None,
        values: Vec::new(),
    };
    let line = version.line("DriverVer").unwrap_or(&empty);
    let (date, numbers) = (line.value(0), line.value(1));
    let parts: Vec<Option<u32>> = date.split('/').map(number).collect();
    let date_is_good = matches!(
        parts.as_slice(),
        [Some(1..=12), Some(1..=31), Some(2000..=9999)] if date.len() == "mm/dd/yyyy".len()
    );
    if !date_is_good {
        return Err(format!("the date of DriverVer is {date:?}, not mm/dd/yyyy"));
    }
    let parts: Vec<Option<u16>> = numbers.split('.').map(|part| part.parse().ok()).collect();
    if parts.len() != 4 || parts.contains(&None) {
        return Err(format!(
            "the version of DriverVer is {numbers:?}, not four numbers of at most 65535"
        ));
    }
    Ok(())
}
