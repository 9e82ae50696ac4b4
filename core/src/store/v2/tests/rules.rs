//! What each write and read does.

use super::*;

/// Applies each write in turn and compares what is told of it.
fn play(store: &mut Store, rows: &[(Write, &str)]) {
    for (write, expected) in rows {
        let before = (store.index(), store.hash());
        let outcome = store.apply(write, NOON);
        assert_eq!(tell(&outcome), *expected, "{write:?}");
        if outcome.is_err() {
            assert_eq!((store.index(), store.hash()), before, "a refusal changes nothing");
        } else {
            assert_eq!(store.index(), before.0 + 1, "a change takes one index");
        }
        store.check();
    }
}

#[test]
fn set_creates_parents_and_resets_what_it_replaces() {
    play(
        &mut Store::new(),
        &[
            (set("/a/b/c=1", Some(9)), "Set /a/b/c=1 #1/1 !9"),
            (set("/a/b/c=2", None), "Set /a/b/c=2 #2/2 <- /a/b/c=1 #1/1 !9"),
            (set("/a/b/c/", None), "Set /a/b/c/ #3/3 <- /a/b/c=2 #2/2"),
            (set("/a/b/c=3", None), "NotFile /a/b/c @3"),
            (set("/a/b/c/", None), "NotFile /a/b/c @3"),
            (set("/f=1", None), "Set /f=1 #4/4"),
            (set("/f/g/h=1", None), "NotDirectory /f @4"),
            (set("/=1", None), "RootReadOnly / @4"),
        ],
    );
}

#[test]
fn create_refuses_what_exists_and_names_in_order() {
    play(
        &mut Store::new(),
        &[
            (create("/q/a=1", false), "Create /q/a=1 #1/1"),
            (create("/q/a=2", false), "NodeExists /q/a @1"),
            (create("/q", false), "NodeExists /q @1"),
            (create("/q=x", true), "Create /q/00000000000000000002=x #2/2"),
            (create("/=x", true), "Create /00000000000000000003=x #3/3"),
            (create("/q/a=x", true), "NotDirectory /q/a @3"),
            (create("/", false), "RootReadOnly / @3"),
            (create("/d/", false), "Create /d/ #4/4"),
        ],
    );
}

#[test]
fn update_keeps_the_creation_and_a_directory_its_modification() {
    let mut store = Store::new();
    play(
        &mut store,
        &[
            (set("/a=1", Some(9)), "Set /a=1 #1/1 !9"),
            (update("/a=2", None), "Update /a=2 #2/1 <- /a=1 #1/1 !9"),
            (update("/a", Some(5)), "Update /a= #3/1 !5 <- /a=2 #2/1"),
            (update("/none/x", None), "KeyNotFound /none @3"),
            (update("/a/x", None), "NotDirectory /a @3"),
            (set("/d/", None), "Set /d/ #4/4"),
            (update("/d=v", None), "NotFile /d @4"),
            (update("/d", Some(7)), "Update /d/ #5/4 !7 <- /d/ #4/4"),
            (update("/d", None), "Update /d/ #6/4 <- /d/ #4/4 !7"),
            (update("/=v", None), "RootReadOnly / @6"),
        ],
    );
    assert_eq!(tell(&read(&mut store, "/d", false)), "Get /d/ #4/4");
}

#[test]
fn comparisons_tell_what_differs() {
    play(
        &mut Store::new(),
        &[
            (set("/a=1", None), "Set /a=1 #1/1"),
            (swap("/a=2", "9", 0), "CompareFailed [9 != 1] @1"),
            (swap("/a=2", "", 9), "CompareFailed [9 != 1] @1"),
            (swap("/a=2", "1", 9), "CompareFailed [9 != 1] @1"),
            (swap("/a=2", "9", 8), "CompareFailed [9 != 1] [8 != 1] @1"),
            (swap("/a=2", "1", 1), "CompareAndSwap /a=2 #2/1 <- /a=1 #1/1"),
            (swap("/b/c=2", "1", 1), "KeyNotFound /b @2"),
            (delete_if("/a", "1", 0), "CompareFailed [1 != 2] @2"),
            (delete_if("/a", "", 2), "CompareAndDelete /a #3/1 <- /a=2 #2/1"),
            (set("/d/", None), "Set /d/ #4/4"),
            (swap("/d=2", "1", 0), "NotFile /d @4"),
            (delete_if("/d", "1", 0), "NotFile /d @4"),
            (swap("/=2", "1", 0), "RootReadOnly / @4"),
            (delete_if("/", "1", 0), "NotFile  @4"),
        ],
    );
}

#[test]
fn deletes_of_directories_must_be_asked_for() {
    play(
        &mut Store::new(),
        &[
            (set("/d/_hidden=1", None), "Set /d/_hidden=1 #1/1"),
            (delete("/d", false, false), "NotFile /d @1"),
            (delete("/d", true, false), "DirectoryNotEmpty /d @1"),
            (delete("/d", false, true), "Delete /d/ #2/1 <- /d/ #1/1"),
            (delete("/d", false, true), "KeyNotFound /d @2"),
            (set("/e/", None), "Set /e/ #3/3"),
            (delete("/e", true, false), "Delete /e/ #4/3 <- /e/ #3/3"),
            (set("/f=1", None), "Set /f=1 #5/5"),
            (delete("/f", true, true), "Delete /f #6/5 <- /f=1 #5/5"),
            (delete("/", true, true), "RootReadOnly / @6"),
        ],
    );
}

#[test]
fn refresh_keeps_the_value() {
    play(
        &mut Store::new(),
        &[
            (refresh("/a", 5), "KeyNotFound /a @0"),
            (set("/a=keep", Some(5)), "Set /a=keep #1/1 !5"),
            (refresh("/a", 9), "Set /a=keep #2/2 !9 <- /a=keep #1/1 !5"),
            (set("/d/", None), "Set /d/ #3/3"),
            (refresh("/d", 9), "NotFile /d @3"),
        ],
    );
}

#[test]
fn listings_are_sorted_and_hide_underscores() {
    let mut store = store_of(&[
        set("/d/b=1", None),
        set("/d/a/x=1", None),
        set("/d/a-=1", None),
        set("/d/_h/y=1", None),
    ]);
    let rows = [
        ("/", false, "Get // #0/0 [/d/ #1/1]"),
        ("/d", false, "Get /d/ #1/1 [/d/a/ #2/2, /d/a-=1 #3/3, /d/b=1 #1/1]"),
        ("/d/a", true, "Get /d/a/ #2/2 [/d/a/x=1 #2/2]"),
        ("/d", true, "Get /d/ #1/1 [/d/a/ #2/2 [/d/a/x=1 #2/2], /d/a-=1 #3/3, /d/b=1 #1/1]"),
        ("/d/_h", false, "Get /d/_h/ #4/4 [/d/_h/y=1 #4/4]"),
        ("/d/b/c", false, "NotDirectory /d/b @4"),
        ("/x/y", false, "KeyNotFound /x @4"),
    ];
    for (key, recursive, expected) in rows {
        assert_eq!(tell(&read(&mut store, key, recursive)), expected);
    }
}

#[test]
fn ttls_wrap_around_as_in_go() {
    let rows = [
        (0, Some(NOON.0)),
        (100, Some(NOON.0 + 100 * SECOND)),
        // The sum overflows to a time before 2000: no expiration on set.
        (9_223_372_037, None),
        // All ones is one second ago.
        (u64::MAX, Some(NOON.0 - SECOND)),
    ];
    for (ttl, expected) in rows {
        let mut store = Store::new();
        let event = store.apply(&set("/a=1", Some(ttl)), NOON).expect("a set succeeds");
        assert_eq!(event.node.expiration.map(|time| time.0), expected, "ttl {ttl}");
    }
}

#[test]
fn expiry_takes_an_index_for_each_node_and_none_for_what_is_below() {
    let mut store = store_of(&[
        set("/d/", Some(2)),
        set("/d/longer=1", Some(100)),
        set("/d/sooner=1", Some(1)),
        set("/other=1", Some(2)),
    ]);
    assert!(store.expire(at(0), 10), "nothing is due");
    assert_eq!(store.index(), 4);
    assert!(!store.expire(at(2), 1), "one is done, two are left");
    assert_eq!(tell(&read(&mut store, "/d", false)), "Get /d/ #1/1 !2 [/d/longer=1 #2/2 !100]");
    assert!(store.expire(at(2), 10));
    assert_eq!(store.index(), 7, "sooner, the directory, other");
    assert_eq!(tell(&read(&mut store, "/", true)), "Get // #0/0");
    assert_eq!(store.statistics().expirations, 3);
    while store.work(1) {}
    store.check();
    assert_eq!(store.next_deadline(), None, "longer's deadline went with its directory");
}

#[test]
fn a_removed_directory_frees_its_memory_in_slices() {
    let mut store = Store::new();
    for number in 0..50 {
        let key = format!("/d/{}/{number}=x", number % 7);
        store.apply(&set(&key, Some(60)), NOON).expect("a set succeeds");
    }
    let empty = store_of(&[]).tree.totals();
    store.apply(&delete("/d", false, true), NOON).expect("the directory is there");
    assert_eq!(store.tree.totals(), empty, "the state is rid of it at once");
    store.apply(&set("/d/3/new=1", None), NOON).expect("the name is free");
    let hash = store.hash();
    let mut slices = 0;
    while store.work(5) {
        slices += 1;
        store.check();
        assert_eq!(store.hash(), hash);
    }
    assert!(slices > 5, "fifty nodes do not fit into five slices of five");
    assert_eq!(tell(&read(&mut store, "/d/3", true)), "Get /d/3/ #52/52 [/d/3/new=1 #52/52]");
}

#[test]
fn statistics_count_as_etcd_counts() {
    let mut store = store_of(&[set("/f=1", None), set("/d/", None)]);
    let refused = [
        create("/f/x", false),
        create("/f", false),
        update("/d=v", None),
        update("/", None),
        update("/none", None),
        swap("/=1", "1", 0),
        swap("/d=1", "1", 0),
        delete("/", false, false),
        delete("/d", false, false),
        delete_if("/d", "1", 0),
        delete_if("/f", "9", 0),
        delete_if("/none", "9", 0),
    ];
    for write in &refused {
        assert!(store.apply(write, NOON).is_err(), "{write:?}");
    }
    let counted = store.statistics();
    let tally = |success, fail| Tally { success, fail };
    assert_eq!(counted.sets, tally(2, 1), "a create's walk that ends at a file counts as a set");
    assert_eq!(counted.creates, tally(0, 2));
    assert_eq!(counted.updates, tally(2, 1));
    assert_eq!(counted.compare_and_swaps, tally(1, 1));
    assert_eq!(counted.deletes, tally(1, 1));
    assert_eq!(counted.compare_and_deletes, tally(2, 1));
}

#[test]
fn hashes_tell_states_apart_and_not_the_ways_there() {
    let mut one = store_of(&[set("/a=1", None), set("/b=2", None), delete("/a", false, false)]);
    let mut other = store_of(&[set("/c=1", None), set("/b=2", None), delete("/c", false, false)]);
    assert_eq!(one.hash(), other.hash());
    one.touch();
    assert_ne!(one.hash(), other.hash(), "the index counts");
    other.touch();
    assert_eq!(one.hash(), other.hash());
    for (first, second) in [
        (set("/x=1", None), set("/x=2", None)),
        (set("/x=1", None), set("/y=1", None)),
        (set("/x=1", None), set("/x=1", Some(1))),
        (set("/x", None), set("/x/", None)),
        (create("/z=1", false), create("/z/z=1", false)),
    ] {
        let (mut left, mut right) = (Store::new(), Store::new());
        left.apply(&first, NOON).expect("a fresh store refuses nothing");
        right.apply(&second, NOON).expect("a fresh store refuses nothing");
        assert_ne!(left.hash(), right.hash(), "{first:?} and {second:?}");
    }
}
