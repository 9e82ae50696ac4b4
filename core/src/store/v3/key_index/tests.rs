use super::*;
use bytes::Bytes;
use proptest::prelude::*;

fn at(main: i64, sub: u32) -> Revision {
    Revision { main, sub }
}

#[test]
fn an_entry_is_four_words() {
    assert_eq!(size_of::<Versions>(), 2 * size_of::<usize>());
    assert_eq!(size_of::<Record>(), 2 * size_of::<usize>());
}

#[test]
fn the_newest_change_at_a_place_is_found() {
    let mut versions = Versions::one(at(2, 0));
    assert_eq!(versions.newest_at(at(1, 9)), None);
    assert_eq!(versions.before(at(2, 0)), None);
    versions.put(at(3, 1));
    versions.end(at(5, 0));
    let rows = [
        (at(1, 9), None, None),
        (at(2, 0), Some(at(2, 0)), None),
        (at(3, 0), Some(at(2, 0)), Some(at(2, 0))),
        (at(3, 1), Some(at(3, 1)), Some(at(2, 0))),
        (at(4, 0), Some(at(3, 1)), Some(at(3, 1))),
        (at(9, 0), Some(at(5, 0)), Some(at(5, 0))),
    ];
    for (place, newest, before) in rows {
        assert_eq!(versions.newest_at(place), newest, "{place:?}");
        assert_eq!(versions.before(place), before, "{place:?}");
    }
    assert_eq!(versions.iter().count(), 3);
}

fn any_key() -> impl Strategy<Value = Bytes> {
    // Long common fronts, keys that continue others, zeros at the end: what heads may confuse.
    prop::collection::vec(prop_oneof![Just(0_u8), Just(b'a'), Just(b'b')], 1..14)
        .prop_map(Bytes::from)
}

proptest! {
    /// The index is an ordered map.
    #[test]
    fn keys_are_found_in_their_order(
        keys in prop::collection::vec(any_key(), 0..60),
        ascending: bool,
        asked in prop::collection::vec((any_key(), any_key()), 1..6),
    ) {
        let mut model: BTreeMap<Bytes, i64> = BTreeMap::new();
        model.extend(keys.into_iter().zip(2..));
        let mut index = KeyIndex::default();
        let mut order: Vec<(&Bytes, &i64)> = model.iter().collect();
        if !ascending {
            order.sort_by_key(|(_, main)| **main);
        }
        for (key, main) in order {
            let version = Record::new(*main, *main, 1, 0, key, b"");
            if ascending {
                index.push(version, Versions::one(at(*main, 0)));
            } else {
                index.insert(version, Versions::one(at(*main, 0)));
            }
            index.check();
        }
        prop_assert_eq!(index.len(), model.len());
        for (key, main) in model.iter().filter(|(_, main)| *main % 3 == 0) {
            let mut changes = index.changes(key).expect("the key was inserted");
            changes.end(at(1_000, 0));
            if main % 2 == 0 {
                changes.put(at(1_001, 0));
            }
        }
        index.check();
        for (a, b) in asked {
            prop_assert_eq!(
                index.versions(&a).and_then(|versions| versions.iter().next()).map(|at| at.main),
                model.get(&a).copied()
            );
            let last = Record::new(1, 1, 1, 0, &b, b"");
            for interval in [
                Interval::Key(a.clone()),
                Interval::Between(a.clone(), b.clone()),
                Interval::From(a.clone()),
            ] {
                let after = contains(&interval, &b).then_some(&last);
                let expected: Vec<Vec<u8>> = model
                    .keys()
                    .filter(|key| contains(&interval, key))
                    .filter(|key| after.is_none() || **key > b)
                    .map(|key| key.to_vec())
                    .collect();
                let found: Vec<Vec<u8>> =
                    index.range(&interval, after).map(|(key, _)| key.key().to_vec()).collect();
                prop_assert_eq!(&found, &expected);
                let found: Vec<Vec<u8>> =
                    index.range_mut(&interval, after).map(|(key, _)| key.key().to_vec()).collect();
                prop_assert_eq!(&found, &expected);
                let keys = index.range(&interval, None);
                let alive = keys.filter(|(_, versions)| !versions.is_ended()).count();
                let counted = index.count(&interval, usize::MAX);
                prop_assert_eq!(counted.map(|(count, _)| count), Some(alive));
            }
        }
    }
}
