//! What the sections lead to: from the manufacturers over the models to the install sections, and from there to the files,
//! registry values and services.

use std::collections::BTreeMap;

use super::parse::{Inf, Line, Section};
use super::{Problem, Rule, number};

/// The architecture that packages are for, as sections' names have it.
pub const ARCHITECTURE: &str = "NTamd64";

/// The endings of names under which an install section for this architecture is found, the best first.
const DECORATIONS: [&str; 3] = [".NTamd64", ".NT", ""];

/// The sections that belong to an install section, by the ending of their names.
const PARTS: [&str; 2] = [".HW", ".Services"];

/// Directives that name sections, and which kind of section.
const REFERENCES: [(&str, Kind); 2] = [("CopyFiles", Kind::Files), ("AddReg", Kind::Registry)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Files,
    Registry,
}

/// A model: a device that the package installs on.
#[derive(Clone, Debug)]
pub struct Model {
    /// The line that names it.
    pub line: usize,
    /// The decoration of its section, such as `NTamd64.10.0...16299`.
    pub target: String,
    /// Its hardware and compatible ids.
    pub ids: Vec<String>,
    /// The install section, with its decoration; none if there is none.
    pub section: Option<String>,
    /// Whether there is a services section.
    pub has_services: bool,
}

/// A value in the registry.
#[derive(Clone, Debug)]
pub struct RegistryValue {
    /// The line that sets it.
    pub line: usize,
    /// The root key, such as `HKR`.
    pub root: String,
    /// The key.
    pub key: String,
    /// The name.
    pub name: String,
    /// Its flags, 0 if they are left out.
    pub flags: u32,
    /// The data; more than one for a list.
    pub data: Vec<String>,
}

/// A service that the package installs.
#[derive(Clone, Debug)]
pub struct Service {
    /// The line that adds it.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// Whether it is the function driver (`SPSVCINST_ASSOCSERVICE`).
    pub is_function_driver: bool,
    /// The section that describes it.
    pub section: String,
}

/// What the package installs.
#[derive(Clone, Debug, Default)]
pub struct Install {
    /// The devices.
    pub models: Vec<Model>,
    /// Files to copy, with the line and the section that lists them (empty for a file named by the directive).
    pub files: Vec<(usize, String, String)>,
    /// Values in the device's key for its driver.
    pub software: Vec<RegistryValue>,
    /// Values in the device's hardware key.
    pub hardware: Vec<RegistryValue>,
    /// Values of the services and their event sources.
    pub services_values: Vec<RegistryValue>,
    /// The services.
    pub services: Vec<Service>,
    /// Who refers to which section, by the section's name in lower case.
    pub references: BTreeMap<String, Vec<String>>,
    /// What is wrong with the way from section to section.
    pub problems: Vec<Problem>,
}

/// A section's name with which others are found.
fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

impl Install {
    /// Follows the sections of `inf`.
    #[must_use]
    pub fn read(inf: &Inf) -> Self {
        let mut install = Self::default();
        let manufacturers = inf.section("Manufacturer");
        for line in manufacturers.iter().flat_map(|section| &section.lines) {
            let name = line.value(0);
            let targets: Vec<&str> = line.values.iter().skip(1).map(String::as_str).collect();
            if targets.is_empty() {
                install.models(inf, line, name, "");
            }
            for target in targets {
                install.models(inf, line, &format!("{name}.{target}"), target);
            }
        }
        install
    }

    fn problem(&mut self, line: usize, rule: Rule, text: String) {
        self.problems.push(Problem { line, rule, text });
    }

    /// Notes that `by` refers to section `name`, and finds it.
    fn refer<'a>(&mut self, inf: &'a Inf, line: usize, name: &str, by: &str) -> Option<&'a Section> {
        let users = self.references.entry(folded(name)).or_default();
        if !users.iter().any(|user| user == by) {
            users.push(by.to_owned());
        }
        let section = inf.section(name);
        if section.is_none() {
            self.problem(
                line,
                Rule::InfVerif(1203),
                format!("there is no section [{name}]"),
            );
        }
        section
    }

    /// Reads a string, with other strings in place of their names. [`super::rules`] complains about unknown ones.
    fn text(inf: &Inf, text: &str) -> String {
        inf.expand(text).unwrap_or_default()
    }

    fn models(&mut self, inf: &Inf, manufacturer: &Line, name: &str, target: &str) {
        let Some(section) = self.refer(inf, manufacturer.number, name, "Manufacturer") else {
            return;
        };
        for line in &section.lines {
            let base = line.value(0);
            let found = DECORATIONS
                .iter()
                .map(|decoration| format!("{base}{decoration}"))
                .find(|name| inf.section(name).is_some());
            if found.is_none() {
                self.problem(
                    line.number,
                    Rule::InfVerif(1203),
                    format!("there is no install section [{base}]"),
                );
            }
            let mut model = Model {
                line: line.number,
                target: target.to_owned(),
                ids: line.values.iter().skip(1).cloned().collect(),
                section: found.clone(),
                has_services: false,
            };
            if let Some(name) = found {
                model.has_services = self.install_section(inf, line.number, &name);
            }
            self.models.push(model);
        }
    }

    /// Follows an install section and those that belong to it; says whether there is one for services.
    fn install_section(&mut self, inf: &Inf, line: usize, name: &str) -> bool {
        let is_known = self.references.contains_key(&folded(name));
        let section = self.refer(inf, line, name, "models");
        let mut has_services = false;
        for part in PARTS {
            let name = format!("{name}{part}");
            has_services |= part == ".Services" && inf.section(&name).is_some();
        }
        if is_known {
            return has_services;
        }
        let mut software = Vec::new();
        self.directives(inf, section, &mut software);
        self.software.append(&mut software);
        let mut hardware = Vec::new();
        let part = self.part(inf, line, &format!("{name}.HW"));
        self.directives(inf, part, &mut hardware);
        self.hardware.append(&mut hardware);
        let part = self.part(inf, line, &format!("{name}.Services"));
        for line in part.iter().flat_map(|section| &section.lines) {
            if line.is("AddService") {
                self.service(inf, line);
            }
        }
        has_services
    }

    /// A section that may be there.
    fn part<'a>(&mut self, inf: &'a Inf, line: usize, name: &str) -> Option<&'a Section> {
        inf.section(name)?;
        self.refer(inf, line, name, "models")
    }

    /// Follows `CopyFiles` and `AddReg`.
    fn directives(&mut self, inf: &Inf, section: Option<&Section>, values: &mut Vec<RegistryValue>) {
        for line in section.iter().flat_map(|section| &section.lines) {
            for (directive, kind) in REFERENCES {
                if !line.is(directive) {
                    continue;
                }
                for name in line.values.iter().filter(|name| !name.is_empty()) {
                    if kind == Kind::Files
                        && let Some(file) = name.strip_prefix('@')
                    {
                        self.files.push((line.number, file.to_owned(), String::new()));
                        continue;
                    }
                    let Some(referred) = self.refer(inf, line.number, name, directive) else {
                        continue;
                    };
                    match kind {
                        Kind::Files => self.files.extend(
                            referred
                                .lines
                                .iter()
                                .map(|line| (line.number, line.value(0).to_owned(), referred.name.clone())),
                        ),
                        Kind::Registry => values.extend(registry_values(inf, referred)),
                    }
                }
            }
        }
    }

    fn service(&mut self, inf: &Inf, line: &Line) {
        let flags = number(line.value(1)).unwrap_or(0);
        self.services.push(Service {
            line: line.number,
            name: Self::text(inf, line.value(0)),
            is_function_driver: flags & 2 != 0,
            section: line.value(2).to_owned(),
        });
        for (index, by) in [(2, "AddService"), (3, "AddService's event log")] {
            let name = line.value(index);
            if name.is_empty() {
                continue;
            }
            let section = self.refer(inf, line.number, name, by);
            let mut values = Vec::new();
            if index == 2 {
                self.directives(inf, section, &mut values);
            } else if let Some(section) = section {
                // This section has the values itself, or an AddReg.
                if section.line("AddReg").is_some() {
                    self.directives(inf, Some(section), &mut values);
                } else {
                    values = registry_values(inf, section);
                }
            }
            self.services_values.append(&mut values);
        }
    }
}

fn registry_values(inf: &Inf, section: &Section) -> Vec<RegistryValue> {
    let read = |line: &Line| RegistryValue {
        line: line.number,
        root: line.value(0).to_owned(),
        key: Install::text(inf, line.value(1)),
        name: Install::text(inf, line.value(2)),
        flags: number(line.value(3)).unwrap_or(0),
        data: line
            .values
            .iter()
            .skip(4)
            .map(|value| Install::text(inf, value))
            .collect(),
    };
    section.lines.iter().map(read).collect()
}
