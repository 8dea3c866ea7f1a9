use super::*;

fn check_config(text: &str, expected: &[&str]) {
    let problems = resolve_text(text, &[]).err().unwrap_or_default();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(shown, expected, "of\n{text}");
}

#[test]
fn an_empty_file_is_the_default() {
    check_config("", &[]);
}
