//! Times and audiences of claims, absurd ones among them.

use super::*;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const NOW_S: u64 = 1_800_000_000;

fn parse(payload: &str) -> Result<Claims, Refused> {
    Claims::parse(payload.as_bytes())
}

fn dates(members: &str) -> Result<Dates, Refused> {
    parse(&format!(r#"{{"sub":"user",{members}}}"#)).map(|claims| claims.dates)
}

fn check(members: &str, rules: &Rules) -> Result<(), Refused> {
    dates(members)?.check(NOW, rules)
}

fn unbounded() -> Rules {
    Rules {
        allow_unbounded: true,
        ..Rules::default()
    }
}

#[test]
fn a_date_that_is_no_date_is_never_taken_for_absent() {
    for name in ["exp", "nbf", "iat"] {
        for value in [
            "null",
            "true",
            "\"1800000900\"",
            "[]",
            "{}",
            "[1800000900]",
            "-1",
            "-0.5",
            "-1e300",
            "1e300",
            "1800000900000",
            "253402300800",
            "18446744073709551615",
            "18446744073709551616",
        ] {
            let members = format!("\"{name}\":{value}");
            assert_eq!(dates(&members).err(), Some(Refused::Date), "{members}");
        }
    }
    assert_eq!(dates("\"exp\":1e400").err(), Some(Refused::Claims));
    assert_eq!(dates("\"exp\":NaN").err(), Some(Refused::Claims));
}

#[test]
fn fractions_and_exponents_are_dates() {
    let exp = |value: &str| dates(&format!("\"exp\":{value}")).unwrap().expires_at;
    assert_eq!(exp("1800000900"), Some(UnixMillis(1_800_000_900_000)));
    assert_eq!(exp("1800000900.25"), Some(UnixMillis(1_800_000_900_250)));
    assert_eq!(exp("1.8e9"), Some(NOW));
    assert_eq!(exp("0"), Some(UnixMillis(0)));
    assert_eq!(exp("-0"), Some(UnixMillis(0)));
    assert_eq!(exp("253402300799"), Some(UnixMillis(253_402_300_799_000)));
}

#[test]
fn exp_holds_to_the_second_with_leeway() {
    let rules = Rules::default();
    let exp = |offset: i64| format!("\"exp\":{}", NOW_S.saturating_add_signed(offset));
    assert_eq!(check(&exp(1), &rules), Ok(()));
    assert_eq!(check(&exp(-59), &rules), Ok(()));
    assert_eq!(check(&exp(-60), &rules), Err(Refused::Expired));
    assert_eq!(check(&exp(-1_800_000_000), &rules), Err(Refused::Expired));
    let strict = Rules {
        leeway_s: 0,
        ..Rules::default()
    };
    assert_eq!(check(&exp(1), &strict), Ok(()));
    assert_eq!(check(&exp(0), &strict), Err(Refused::Expired));
}

#[test]
fn nbf_holds_to_the_second_with_leeway() {
    let rules = Rules::default();
    let nbf = |offset: i64| {
        format!(
            "\"exp\":{},\"nbf\":{}",
            NOW_S + 900,
            NOW_S.saturating_add_signed(offset)
        )
    };
    assert_eq!(check(&nbf(0), &rules), Ok(()));
    assert_eq!(check(&nbf(60), &rules), Ok(()));
    assert_eq!(check(&nbf(61), &rules), Err(Refused::NotYetValid));
    assert_eq!(check(&nbf(61), &unbounded()), Err(Refused::NotYetValid));
}

#[test]
fn without_exp_it_takes_a_setting() {
    assert_eq!(
        check("\"iat\":1", &Rules::default()),
        Err(Refused::NoExpiry)
    );
    assert_eq!(check("\"iat\":1", &unbounded()), Ok(()));
    assert_eq!(check("\"exp\":1", &unbounded()), Err(Refused::Expired));
}

#[test]
fn exp_too_far_ahead_is_refused() {
    let exp = |ahead: u64| format!("\"exp\":{}", NOW_S + ahead);
    assert_eq!(check(&exp(86_460), &Rules::default()), Ok(()));
    assert_eq!(
        check(&exp(86_461), &Rules::default()),
        Err(Refused::Lifetime)
    );
    assert_eq!(check(&exp(86_461), &unbounded()), Ok(()));
}

#[test]
fn a_long_life_is_refused_on_its_last_day_too() {
    let last_day = format!("\"iat\":{},\"exp\":{}", NOW_S - 86_400, NOW_S + 900);
    assert_eq!(check(&last_day, &Rules::default()), Err(Refused::Lifetime));
    assert_eq!(check(&last_day, &unbounded()), Ok(()));
    let one_day = format!("\"iat\":{},\"exp\":{}", NOW_S - 86_000, NOW_S + 400);
    assert_eq!(check(&one_day, &Rules::default()), Ok(()));
    let from_the_future = format!("\"iat\":{},\"exp\":{}", NOW_S + 86_400, NOW_S + 90_000);
    assert_eq!(
        check(&from_the_future, &Rules::default()),
        Err(Refused::Lifetime)
    );
}

#[test]
fn absurd_rules_do_not_overflow() {
    let rules = Rules {
        leeway_s: u64::MAX,
        lifetime_max_s: u64::MAX,
        ..Rules::default()
    };
    assert_eq!(check("\"exp\":0,\"nbf\":253402300799", &rules), Ok(()));
}

#[test]
fn sub_is_one_of_three_words() {
    for sub in [
        "\"admin\"",
        "\"User\"",
        "\"user \"",
        "\"\"",
        "null",
        "1",
        "[\"user\"]",
        "{}",
    ] {
        let payload = format!("{{\"sub\":{sub}}}");
        assert_eq!(parse(&payload).err(), Some(Refused::Subject), "{payload}");
    }
    assert_eq!(parse("{}").err(), Some(Refused::Subject));
}

#[test]
fn session_id_is_a_string_whoever_calls() {
    for subject in ["user", "application", "developer"] {
        for id in ["null", "1", "true", "[]", "{}", "[\"a\"]"] {
            let payload = format!(r#"{{"sub":"{subject}","session_id":{id}}}"#);
            assert_eq!(parse(&payload).err(), Some(Refused::SessionId), "{payload}");
        }
    }
}

#[test]
fn iss_is_a_string_whoever_calls() {
    for iss in ["null", "1", "[]", "[\"a\"]"] {
        let payload = format!(r#"{{"sub":"user","session_id":"a","iss":{iss}}}"#);
        assert_eq!(parse(&payload).err(), Some(Refused::Issuer), "{payload}");
    }
}

fn caller(payload: &str) -> Result<Caller, Refused> {
    parse(payload)?.into_caller("shop")
}

#[test]
fn users_and_developers_are_named_by_session_id() {
    for (subject, kind) in [
        ("user", SessionKind::User),
        ("developer", SessionKind::Developer),
    ] {
        let named = |id: &str| {
            caller(&format!(
                r#"{{"sub":"{subject}","iss":"x","session_id":"{id}"}}"#
            ))
        };
        let alice = named("alice ü").unwrap();
        assert_eq!(
            alice.session,
            Session::new(kind, "shop", "alice ü").unwrap()
        );
        assert_eq!(alice.session_id_claim, "alice ü");
        assert!(named(&"a".repeat(256)).is_ok());
        for bad in [
            "",
            "\\u0000",
            "a\\nb",
            "\\u007f",
            "\\u0085",
            &"a".repeat(257),
            &"ü".repeat(129),
        ] {
            assert_eq!(named(bad).err(), Some(Refused::SessionId), "{bad}");
        }
        let payload = format!(r#"{{"sub":"{subject}","iss":"x"}}"#);
        assert_eq!(caller(&payload).err(), Some(Refused::SessionId));
    }
}

#[test]
fn an_application_is_named_by_iss_or_by_nothing() {
    let session = |members: &str| {
        caller(&format!(r#"{{"sub":"application"{members}}}"#)).map(|caller| caller.session)
    };
    let named = |id: &str| Ok(Session::new(SessionKind::Application, "shop", id).unwrap());
    assert_eq!(session(""), named(""));
    assert_eq!(session(r#","iss":"node-sdk""#), named("node-sdk"));
    assert_eq!(
        session(r#","iss":"node-sdk","session_id":"alice""#),
        named("node-sdk")
    );
    assert_eq!(
        session(&format!(r#","iss":"{}""#, "a".repeat(257))),
        Err(Refused::SessionId)
    );
    assert_eq!(session(r#","iss":"a\u0000b""#), Err(Refused::SessionId));
    assert_eq!(
        session(r#","session_id":"a\u0000b""#),
        Err(Refused::SessionId)
    );
    assert_eq!(
        session(&format!(r#","session_id":"{}""#, "a".repeat(257))),
        Err(Refused::SessionId)
    );
}

#[test]
fn an_application_may_still_carry_a_session_id_for_the_hash() {
    let caller = caller(r#"{"sub":"application","session_id":"alice"}"#).unwrap();
    assert_eq!(caller.session_id_claim, "alice");
    assert_eq!(caller.session.id(), "");
}

#[test]
fn aud_is_a_string_or_an_array_of_strings() {
    let fit = |aud: &str| {
        parse(&format!(r#"{{"sub":"user","aud":{aud}}}"#))
            .unwrap()
            .fit(None, Some("vault"))
    };
    for aud in [r#""vault""#, r#"["vault"]"#, r#"["a","vault","b"]"#] {
        assert_eq!(fit(aud), Ok(()), "{aud}");
    }
    for aud in [
        r#""Vault""#,
        r#""vault2""#,
        "[]",
        r#"["a"]"#,
        "null",
        "1",
        r#"["vault",1]"#,
        r#"{"vault":1}"#,
    ] {
        assert_eq!(fit(aud), Err(Refused::Audience), "{aud}");
    }
    assert_eq!(
        parse(r#"{"sub":"user"}"#).unwrap().fit(None, Some("vault")),
        Err(Refused::Audience)
    );
}

#[test]
fn iss_is_compared_exactly_when_demanded() {
    let claims = parse(r#"{"sub":"user","iss":"shop"}"#).unwrap();
    assert_eq!(claims.fit(None, None), Ok(()));
    assert_eq!(claims.fit(Some("shop"), None), Ok(()));
    assert_eq!(claims.fit(Some("Shop"), None), Err(Refused::Issuer));
    assert_eq!(claims.fit(Some(""), None), Err(Refused::Issuer));
    let silent = parse(r#"{"sub":"user"}"#).unwrap();
    assert_eq!(silent.fit(Some(""), None), Err(Refused::Issuer));
}
