//! The text of an INF file as sections and lines.
//!
//! `;` begins a comment, `\` at the end continues a line, `,` separates values, and quotes keep all of these from meaning
//! anything; a doubled quote inside stands for one. Names of sections, keys and strings are the same in either case.

use super::{Problem, Rule};

/// An INF file.
#[derive(Clone, Debug, Default)]
pub struct Inf {
    /// Its sections in order.
    pub sections: Vec<Section>,
}

/// A section: from its name in brackets to the next.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// The line of its name.
    pub number: usize,
    /// What is in it.
    pub lines: Vec<Line>,
}

/// A line with something on it, together with those that continue it.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// What is left of `=`, if there is one.
    pub key: Option<String>,
    /// The values, without quotes and without replacement of strings.
    pub values: Vec<String>,
}

impl Line {
    /// Value `index`; empty if it is left out.
    #[must_use]
    pub fn value(&self, index: usize) -> &str {
        self.values.get(index).map_or("", String::as_str)
    }

    /// Whether the key is `name`.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.key
            .as_ref()
            .is_some_and(|key| key.eq_ignore_ascii_case(name))
    }
}

impl Section {
    /// The line with this key.
    #[must_use]
    pub fn line(&self, key: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.is(key))
    }

    /// The first value of the line with this key; empty if there is no such line.
    #[must_use]
    pub fn value(&self, key: &str) -> &str {
        self.line(key).map_or("", |line| line.value(0))
    }
}

impl Inf {
    /// Reads a file.
    ///
    /// # Errors
    /// The first thing that is no INF syntax.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let mut inf = Self::default();
        let mut pending: Option<(usize, Vec<Token>)> = None;
        for (number, text) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let (mut tokens, continues) = tokens(text, number)?;
            let (first, mut all) = pending.take().unwrap_or((number, Vec::new()));
            all.append(&mut tokens);
            if continues {
                pending = Some((first, all));
            } else {
                inf.add(first, all)?;
            }
        }
        match pending {
            Some((number, _)) => Err(syntax(number, "the last line is continued")),
            None => Ok(inf),
        }
    }

    fn add(&mut self, number: usize, tokens: Vec<Token>) -> Result<(), Problem> {
        if let [Token::Plain(text)] = tokens.as_slice()
            && let Some(rest) = text.trim().strip_prefix('[')
        {
            let name = rest
                .strip_suffix(']')
                .filter(|name| !name.is_empty() && !name.contains(['[', ']']))
                .ok_or_else(|| syntax(number, "a section's name is not in brackets"))?;
            self.sections.push(Section {
                name: name.trim().to_owned(),
                number,
                lines: Vec::new(),
            });
            return Ok(());
        }
        let Some(line) = line(number, tokens)? else {
            return Ok(());
        };
        let section = self
            .sections
            .last_mut()
            .ok_or_else(|| syntax(number, "there is a line before the first section"))?;
        section.lines.push(line);
        Ok(())
    }

    /// The section with this name.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections
            .iter()
            .find(|section| section.name.eq_ignore_ascii_case(name))
    }

    /// `text` with strings in place of their names between `%`. Directory numbers stay as they are.
    ///
    /// # Errors
    /// The name of a string that is not there.
    pub fn expand(&self, text: &str) -> Result<String, String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            expanded.push_str(before);
            let (name, after) = after.split_once('%').ok_or_else(|| after.to_owned())?;
            if name.is_empty() {
                expanded.push('%');
            } else if name.bytes().all(|byte| byte.is_ascii_digit()) {
                expanded.extend(["%", name, "%"]);
            } else {
                let line = self.section("Strings").and_then(|strings| strings.line(name));
                expanded.push_str(line.ok_or_else(|| name.to_owned())?.value(0));
            }
            rest = after;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }
}

/// A piece of a line.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// Text as it is, with spaces.
    Plain(String),
    /// Text that was in quotes.
    Quoted(String),
    /// `,`
    Comma,
    /// `=`
    Equals,
}

/// The pieces of one line of the file, and whether the next continues it.
fn tokens(text: &str, number: usize) -> Result<(Vec<Token>, bool), Problem> {
    let mut tokens = Vec::new();
    let mut plain = String::new();
    let mut characters = text.chars().peekable();
    let end = |plain: &mut String, tokens: &mut Vec<Token>| {
        if !plain.trim().is_empty() {
            tokens.push(Token::Plain(std::mem::take(plain)));
        }
        plain.clear();
    };
    while let Some(character) = characters.next() {
        match character {
            ';' => break,
            ',' | '=' => {
                end(&mut plain, &mut tokens);
                tokens.push(if character == ',' {
                    Token::Comma
                } else {
                    Token::Equals
                });
            }
            '"' => {
                end(&mut plain, &mut tokens);
                let mut quoted = String::new();
                loop {
                    match characters.next() {
                        Some('"') if characters.next_if_eq(&'"').is_some() => quoted.push('"'),
                        Some('"') => break,
                        Some(other) => quoted.push(other),
                        None => return Err(syntax(number, "a quote is not closed")),
                    }
                }
                tokens.push(Token::Quoted(quoted));
            }
            other => plain.push(other),
        }
    }
    let continues = plain.trim_end().ends_with('\\');
    if continues {
        plain.truncate(plain.trim_end().len() - 1);
    }
    end(&mut plain, &mut tokens);
    Ok((tokens, continues))
}

/// The line that these pieces make; none if there are none.
fn line(number: usize, tokens: Vec<Token>) -> Result<Option<Line>, Problem> {
    if tokens.is_empty() {
        return Ok(None);
    }
    let mut key = None;
    let mut values = Vec::new();
    let mut value = String::new();
    for token in tokens {
        match token {
            Token::Equals if key.is_none() && values.is_empty() => {
                if value.is_empty() {
                    return Err(syntax(number, "there is nothing before the equals sign"));
                }
                key = Some(std::mem::take(&mut value));
            }
            Token::Equals => value.push('='),
            Token::Comma => values.push(std::mem::take(&mut value)),
            Token::Plain(text) => value.push_str(text.trim()),
            Token::Quoted(text) => value.push_str(&text),
        }
    }
    values.push(value);
    Ok(Some(Line { number, key, values }))
}

fn syntax(line: usize, text: &str) -> Problem {
    Problem {
        line,
        rule: Rule::Syntax,
        text: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Line {
        let inf = Inf::parse(&format!("[s]\n{text}")).expect("it is INF");
        assert_eq!(inf.sections[0].lines.len(), 1, "{inf:?}");
        inf.sections[0].lines[0].clone()
    }

    #[test]
    fn values_comments_quotes_and_continued_lines() {
        let line = only("HKR, Ndi\\Params\\*RSS , ParamDesc,, \"a; \"\"b\"\", c\" ; comment");
        assert_eq!(line.key, None);
        assert_eq!(
            line.values,
            ["HKR", "Ndi\\Params\\*RSS", "ParamDesc", "", "a; \"b\", c"]
        );
        let line = only("AddReg = a, \\ ; more\n   b");
        assert!(line.is("addreg") && line.number == 2);
        assert_eq!(line.values, ["a", "b"]);
        assert_eq!(only("x=").values, [""]);
        assert_eq!(only("x = a=b").values, ["a=b"]);
    }

    #[test]
    fn what_is_no_inf_is_refused() {
        for (text, complaint) in [
            ("key = value", "before the first section"),
            ("[Version", "not in brackets"),
            ("[]", "not in brackets"),
            ("[s]\nx = \"open", "not closed"),
            ("[s]\n= value", "nothing before"),
            ("[s]\nx = \\", "continued"),
        ] {
            let problem = Inf::parse(text).expect_err("refused");
            assert!(problem.text.contains(complaint), "{text:?}: {problem}");
        }
    }

    #[test]
    fn strings_take_the_place_of_their_names() {
        let inf = Inf::parse("[Strings]\nName = \"text\"").expect("it is INF");
        assert_eq!(
            inf.expand("a %NAME% %13%\\x 100%%").as_deref(),
            Ok("a text %13%\\x 100%")
        );
        assert_eq!(inf.expand("%Other%"), Err("Other".to_owned()));
        assert_eq!(inf.expand("50%"), Err(String::new()));
    }
}
