//! The configuration file with the environment on top.

use strongroom_cli::show_configuration;

/// A file's text, then names and values of overrides, a zero byte between any two of them.
///
/// Every fault has a place that exists. What is without fault is TOML to the library's own reader,
/// means the same when it is shown and loaded again, and has one fault with one unknown key more.
pub(super) fn config(data: &[u8]) -> bool {
    let Ok(data) = std::str::from_utf8(data) else {
        return false;
    };
    let mut parts = data.split('\0').map(str::to_owned);
    let text = parts.next().unwrap_or_default();
    let names = std::iter::from_fn(|| Some((parts.next()?, parts.next()?)));
    let overrides: Vec<_> = names.collect();
    let shown = match show_configuration(&text, &overrides) {
        Ok(shown) => shown,
        Err(faults) => {
            check_places(&faults, &text, &overrides);
            return false;
        }
    };
    assert!(text.parse::<toml::Table>().is_ok());
    let again = show_configuration(&shown, &[]).expect("what is shown can be loaded");
    assert_eq!(again.parse::<toml::Table>(), shown.parse::<toml::Table>());
    let more = format!("no_such_key = 1\n{text}");
    let faults = show_configuration(&more, &overrides).expect_err("an unknown key");
    let only = "strongroom.toml:1:1: no_such_key: unknown key\n1 fault in the configuration";
    assert_eq!(faults, only);
    true
}

/// Each line but the last, which counts them.
fn check_places(faults: &str, text: &str, overrides: &[(String, String)]) {
    let lines: Vec<_> = text.split('\n').collect();
    let (told, count) = faults
        .rsplit_once('\n')
        .expect("a line for each and their count");
    assert!(count.contains(" fault"), "{faults}");
    for fault in told.split('\n') {
        if let Some(rest) = fault.strip_prefix("environment: ") {
            let named =
                |(name, _): &(String, String)| rest.starts_with(&*name.escape_debug().to_string());
            assert!(overrides.iter().any(named), "{fault}");
            continue;
        }
        let rest = fault.strip_prefix("strongroom.toml:").expect(fault);
        let mut numbers = rest.split(':').map(str::parse::<usize>);
        let (Some(Ok(line)), Some(Ok(column))) = (numbers.next(), numbers.next()) else {
            // Nothing that was written is at fault.
            continue;
        };
        let line = lines.get(line - 1).expect(fault);
        assert!((1..=line.chars().count() + 1).contains(&column), "{fault}");
    }
}
