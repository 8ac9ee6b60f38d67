//! A bounded map in which what is used stays.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::{BuildHasher as _, Hash},
    sync::{Mutex, MutexGuard, PoisonError},
};

// Seeded anew by every process, and fast on keys that are long: texts of certificates.
use foldhash::quality::RandomState;

/// Enough that two cores seldom wait for one another.
const SHARDS: usize = 16;

/// At most `capacity` entries, found by `K`. Each shard has two generations: what is
/// looked up moves into the younger one, and when that is half the capacity, the
/// older one goes and the younger one takes its place. So an entry that nobody asks
/// for goes after at most `capacity` others came, every operation costs the same
/// however full the cache is, and no list of uses has to be kept.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    shards: [Mutex<Shard<K, V>>; SHARDS],
    generation: usize,
    hasher: RandomState,
}

#[derive(Debug)]
struct Shard<K, V> {
    young: HashMap<K, V, RandomState>,
    old: HashMap<K, V, RandomState>,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| {
                Mutex::new(Shard {
                    young: HashMap::default(),
                    old: HashMap::default(),
                })
            }),
            generation: (capacity / SHARDS / 2).max(1),
            hasher: RandomState::default(),
        }
    }

    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let mut shard = self.shard(key)?;
        if let Some(value) = shard.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = shard.old.remove_entry(key)?;
        shard.insert(key, value.clone(), self.generation);
        Some(value)
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        if let Some(mut shard) = self.shard(&key) {
            shard.old.remove(&key);
            shard.insert(key, value, self.generation);
        }
    }

    /// Puts in the place of what is under `key` what `change` makes of it, and gives the
    /// rest of what it makes. Nobody sees or changes the entry meanwhile.
    pub(crate) fn change<R: Default>(&self, key: K, change: impl FnOnce(Option<V>) -> (V, R)) -> R {
        let Some(mut shard) = self.shard(&key) else {
            return R::default();
        };
        let before = shard.young.remove(&key).or_else(|| shard.old.remove(&key));
        let (value, rest) = change(before);
        shard.insert(key, value, self.generation);
        rest
    }

    /// Every value that is in it, in no order.
    pub(crate) fn values(&self) -> Vec<V> {
        let mut values = Vec::new();
        for shard in &self.shards {
            let shard = locked(shard);
            values.extend(shard.young.values().chain(shard.old.values()).cloned());
        }
        values
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| locked(shard).len()).sum()
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> Option<MutexGuard<'_, Shard<K, V>>> {
        let hash = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).ok()?;
        self.shards.get(hash).map(locked)
    }
}

impl<K: Eq + Hash, V> Shard<K, V> {
    fn insert(&mut self, key: K, value: V, generation: usize) {
        if self.young.len() >= generation && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

/// Nothing here can panic half-way, so a poisoned shard is whole.
fn locked<K, V>(shard: &Mutex<Shard<K, V>>) -> MutexGuard<'_, Shard<K, V>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let cache = Cache::new(320);
        for key in 0..10_000 {
            cache.insert(key, ());
            assert!(cache.len() <= 320, "{} after {key}", cache.len());
        }
        assert!(cache.len() >= 160, "half of it is kept: {}", cache.len());
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let cache = Cache::new(320);
        cache.insert(-1, "used");
        cache.insert(-2, "unused");
        for key in 0..10_000 {
            cache.insert(key, "");
            assert_eq!(cache.get(&-1), Some("used"));
        }
        assert_eq!(cache.get(&-2), None);
    }

    #[test]
    fn the_latest_value_counts() {
        let cache = Cache::new(32);
        cache.insert(1, 'a');
        cache.insert(1, 'b');
        assert_eq!((cache.get(&1), cache.len()), (Some('b'), 1));
        assert_eq!(cache.change(1, |before| ('c', before)), Some('b'));
        assert_eq!(cache.change(2, |before| ('d', before)), None);
        assert_eq!((cache.get(&1), cache.get(&2)), (Some('c'), Some('d')));
    }
}
