//! Help and manual pages as a reader sees them. `UPDATE_EXPECT=1 cargo test` rewrites the files.

use super::{Cli, man};
use clap::{Command, CommandFactory};
use expect_test::expect_file;

/// Columns of the help. It does not depend on the terminal that runs the test.
const WIDTH: usize = 80;

/// Lines that fit one screen.
const SCREEN: usize = 40;

fn command() -> Command {
    Cli::command().term_width(WIDTH)
}

#[test]
fn help_matches_the_snapshots() {
    let mut root = command();
    expect_file!["snapshots/short-help.txt"].assert_eq(&root.render_help().to_string());
    expect_file!["snapshots/help.txt"].assert_eq(&root.render_long_help().to_string());
    root.build();
    for command in root
        .get_subcommands_mut()
        .filter(|command| command.get_name() != "help")
    {
        let path = format!("snapshots/help-{}.txt", command.get_name());
        let text = command.clone().term_width(WIDTH).render_long_help();
        expect_file![path].assert_eq(&text.to_string());
    }
}

#[test]
fn the_short_help_fits_one_screen() {
    let text = command().render_help().to_string();
    assert!(text.lines().count() <= SCREEN, "{text}");
}

#[test]
fn the_manual_page_matches_the_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    man::write(folder.path().to_owned()).unwrap();
    let page = std::fs::read_to_string(folder.path().join("kubectl-svc-reach.1")).unwrap();
    expect_file!["snapshots/kubectl-svc-reach.1"].assert_eq(&page);
}
