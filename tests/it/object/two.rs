//! Two machines that write to one place at once.

use std::process::Stdio;
use std::sync::atomic::Ordering;

use crate::servers::s3::Server;
use crate::support::Pipeline;

fn pipeline(server: &Server, name: &str) -> Pipeline {
    Pipeline::new().with("rows.csv", format!("id,kind\n1,{name}\n2,{name}\n3,both\n")).with("extract.yaml", "path: rows.csv\n").with(
        "load.yaml",
        format!(
            "type: cloud_storage\nstorage: {{provider: s3, bucket: rows, path: out/, credentials: {}}}\nformat: csv\npartition_by: [kind]\n",
            server.credentials()
        ),
    )
}

/// Runs both, whose commits begin at one time; answers what they said.
fn run_both(server: &Server, pipelines: [&Pipeline; 2]) -> Vec<String> {
    server.front.meeting.store(2, Ordering::SeqCst);
    let start = |pipeline: &Pipeline| {
        let mut command = pipeline.command(&["run"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let answer = |child: std::process::Child| {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        said
    };
    pipelines.map(start).into_iter().map(answer).collect()
}

#[test]
fn of_two_runs_that_replace_the_same_prefix_the_later_one_stays_whole_and_nothing_of_the_other() {
    for there_before in [false, true] {
        let server = Server::start();
        server.make_bucket("rows");
        if there_before {
            pipeline(&server, "old").run(0);
        }
        let (first, second) = (pipeline(&server, "north"), pipeline(&server, "south"));
        let said = run_both(&server, [&first, &second]);
        let objects = server.objects("rows");
        let names: Vec<&str> = objects.keys().map(|key| key.split_once("/part_").unwrap().0).collect();
        assert!(names == ["out/kind=both", "out/kind=north"] || names == ["out/kind=both", "out/kind=south"], "{names:?}\n{said:?}");
        let part = |key: &String| key.split_once("/part_").unwrap().1.split_once('-').unwrap().0.to_owned();
        assert_eq!(part(objects.keys().next().unwrap()), part(objects.keys().last().unwrap()));
        assert_eq!(server.uploads("rows"), 0);
        // Both were alive all the time.
        assert!(said.iter().all(|said| !said.contains("interrupted")), "{said:?}");
    }
}
