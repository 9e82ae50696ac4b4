//! The store against a model that keeps whole paths in a map and scans it for everything.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::tree::Node;
use super::*;

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    value: Option<Bytes>,
    expiration: Option<WallTime>,
    modified: u64,
    created: u64,
}

/// Paths to nodes; the root is not among them.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    index: u64,
    nodes: BTreeMap<Vec<u8>, Entry>,
}

impl Model {
    fn below(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let prefix = [path, b"/"].concat();
        self.nodes.keys().filter(|key| key.starts_with(&prefix)).cloned().collect()
    }

    /// The first obstacle on the way to a path: a missing component, or a file with more behind.
    fn obstacle(&self, path: &Path) -> Option<(ErrorKind, Vec<u8>)> {
        for place in path.lineage().skip(1) {
            match self.nodes.get(place) {
                None => return Some((ErrorKind::KeyNotFound, place.to_vec())),
                Some(entry) if entry.value.is_some() && place != path.as_bytes() => {
                    return Some((ErrorKind::NotDirectory, place.to_vec()));
                }
                Some(_) => {}
            }
        }
        None
    }

    fn put(&mut self, path: &Path, entry: Entry) {
        let (modified, created) = (entry.modified, entry.created);
        let parent = Entry { value: None, expiration: None, modified, created };
        for place in path.lineage().skip(1) {
            self.nodes.entry(place.to_vec()).or_insert_with(|| parent.clone());
        }
        self.nodes.insert(path.as_bytes().to_vec(), entry);
    }

    fn remove(&mut self, path: &[u8]) {
        self.index += 1;
        self.nodes.remove(path);
        for key in self.below(path) {
            self.nodes.remove(&key);
        }
    }

    /// The refusal, by the order of etcd's checks.
    fn refusal(&self, write: &Write) -> Option<ErrorKind> {
        let (path, create) = match write {
            Write::Set { path, .. } => (path, true),
            Write::Create { path, in_order, .. } => {
                let file = |path: &Path| self.nodes.get(path.as_bytes()).cloned();
                let blocked = file(path).is_some_and(|entry| entry.value.is_some());
                if *in_order && (blocked || path.is_root()) {
                    return blocked.then_some(ErrorKind::NotDirectory);
                }
                (path, true)
            }
            Write::Update { path, .. }
            | Write::CompareAndSwap { path, .. }
            | Write::Delete { path, .. }
            | Write::CompareAndDelete { path, .. } => (path, false),
        };
        if path.is_root() {
            let quirk = matches!(write, Write::CompareAndDelete { .. });
            return Some(if quirk { ErrorKind::NotFile } else { ErrorKind::RootReadOnly });
        }
        let refreshes = matches!(write, Write::Set { refresh: true, .. });
        match self.obstacle(path) {
            Some((ErrorKind::KeyNotFound, _)) if create && !refreshes => return None,
            Some((kind, _)) => return Some(kind),
            None => {}
        }
        let entry = self.nodes.get(path.as_bytes()).expect("there is no obstacle");
        let is_directory = entry.value.is_none();
        let differs = |condition: &Condition| {
            let value = condition.value.is_some() && condition.value != entry.value;
            value || condition.index.is_some_and(|index| index != entry.modified)
        };
        match write {
            Write::Create { in_order: true, .. } => None,
            Write::Create { .. } => Some(ErrorKind::NodeExists),
            Write::Set { .. } => is_directory.then_some(ErrorKind::NotFile),
            Write::Update { value, .. } => {
                (is_directory && !value.is_empty()).then_some(ErrorKind::NotFile)
            }
            Write::Delete { directory, recursive, .. } if is_directory => {
                let full = !self.below(path.as_bytes()).is_empty();
                match (directory, recursive) {
                    (false, false) => Some(ErrorKind::NotFile),
                    (true, false) => full.then_some(ErrorKind::DirectoryNotEmpty),
                    (_, true) => None,
                }
            }
            Write::Delete { .. } => None,
            Write::CompareAndSwap { .. } | Write::CompareAndDelete { .. } if is_directory => {
                Some(ErrorKind::NotFile)
            }
            Write::CompareAndSwap { condition, .. } | Write::CompareAndDelete { condition, .. } => {
                differs(condition).then_some(ErrorKind::CompareFailed)
            }
        }
    }

    fn apply(&mut self, write: &Write, stamp: WallTime) -> Option<ErrorKind> {
        if let Some(kind) = self.refusal(write) {
            return Some(kind);
        }
        let index = self.index + 1;
        let time = |ttl: &Option<u64>| {
            ttl.map(|ttl| WallTime(stamp.0 + SECOND * i64::try_from(ttl).expect("a small ttl")))
        };
        match write {
            Write::Set { path, value, directory, ttl, .. } => {
                let value = (!directory).then(|| value.clone());
                let expiration = time(ttl);
                self.put(path, Entry { value, expiration, modified: index, created: index });
            }
            Write::Create { path, value, directory, ttl, in_order } => {
                let value = (!directory).then(|| value.clone());
                let name = format!("{index:020}");
                let child = path.child(name.as_bytes());
                let path = if *in_order { &child } else { path };
                let expiration = time(ttl);
                self.put(path, Entry { value, expiration, modified: index, created: index });
            }
            Write::Update { path, value, ttl, .. }
            | Write::CompareAndSwap { path, value, ttl, .. } => {
                let entry = self.nodes.get_mut(path.as_bytes()).expect("it was not refused");
                if let Some(old) = &mut entry.value {
                    *old = value.clone();
                    entry.modified = index;
                }
                entry.expiration = time(ttl);
            }
            Write::Delete { path, .. } | Write::CompareAndDelete { path, .. } => {
                self.remove(path.as_bytes());
                return None;
            }
        }
        self.index = index;
        None
    }

    fn expire(&mut self, cutoff: WallTime) {
        loop {
            let due = self.nodes.iter().filter_map(|(key, entry)| {
                entry.expiration.filter(|time| *time <= cutoff).map(|time| (time, key))
            });
            let Some(first) = due.min().map(|(_, key)| key.clone()) else { return };
            self.remove(&first);
        }
    }

    /// The nodes of a store, as the model would have them.
    fn of(store: &Store) -> Self {
        let mut nodes = BTreeMap::new();
        let mut rest = Vec::from([Path::root()]);
        while let Some(directory) = rest.pop() {
            let id = match store.tree.walk(&directory) {
                Walk::Root => DirectoryId::ROOT,
                Walk::Found(_, Node { content: Content::Directory(id), .. }) => *id,
                other => panic!("{directory:?} was listed, but is {other:?}"),
            };
            for (name, node) in store.tree.entries(id) {
                let path = directory.child(name);
                let entry = Entry {
                    value: node.value().cloned(),
                    expiration: node.expiration,
                    modified: node.modified_index,
                    created: node.created_index,
                };
                nodes.insert(path.as_bytes().to_vec(), entry);
                if node.is_directory() {
                    rest.push(path);
                }
            }
        }
        Self { index: store.index, nodes }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write(Write),
    /// The clock goes on by as many seconds, then everything due expires.
    Expire(i64),
    Touch,
}

fn paths() -> impl Strategy<Value = Path> {
    let name = prop_oneof![Just("a"), Just("b"), Just("_h"), Just("a-")];
    proptest::collection::vec(name, 0..4).prop_map(|names| path(&names.join("/")))
}

fn writes() -> impl Strategy<Value = Write> {
    let value = prop_oneof![Just(""), Just("x"), Just("y")].prop_map(Bytes::from);
    let ttl = proptest::option::weighted(0.3, 0_u64..5);
    let parts = (paths(), value, ttl, any::<bool>(), any::<bool>(), 0..8_u8, 0..20_u64);
    parts.prop_map(|(path, value, ttl, directory, recursive, kind, index)| {
        let condition = condition(if recursive { "x" } else { "" }, index.max(1));
        match kind {
            0..=2 => Write::Set { path, value, directory, ttl, refresh: false },
            3 => Write::Create { path, value, directory, ttl, in_order: recursive },
            4 => Write::Update { path, value, ttl, refresh: false },
            5 => Write::CompareAndSwap { path, value, ttl, refresh: false, condition },
            6 => Write::Delete { path, directory, recursive },
            _ => Write::CompareAndDelete { path, condition },
        }
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => writes().prop_map(Step::Write),
        1 => (0..3_i64).prop_map(Step::Expire),
        1 => Just(Step::Touch),
    ];
    proptest::collection::vec(step, 1..120)
}

fn perform(store: &mut Store, clock: &mut i64, step: &Step, slice: usize) -> Option<ErrorKind> {
    match step {
        Step::Write(write) => return store.apply(write, at(*clock)).err().map(|error| error.kind),
        Step::Expire(seconds) => {
            *clock += seconds;
            while !store.expire(at(*clock), slice) {}
        }
        Step::Touch => drop(store.touch()),
    }
    None
}

proptest! {
    #[test]
    fn the_store_does_what_the_model_does(steps in steps(), slice in 1..9_usize) {
        let (mut store, mut model, mut clock) = (Store::new(), Model::default(), 0);
        for step in &steps {
            let refused = perform(&mut store, &mut clock, step, slice);
            match step {
                Step::Write(write) => prop_assert_eq!(refused, model.apply(write, at(clock))),
                Step::Expire(_) => model.expire(at(clock)),
                Step::Touch => model.index += 1,
            }
            prop_assert_eq!(&Model::of(&store), &model);
            store.check();
            store.work(slice);
        }
    }

    #[test]
    fn slices_leave_no_trace(steps in steps(), slice in 1..9_usize) {
        let (mut sliced, mut whole) = (Store::new(), Store::new());
        let (mut clock, mut other_clock) = (0, 0);
        for step in &steps {
            perform(&mut sliced, &mut clock, step, slice);
            perform(&mut whole, &mut other_clock, step, usize::MAX);
            sliced.work(slice);
            prop_assert_eq!(sliced.hash(), whole.hash());
            prop_assert_eq!(sliced.bytes(), whole.bytes());
        }
        while sliced.work(slice) {}
        prop_assert_eq!(
            read(&mut sliced, "/", true).map(|event| show(&event.node)),
            read(&mut whole, "/", true).map(|event| show(&event.node))
        );
    }

    #[test]
    fn a_checkpoint_is_of_its_beginning(
        before in steps(),
        during in steps(),
        slice in 1..9_usize,
    ) {
        let (mut store, mut clock) = (Store::new(), 0);
        for step in &before {
            perform(&mut store, &mut clock, step, slice);
        }
        let (model, hash, bytes) = (Model::of(&store), store.hash(), store.bytes());
        let mut items = Vec::new();
        store.begin_checkpoint();
        for step in &during {
            perform(&mut store, &mut clock, step, slice);
            store.work(slice);
            store.next_items(slice, &mut items);
        }
        while store.next_items(slice, &mut items) > 0 {}
        store.end_checkpoint();
        let loaded = load(items);
        prop_assert_eq!(&Model::of(&loaded), &model);
        prop_assert_eq!(loaded.hash(), hash);
        prop_assert_eq!(loaded.bytes(), bytes);
    }

    #[test]
    fn a_loaded_store_goes_on_as_the_first(before in steps(), after in steps()) {
        let (mut store, mut clock) = (Store::new(), 0);
        for step in &before {
            perform(&mut store, &mut clock, step, 3);
        }
        let mut loaded = reloaded(&mut store, 4);
        let mut other_clock = clock;
        for step in &after {
            let refused = perform(&mut store, &mut clock, step, 3);
            prop_assert_eq!(perform(&mut loaded, &mut other_clock, step, 5), refused);
            prop_assert_eq!(loaded.hash(), store.hash());
        }
        let watch = Watch { path: Path::root(), recursive: true, stream: false, wait_index: Some(1) };
        let (one, other) = (store.watch(WatchId(1), &watch), loaded.watch(WatchId(1), &watch));
        prop_assert_eq!(one, other);
        prop_assert_eq!(store.next_heard(WatchId(1)), loaded.next_heard(WatchId(1)));
    }

    #[test]
    fn no_bytes_make_a_loader_panic(bytes: Vec<u8>) {
        let mut loader = Loader::new();
        if loader.load(&mut Reader::new(bytes.into())).is_ok() {
            drop(loader.finish());
        }
    }
}
