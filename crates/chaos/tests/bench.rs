//! The one site of this process, for one test at a time; and the binaries under test.

use std::env;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Weak};

use chaos::{Program, Site};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

const BROKERS: usize = 3;

/// Outlives every test, as the site's proxies are tasks of it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
/// Ends with the last test that holds it: servers do not end with a process.
static SITE: Mutex<Weak<Site>> = Mutex::const_new(Weak::new());
static TURN: Mutex<()> = Mutex::const_new(());

/// Runs a test on the site, in its turn.
pub(crate) fn on_site<F: Future<Output = ()>>(test: impl FnOnce(Arc<Site>) -> F) {
    RUNTIME.block_on(async {
        let site = site().await;
        let _turn = TURN.lock().await;
        test(site).await;
    });
}

async fn site() -> Arc<Site> {
    let mut known = SITE.lock().await;
    if let Some(site) = known.upgrade() {
        return site;
    }
    let site = Arc::new(Site::start(BROKERS).await);
    *known = Arc::downgrade(&site);
    site
}

/// The binary that users run: `LUNARIA_BIN`, or the one that cargo has built beside this test.
pub(crate) fn plain() -> Program {
    let beside = || {
        let test = env::current_exe().unwrap();
        test.parent().and_then(|deps| deps.parent()).unwrap().join("lunaria")
    };
    let path = env::var_os("LUNARIA_BIN").map_or_else(beside, PathBuf::from);
    assert!(path.exists(), "{} does not exist: run `make test`, which builds it", path.display());
    Program { path, mutant: String::new() }
}

/// Built by `make test` with the feature `mutants`.
pub(crate) fn seeded(mutant: &str) -> Program {
    let path = env::var("LUNARIA_MUTANTS_BIN").expect(
        "LUNARIA_MUTANTS_BIN is not set: run `make test`, which builds the binary with the seeded faults",
    );
    Program { path: path.into(), mutant: mutant.to_owned() }
}
