//! The configuration from outside: what is read, and what is told of faults.

use super::*;
use proptest::prelude::*;

fn owned(overrides: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    overrides.iter().map(owned).collect()
}

fn source<'a>(text: &str, overrides: &'a [(String, String)]) -> Source<'a> {
    Source {
        file: "a.toml".into(),
        dir: "/etc/strongroom".into(),
        text: text.to_owned(),
        overrides,
    }
}

fn parse_with(text: &str, overrides: &[(&str, &str)]) -> anyhow::Result<Config> {
    source(text, &owned(overrides)).parse(|_, _| ())
}

/// What is wrong, a line each.
fn faults(text: &str, overrides: &[(&str, &str)]) -> Vec<String> {
    let read = source(text, &owned(overrides)).parse_whole(|_, _| ());
    read.map_or_else(|faults| faults.lines().to_vec(), |_| Vec::new())
}

/// Asserts that these lines, and no others, tell what is wrong.
#[track_caller]
fn assert_faults(text: &str, overrides: &[(&str, &str)], expected: &[&str]) {
    let told = faults(text, overrides);
    let all = told.len() == expected.len();
    let all = all
        && told
            .iter()
            .zip(expected)
            .all(|(line, start)| line.starts_with(start));
    assert!(all, "{text}\n{told:#?}");
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = parse_with("", &[]).unwrap();
    assert_eq!(config.api.listen.to_string(), "127.0.0.1:37766");
    assert_eq!(config.s3.listen.to_string(), "127.0.0.1:37767");
}

#[test]
fn the_example_file_loads_and_states_the_defaults() {
    let example = include_str!("../../../../strongroom.example.toml");
    let config = parse_with(example, &[]).unwrap();
    let mut defaults = parse_with("", &[]).unwrap();
    defaults.key_source.clone_from(&config.key_source);
    defaults.client.clone_from(&config.client);
    assert_eq!(config, defaults);
}

#[test]
fn the_environment_overrides_the_file() {
    let text = "[api]\nlisten = \"127.0.0.1:1\"\n[audit]\ndurability = \"durable\"\n";
    let config = parse_with(
        text,
        &[
            ("STRONGROOM__API__LISTEN", "127.0.0.1:0"),
            ("STRONGROOM__AUDIT__DURABILITY", "buffered"),
            ("STRONGROOM__SHUTDOWN_S", "3"),
            ("STRONGROOM__SESSION__ALLOW_UNBOUNDED", "true"),
            ("STRONGROOM_CONFIG", "ignored"),
        ],
    )
    .unwrap();
    assert_eq!(config.api.listen.port(), 0);
    assert_eq!(config.audit.durability, Durability::Buffered);
    assert_eq!(config.shutdown_s, 3);
    assert!(config.session.allow_unbounded);
}

#[test]
fn every_fault_is_told_at_once_with_its_place() {
    let text = "shutdown_s = \"soon\"\ntypo = 2\n[api]\nlissen = \"127.0.0.1:1\"\n\
                body_time_max = \"10\"\n  connections_max = -1\n[grants]\ndefault = \"2h\"\n\
                [log]\nformat = \"jsn\"\n[sweep]\nevery = \"0\"\n[unknown]\na = 1\n";
    let overrides = [
        ("STRONGROOM__API__LISTEN", "localhost:1"),
        ("STRONGROOM__LOG__LEVEL", "inof"),
        ("STRONGROOM__S3__REGIO", "x"),
        ("STRONGROOM__SHUTDOWN_S__X", "1"),
        ("STRONGROOM__", "1"),
    ];
    assert_faults(
        text,
        &overrides,
        &[
            "a.toml:1:14: shutdown_s: a text, where a whole number, 0 or more, is wanted",
            "a.toml:2:1: typo: unknown key",
            "a.toml:4:1: api.lissen: unknown key; did you mean `listen`?",
            "a.toml:5:17: api.body_time_max: a duration is a whole number",
            "a.toml:6:21: api.connections_max: -1, where a whole number, 0 or more, is wanted",
            "a.toml:8:11: grants.default: at most grants.max is wanted",
            "a.toml:10:10: log.format: one of text, json is wanted; did you mean `json`?",
            "a.toml:12:9: sweep.every: at least 1 s is wanted",
            "a.toml:13:2: unknown: unknown key",
            "environment: STRONGROOM__: names no key",
            "environment: STRONGROOM__API__LISTEN: api.listen: an IP address and a port",
            "environment: STRONGROOM__LOG__LEVEL: log.level: one of off",
            "environment: STRONGROOM__S3__REGIO: s3.regio: unknown key; did you mean `region`?",
            "environment: STRONGROOM__SHUTDOWN_S__X: shutdown_s.x: shutdown_s is no section",
        ],
    );
    let said = source(text, &owned(&overrides))
        .parse(|_, _| ())
        .unwrap_err();
    assert!(
        said.to_string()
            .ends_with("\n14 faults in the configuration"),
        "{said}"
    );
}

#[test]
fn tables_of_a_list_are_read_one_by_one() {
    let text = "[[key_source]]\nname = \"a\"\npublic_key_file = [\"a\"]\n\
                [[key_source]]\nname = 3\npublic_key_files = [\"a\", 4]\nsubjects = [\"usr\"]\n\
                [[key_source]]\niss = 1\n\
                [[s3.credential]]\nname = \"a b\"\naccess_key_id = \"A\"\n\
                secret_access_key_file = \"s\"\nbuckets = [\"fine\", \"Bad\"]\n\
                [[s3.credential]]\nname = \"a\"\n";
    assert_faults(
        text,
        &[],
        &[
            "a.toml:3:1: key_source 1 public_key_file: unknown key; did you mean",
            "a.toml:5:8: key_source 2 name: 3, where a text is wanted",
            "a.toml:6:26: key_source 2 public_key_files 2: 4, where a path is wanted",
            "a.toml:7:13: key_source 2 subjects 1: one of user, application, developer is wanted",
            "a.toml:8:1: key_source 3 name: wanted, and not there",
            "a.toml:8:1: key_source 3 public_key_files: at least one is wanted, or jwks_url",
            "a.toml:9:7: key_source 3 iss: 1, where a text is wanted",
            "a.toml:11:8: s3.credential 1 name: 1 to 64",
            "a.toml:12:17: s3.credential 1 access_key_id: 3 to 128",
            "a.toml:14:20: s3.credential 1 buckets 2: `Bad` is no bucket name",
            "a.toml:15:1: s3.credential 2 access_key_id: wanted, and not there",
            "a.toml:15:1: s3.credential 2 secret_access_key_file: wanted, and not there",
        ],
    );
    assert_faults(
        "[key_source]\nname = \"a\"\n",
        &[],
        &["a.toml:1:1: key_source: a list"],
    );
    assert_faults(
        "api = 3\n",
        &[],
        &["a.toml:1:7: api: 3, where a table is wanted"],
    );
}

#[test]
fn a_table_keeps_its_number_when_one_before_it_is_left_out() {
    let text = "[[s3.credential]]\nname = \"a\"\n[[s3.credential]]\nname = \"\"\n\
                access_key_id = \"AAA\"\nsecret_access_key_file = \"s\"\n";
    let told = faults(text, &[]);
    assert!(
        told[2].starts_with("a.toml:4:8: s3.credential 2 name: 1 to 64"),
        "{told:#?}"
    );
}

#[test]
fn nothing_is_concluded_from_a_faulty_value() {
    for text in [
        "[grants]\nmax = \"3x\"\ndefault = \"2h\"\n",
        "[grants]\nmaxx = \"3h\"\ndefault = \"2h\"\n",
        "[api]\npublic_url = \"http://a\"\n[api.tls]\ncertificate_file = \"c\"\n",
        "[[s3.credential]]\nname = \"a\"\naccess_key_id = \"AAA\"\n\
         secret_access_key_file = \"s\"\nbuckets = [1]\n",
    ] {
        let told = faults(text, &[]);
        assert_eq!(told.len(), 1, "{told:#?}");
    }
}

#[test]
fn a_default_that_conflicts_is_told_where_the_conflict_was_written() {
    assert_faults(
        "\n[grants]\nmax = \"5m\"\n",
        &[],
        &["a.toml:3:7: grants.default: at most"],
    );
    let overrides = [("STRONGROOM__GRANTS__MAX", "5m")];
    assert_faults(
        "",
        &overrides,
        &["environment: STRONGROOM__GRANTS__MAX: grants.default: at"],
    );
}

#[test]
fn faults_of_the_syntax_are_told_beside_the_others() {
    assert_faults(
        "shutdown_s = \n[api]\nlisten = \"127.0.0.1:1\nlissen = 1\nlissen = 2\n[s3]\nregion = [\"x\"]\n",
        &[],
        &[
            "a.toml:1:14: ",
            "a.toml:3:",
            "a.toml:4:1: api.lissen: unknown key",
            "a.toml:5:1: duplicate key",
            "a.toml:7:10: s3.region: a list, where a text is wanted",
        ],
    );
    assert!(!faults("[api\nlisten = \"127.0.0.1:1\"\n", &[]).is_empty());
    assert!(!faults("\u{0}", &[]).is_empty());
}

#[test]
fn texts_of_the_file_are_not_repeated() {
    let secret = "AKIAsecretsecret";
    let text = format!(
        "shutdown_s = \"{secret}\"\n[audit]\ndurability = \"{secret}\"\n[s3]\n\
                        secret_access_key = \"{secret}\"\nlisten = \"{secret}\"\n\
                        uploads_max = \"{secret}\n"
    );
    let told = faults(&text, &[("STRONGROOM__API__LISTEN", secret)]);
    assert_eq!(told.len(), 6, "{told:#?}");
    assert!(!told.concat().contains(secret), "{told:#?}");
}

#[test]
fn a_text_in_the_environment_needs_no_quotes_whatever_it_looks_like() {
    let overrides = [
        ("STRONGROOM__S3__REGION", "1"),
        ("STRONGROOM__S3__ACCESS_KEY_ID", "true"),
        ("STRONGROOM__S3__BUCKET", "\"quoted\""),
        ("STRONGROOM__S3__CORS_ORIGINS", "[\"https://a\"]"),
    ];
    let config = parse_with("", &overrides).unwrap();
    assert_eq!(config.s3.region, "1");
    assert_eq!(config.s3.access_key_id, "true");
    assert_eq!(config.s3.bucket, "quoted");
    assert_eq!(config.s3.cors_origins, ["https://a"]);
}

#[test]
fn more_faults_than_anybody_reads_are_cut() {
    let keys = (0..1_000).map(|number| format!("[[key_source]]\nname = {number}\n"));
    let said = parse_with(&keys.collect::<String>(), &[])
        .unwrap_err()
        .to_string();
    assert!(
        said.ends_with("\nmore than 100 faults in the configuration"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 101);
}

#[test]
fn impossible_values_are_refused() {
    for text in [
        "[grants]\ndefault = \"2h\"\nmax = \"1h\"",
        "[urls]\ndownload = \"61s\"",
        "[urls]\nupload = \"8d\"",
        "[urls]\nupload = \"0s\"",
        "[s3]\nobject_bytes_max = \"5121GiB\"",
        "[api]\npublic_url = \"vault.example.org\"",
        "[tokens]\nmetadata_bytes_max = \"1MiB\"",
        "[s3]\ninline_bytes_max = \"2MiB\"",
        "[s3]\nuploads_max = 0",
        "[s3]\nupload_life = \"0\"",
        "[s3]\nobject_downloads_max = 0",
        "[s3]\nbody_rate_min = \"2GiB\"",
        "trusted_proxies = [\"proxy.example\"]",
        "trusted_proxies = [\"10.0.0.0/33\"]",
        "[api]\nhost_names = [\"https://vault.example.org\"]",
        "[s3]\nhost_names = [\"\"]",
        "[api]\npublic_url = \"https://me@vault.example.org\"",
        "[api]\nheader_bytes_max = \"4KiB\"",
        "[s3]\nheader_bytes_max = \"2MiB\"",
        "[api]\nheaders_max = 101",
        "[api]\nuri_bytes_max = \"17KiB\"",
        "[api]\nrequests_max = 0",
        "[api]\nconnections_max = 0",
        "[api]\nconnections_per_client_max = 0",
        "[s3]\nhandshakes_max = 0",
        "[s3]\nhandshake_time_max = \"0\"",
        "[api]\nidle_max = \"0\"",
        "[[key_source]]\nname = \"a\"",
        "[jwks]\nkeys_max = 0",
        "[api.tls]\ncertificate_file = \"cert.pem\"",
        "[s3]\npublic_url = \"http://objects.example.org\"\n\
         [s3.tls]\ncertificate_file = \"a\"\nkey_file = \"b\"",
    ] {
        assert!(parse_with(text, &[]).is_err(), "{text}");
    }
}

const TLS: &str = "[api.tls]\ncertificate_file = \"a\"\nkey_file = \"b\"\n\
                   [s3.tls]\ncertificate_file = \"a\"\nkey_file = \"b\"\n";

/// What is wrong with the listeners.
fn listeners(text: &str, behind_proxy: bool) -> String {
    let listeners = |config: &Config, checks: &mut Checks| {
        config.check_listeners(behind_proxy, checks);
    };
    let read = source(text, &[]).parse_whole(listeners);
    read.map_or_else(|faults| faults.to_string(), |_| String::new())
}

#[test]
fn plain_http_leaves_loopback_behind_a_proxy_only() {
    let open = "[api]\nlisten = \"192.0.2.1:1\"\n[s3]\nlisten = \"192.0.2.1:2\"\n";
    let said = listeners(open, false);
    assert!(
        said.contains("a.toml:2:10: api.listen") && said.contains("api.tls"),
        "{said}"
    );
    assert!(said.contains("a.toml:4:10: s3.listen"), "{said}");
    let said = listeners(open, true);
    assert!(said.contains("a.toml: trusted_proxies: wanted"), "{said}");
    let proxied = format!("trusted_proxies = [\"192.0.2.9\"]\n{open}");
    assert_eq!(listeners(&proxied, true), "");
    assert_ne!(listeners(&proxied, false), "");
    assert_eq!(listeners(&format!("{open}{TLS}"), false), "");
    assert_eq!(listeners("", false), "");
}

#[test]
fn a_listener_on_every_address_needs_a_name() {
    let every = "trusted_proxies = [\"192.0.2.9\"]\n[api]\nlisten = \"0.0.0.0:1\"\npublic_url = \"https://vault.example.org\"\n\
                 [s3]\nlisten = \"[::]:2\"\n";
    for behind_proxy in [false, true] {
        let said = listeners(&format!("{every}{TLS}"), behind_proxy);
        assert!(said.contains("a.toml:6:10: s3.public_url"), "{said}");
    }
}

#[test]
fn what_is_shown_is_every_key_with_its_origin_and_loads_again() {
    let text = "data_dir = \"d\"\n[api]\npublic_url = \"https://a\"\n\n[api.tls]\n\
                certificate_file = \"c\"\nkey_file = \"k\"\n[[key_source]]\nname = \"a \\\" # b\"\n\
                public_key_files = [\"x\", \"y\"]\n";
    let overrides = owned(&[
        ("STRONGROOM__GRANTS__MAX", "90m"),
        (
            "STRONGROOM__S3__CREDENTIAL",
            "[{name = \"b\", access_key_id = \"AAA\", secret_access_key_file = \"s\"}]",
        ),
    ]);
    let shown = source(text, &overrides).show().unwrap();
    for line in [
        "# Configuration in effect, from a.toml. ",
        "data_dir = \"d\"  # a.toml:1",
        "shutdown_s = 30  # default",
        "[api]",
        "listen = \"127.0.0.1:37766\"  # default",
        "public_url = \"https://a\"  # a.toml:3",
        "[api.tls]",
        "key_file = \"k\"  # a.toml:7",
        "# secret_access_key_file is not set",
        "[[s3.credential]]",
        "access_key_id = \"AAA\"  # environment: STRONGROOM__S3__CREDENTIAL",
        "buckets = [\"*\"]  # default",
        "[[key_source]]",
        "public_key_files = [\"x\", \"y\"]  # a.toml:10",
        "subjects = [\"user\", \"application\", \"developer\"]  # default",
        "# iss is not set",
        "default = \"15m\"  # default",
        "max = \"90m\"  # environment: STRONGROOM__GRANTS__MAX",
    ] {
        assert!(
            shown.lines().any(|found| found.starts_with(line)),
            "{line}\n{shown}"
        );
    }
    let config = source(text, &overrides).parse(|_, _| ()).unwrap();
    assert_eq!(parse_with(&shown, &[]).unwrap(), config);
}

#[test]
fn the_example_lists_the_keys_that_there_are() {
    let example = include_str!("../../../../strongroom.example.toml");
    let credential = "[[s3.credential]]\nname = \"a\"\naccess_key_id = \"AAA\"\n\
                      secret_access_key_file = \"s\"\n";
    let tls = "[api.tls]\ncertificate_file = \"a\"\nkey_file = \"b\"\n";
    let text =
        format!("{tls}{credential}[[key_source]]\nname = \"a\"\npublic_key_files = [\"a\"]\n");
    let mut inside = "";
    let mut shown = source(&text, &[]).show().unwrap();
    shown.push('\n');
    for line in shown.lines() {
        if let Some(header) = line.strip_prefix('[') {
            inside = header.trim_matches(['[', ']']);
            assert!(example.contains(line), "{line} is not in the example");
        } else if let Some(key) = line.split(" = ").next().filter(|_| line.contains(" = ")) {
            let written = |found: &str| {
                found
                    .trim_start_matches("# ")
                    .starts_with(&format!("{key} = "))
            };
            assert!(
                example.lines().any(written),
                "{key} of {inside} is not in the example"
            );
        }
    }
}

/// Pieces of the configuration, sound or not, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let example = include_str!("../../../../strongroom.example.toml");
    let mut lines: Vec<_> = example
        .lines()
        .map(|line| line.trim_start_matches("# "))
        .collect();
    lines.extend([
        "\"",
        "\"\"\"",
        "{",
        "}",
        "[",
        "[[s3]]",
        "a.b.c = {d = [1, {e = 2}]}",
        "\u{0}",
        "x = 1e999",
        "access_key_id = \"\\\"# \\n\"",
        "name = \"\u{7f}\"",
        "iss = \"\"\"a\nb\"\"\"",
    ]);
    proptest::collection::vec(proptest::sample::select(lines), 0..30)
        .prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_panic(
        text in prop_oneof![pieces(), ".{0,100}"],
        name in "STRONGROOM__[A-Z0-9_]{0,20}",
        value in ".{0,20}",
    ) {
        let shown = show_text(&text, &[(name, value)]);
        prop_assert!(shown.map_or_else(|error| error.is::<Faults>(), |_| true));
    }

    #[test]
    fn what_is_shown_reads_as_the_same_whatever_the_values_are(
        texts in proptest::collection::vec("(?s).{0,20}", 6),
        list in proptest::collection::vec("(?s).{0,8}", 0..3),
        numbers in any::<[u32; 4]>(),
        truth in any::<bool>(),
    ) {
        let [data_dir, region, issuer, name, key, iss] = <[_; 6]>::try_from(texts).unwrap();
        let mut config = Config { dir: "/".into(), data_dir: data_dir.into(), ..Config::default() };
        config.shutdown_s = numbers[0].into();
        config.session.leeway = Span::secs(numbers[1].into());
        config.session.allow_unbounded = truth;
        config.records.cache = units::Size(numbers[2].into());
        config.api.connections_max = usize::try_from(numbers[3]).unwrap();
        config.s3.region = region;
        config.s3.cors_origins = list.clone();
        config.client.issuer = truth.then_some(issuer);
        config.key_source = toml::from_str::<Config>("[[key_source]]\nname = \"\"\npublic_key_files = []")
            .unwrap()
            .key_source;
        config.key_source[0].name = name;
        config.key_source[0].public_key_files = list.into_iter().chain([key]).map(Into::into).collect();
        config.key_source[0].iss = Some(iss);
        let text = toml::to_string(&config).unwrap();
        let shown = show_text(&text, &[]).unwrap();
        let mut source = source(&shown, &[]);
        source.dir = "/".into();
        prop_assert_eq!(source.parse(|_, _| ()).unwrap(), config);
    }
}
