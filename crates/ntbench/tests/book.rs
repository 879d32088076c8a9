//! The book's list of rules is the bench's.

use ntbench::verifier::Rule;

#[test]
fn the_book_lists_every_rule_in_its_own_words() {
    let book = include_str!("../../../docs/src/bench/rules.md");
    let rows: Vec<&str> = book.lines().filter(|line| line.starts_with("| `")).collect();
    let rules: Vec<String> = Rule::ALL
        .iter()
        .map(|rule| format!("| `{}` | {} |", rule.name(), rule.text().trim()))
        .collect();
    assert_eq!(rows, rules, "update docs/src/bench/rules.md from `ntbench rules`");
}
