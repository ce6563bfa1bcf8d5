//! The stand-ins pass the contract suites that they stand in for.

mod journal {
    use std::sync::Arc;
    use std::time::Duration;

    use memory::ids::Owner;
    use memory::ports::Journal;
    use memory::testing::journal_contract::JournalHarness;
    use memory::testing::{ManualClock, MemoryJournal};

    struct InMemory(Arc<ManualClock>, MemoryJournal);

    #[async_trait::async_trait]
    impl JournalHarness for InMemory {
        fn journal(&self) -> Arc<dyn Journal> {
            Arc::new(self.1.clone())
        }

        async fn advance(&self, by: Duration) {
            self.0.advance(by);
        }

        async fn admit(&self, _owner: &Owner) {}
    }

    async fn fresh() -> InMemory {
        let clock = Arc::new(ManualClock::new());
        InMemory(clock.clone(), MemoryJournal::new(clock))
    }

    memory::journal_contract_tests!(fresh);
}

mod store {
    use std::sync::Arc;

    use memory::event::Source;
    use memory::ids::{FlushId, SlotId, UserKey};
    use memory::ports::{Projects, Store, Vectors};
    use memory::profile::Author;
    use memory::testing::MemoryStore;
    use memory::testing::store_contract::StoreHarness;

    struct InMemory(MemoryStore);

    #[async_trait::async_trait]
    impl StoreHarness for InMemory {
        fn store(&self) -> Arc<dyn Store> {
            Arc::new(self.0.clone())
        }

        fn vectors(&self) -> Arc<dyn Vectors> {
            Arc::new(self.0.clone())
        }

        fn projects(&self) -> Arc<dyn Projects> {
            Arc::new(self.0.clone())
        }

        async fn rows_of(&self, key: &UserKey) -> u64 {
            self.0.rows_of(key).count() as u64
        }

        async fn history_of(&self, key: &UserKey) -> Vec<(SlotId, String, Option<FlushId>, String)> {
            let rows = self.0.rows_of(key).history.into_iter().map(|row| {
                let flush_id = match row.author {
                    Author::Client => None,
                    Author::Flush(id) => Some(id),
                };
                (row.slot.id, row.action.to_owned(), flush_id, row.slot.content)
            });
            rows.collect()
        }

        async fn sources_in_history_of(&self, key: &UserKey) -> Vec<Vec<Source>> {
            self.0.rows_of(key).history.into_iter().map(|row| row.slot.sources).collect()
        }
    }

    async fn fresh() -> InMemory {
        InMemory(MemoryStore::new())
    }

    memory::store_contract_tests!(fresh);
}

mod projects {
    use std::sync::Arc;

    use memory::ports::{Projects, Store};
    use memory::testing::MemoryStore;
    use memory::testing::projects_contract::ProjectsHarness;

    struct InMemory(MemoryStore);

    impl ProjectsHarness for InMemory {
        fn projects(&self) -> Arc<dyn Projects> {
            Arc::new(self.0.clone())
        }

        fn store(&self) -> Arc<dyn Store> {
            Arc::new(self.0.clone())
        }
    }

    async fn fresh() -> InMemory {
        InMemory(MemoryStore::new())
    }

    memory::projects_contract_tests!(fresh);
}

/// A case that is written but not named in the suite's macro would never run.
#[test]
fn every_case_is_named_in_its_macro() {
    for suite in ["journal_contract", "store_contract", "projects_contract"] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/testing").join(suite);
        let list = std::fs::read_to_string(folder.join("mod.rs")).unwrap();
        let named: Vec<&str> = list.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let cases = text.lines().filter_map(|line| line.strip_prefix("pub async fn ")?.split_once('('));
            for (case, _) in cases {
                assert!(named.contains(&case), "{suite}: {case} is not named");
            }
        }
    }
}
