//! Who hears what, and when.

use super::*;

fn watch(key: &str, recursive: bool, stream: bool, since: u64) -> Watch {
    Watch { path: path(key), recursive, stream, wait_index: (since > 0).then_some(since) }
}

/// Everything that a watch has to say now.
fn pull(store: &mut Store, id: u64) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(heard) = store.next_heard(WatchId(id)) {
        match heard {
            Heard::Event(event) => told.push(tell(&Ok(event))),
            Heard::End => {
                told.push("End".into());
                break;
            }
        }
    }
    told
}

#[test]
fn places_decide_who_hears_a_change() {
    // Watched path, recursive, whether it hears a set of the key.
    let rows = [
        ("/a/b", false, "/a/b", true),
        ("/a/b", true, "/a/b", true),
        ("/a", false, "/a/b", false),
        ("/a", true, "/a/b", true),
        ("/", true, "/a/b", true),
        ("/", false, "/a/b", false),
        ("/a/b/c", true, "/a/b", false),
        ("/a/bb", true, "/a/b", false),
        ("/a", true, "/a/_b/c", false),
        ("/", true, "/_a", false),
        ("/a/_b", true, "/a/_b/c", true),
        ("/a/_b/c", false, "/a/_b/c", true),
        ("/a", true, "/a/b_", true),
    ];
    for (watched, recursive, key, hears) in rows {
        let mut store = Store::new();
        store.watch(WatchId(1), &watch(watched, recursive, false, 0)).expect("from now on");
        store.apply(&set(key, None), NOON).expect("a set succeeds");
        assert_eq!(store.ready() == Some(WatchId(1)), hears, "{watched} {recursive} {key}");
        assert_eq!(pull(&mut store, 1).len(), if hears { 2 } else { 0 });
        store.check();
    }
}

#[test]
fn long_polls_end_with_their_event_and_streams_go_on() {
    let mut store = Store::new();
    store.watch(WatchId(1), &watch("/a", false, false, 0)).expect("from now on");
    store.watch(WatchId(2), &watch("/a", false, true, 0)).expect("from now on");
    assert_eq!(store.statistics().watchers, 2);
    for write in [set("/a=1", None), refresh("/a", 9), set("/a=2", None)] {
        store.apply(&write, NOON).expect("a set succeeds");
    }
    assert_eq!(store.statistics().watchers, 1, "the long poll is done");
    assert_eq!(pull(&mut store, 1), ["Set /a=1 #1/1", "End"]);
    let second = "Set /a=2 #3/3 <- /a=1 #2/2 !9";
    assert_eq!(pull(&mut store, 2), ["Set /a=1 #1/1", second], "refreshes are silent");
    store.cancel(WatchId(2));
    assert_eq!(store.statistics().watchers, 0);
    store.check();
}

#[test]
fn removing_a_directory_tells_watchers_of_what_was_in_it() {
    let mut store = store_of(&[set("/d/sub/x=0", None)]);
    let watched = ["/d/sub/x", "/d/sub", "/d/other", "/d-", "/d"];
    for (id, key) in (1..).zip(watched) {
        store.watch(WatchId(id), &watch(key, false, true, 0)).expect("from now on");
    }
    store.watch(WatchId(9), &watch("/", true, true, 0)).expect("from now on");
    store.apply(&delete("/d", false, true), NOON).expect("the directory is there");
    let event = "Delete /d/ #2/1 <- /d/ #1/1";
    assert_eq!(pull(&mut store, 1), [event]);
    assert_eq!(pull(&mut store, 2), [event]);
    assert_eq!(pull(&mut store, 3), [""; 0], "what never was is not removed");
    assert_eq!(pull(&mut store, 4), [""; 0], "a longer name is not below");
    assert_eq!(pull(&mut store, 5), [event, event], "etcd tells the key's own streams twice");
    assert_eq!(pull(&mut store, 9), [event]);
}

#[test]
fn the_history_answers_by_its_own_rules() {
    let mut store = store_of(&[
        set("/dir/x=1", None),
        delete("/dir", false, true),
        set("/f=1", None),
        refresh("/f", 9),
        set("/p/_h=1", None),
    ]);
    let removal = "Delete /dir/ #2/1 <- /dir/ #1/1";
    let rows = [
        (watch("/dir/x", false, false, 1), "Set /dir/x=1 #1/1"),
        (watch("/dir", true, false, 1), "Set /dir/x=1 #1/1"),
        (watch("/dir/never/was", false, false, 2), removal),
        (watch("/dirty", false, false, 2), removal),
        (watch("/f", false, true, 3), "Set /f=1 #3/3"),
        (watch("/p", true, false, 4), "Set /p/_h=1 #5/5"),
        (watch("/", true, false, 3), "Set /f=1 #3/3"),
    ];
    for (id, (watch, expected)) in (1..).zip(rows) {
        store.watch(WatchId(id), &watch).expect("the history goes back to the start");
        assert_eq!(store.ready(), Some(WatchId(id)));
        assert_eq!(pull(&mut store, id), [expected, "End"], "{watch:?}");
    }
    store.watch(WatchId(99), &watch("/f", false, false, 4)).expect("only a refresh is there");
    assert_eq!(store.statistics().watchers, 1);
}

#[test]
fn watches_wait_for_the_index_they_name() {
    let mut store = Store::new();
    store.watch(WatchId(1), &watch("/a", false, false, 3)).expect("the future is no error");
    for value in 1..=3 {
        assert_eq!(store.ready(), None);
        store.apply(&set(&format!("/a={value}"), None), NOON).expect("a set succeeds");
    }
    assert_eq!(pull(&mut store, 1), ["Set /a=3 #3/3 <- /a=2 #2/2", "End"]);
}

#[test]
fn the_window_is_of_a_thousand_indices() {
    let mut store = Store::new();
    for _ in 0..1_001 {
        store.touch();
    }
    let error = store.watch(WatchId(1), &watch("/a", false, false, 1)).expect_err("cleared");
    assert_eq!(
        tell(&Err(error)),
        "EventIndexCleared the requested history has been cleared [2/1] @1001"
    );
    store.watch(WatchId(2), &watch("/a", false, false, 2)).expect("the oldest is still there");
}

#[test]
fn a_slow_stream_gets_what_was_queued_and_then_its_end() {
    let mut store = Store::new();
    store.watch(WatchId(1), &watch("/a", false, true, 0)).expect("from now on");
    for _ in 0..150 {
        store.apply(&set("/a=1", None), NOON).expect("a set succeeds");
        store.check();
    }
    assert_eq!(store.statistics().watchers, 0);
    assert_eq!(store.ready(), Some(WatchId(1)));
    assert_eq!(store.ready(), None, "a watch is announced once");
    store.defer(WatchId(1));
    assert_eq!(store.ready(), Some(WatchId(1)));
    let told = pull(&mut store, 1);
    assert_eq!(told.len(), 101);
    assert_eq!(told.last().map(String::as_str), Some("End"));
}
