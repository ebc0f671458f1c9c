//! What is granted is reached, by the stage that it was granted to and by no other.

use etl_host::config::settings::Secret;
use etl_host::plan::Grants;

use super::{end, end_granted, sandbox};
use crate::support::evil;

#[test]
fn a_grant_opens_what_it_names_and_nothing_else() {
    let component = sandbox().load_file(&evil("etl_evil")).unwrap();
    let ends = |grants: &Grants| {
        ["read_clock", "read_random", "read_environment"].map(|function| {
            let end = end_granted(&component, function, "{}", grants);
            // A real clock shows another time at each run.
            end.split(": SystemTime").next().unwrap_or_default().to_owned()
        })
    };
    let nothing = ["ok, 3 rows", "ok, 3 rows, random 1, random 1, seed.7 2", "ok, 3 rows"].map(str::to_owned);
    assert_eq!(ends(&Grants::default()), nothing);

    let [clock, random, env] = ends(&Grants { clock: true, ..Grants::default() });
    assert_eq!(clock, "process: reached: reached a wall clock other than the run's start");
    assert_eq!([random, env], nothing[1..]);

    let env = vec![("REGION".to_owned(), Secret("north".into())), ("EMPTY".to_owned(), Secret(String::new()))];
    let [clock, random, env] = ends(&Grants { env, ..Grants::default() });
    assert_eq!([clock, random], nothing[..2]);
    assert_eq!(env, "process: reached: reached variable REGION, variable EMPTY");
}

#[test]
fn random_numbers_are_real_where_granted_and_the_same_for_the_same_batch_where_not() {
    let component = sandbox().load_file(&evil("etl_evil")).unwrap();
    let drawn = |grants: &Grants| super::counted(&component, "read_random", grants);
    let granted = Grants { random: true, ..Grants::default() };
    assert_ne!(drawn(&granted), drawn(&granted));
    assert_eq!(drawn(&Grants::default()), drawn(&Grants::default()));
}

#[test]
fn a_grant_of_one_stage_is_none_of_another_of_the_same_component() {
    let component = sandbox().load_file(&evil("etl_evil")).unwrap();
    let env = vec![("TOKEN".to_owned(), Secret("of the first tenant".into()))];
    let first = Grants { clock: true, random: true, env, ..Grants::default() };
    for _ in 0..3 {
        assert!(end_granted(&component, "read_environment", "{}", &first).ends_with("variable TOKEN"));
        assert_eq!(end(&component, "read_environment", "{}"), "ok, 3 rows");
        assert_eq!(end(&component, "read_clock", "{}"), "ok, 3 rows");
    }
}
