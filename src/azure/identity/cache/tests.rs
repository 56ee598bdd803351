//! Tests of the token cache.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{advance, sleep};

use super::*;

fn key(n: u32) -> Key {
    Key { identity: Fingerprint::of(&[&n.to_be_bytes()]), scope: "scope".to_owned() }
}

fn token(text: &str, seconds: u64) -> Token {
    Token::new(text, Instant::now(), Duration::from_secs(seconds)).unwrap()
}

fn failure(kind: ServiceErrorKind) -> ServiceError {
    ServiceError::new(kind, "no")
}

fn text(token: &Token) -> String {
    token.authorization().to_str().unwrap().to_owned()
}

/// A source of results that counts its calls.
struct Source {
    fetches: AtomicUsize,
    response: Result<(&'static str, u64), ServiceErrorKind>,
}

impl Source {
    fn new(response: Result<(&'static str, u64), ServiceErrorKind>) -> Self {
        Self { fetches: AtomicUsize::new(0), response }
    }

    async fn fetch(&self) -> Result<Token, ServiceError> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(10)).await;
        self.response.map(|(text, lifetime)| token(text, lifetime)).map_err(failure)
    }

    fn count(&self) -> usize {
        self.fetches.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn callers_share_one_request_and_its_token() {
    let (cache, source) = (Cache::default(), Source::new(Ok(("a", 3600))));
    let key = key(1);
    let tokens = futures::future::join_all((0..50).map(|_| cache.get(&key, || source.fetch()))).await;
    assert!(tokens.iter().all(|token| text(token.as_ref().unwrap()) == "Bearer a"));
    assert_eq!(source.count(), 1);
    advance(Duration::from_mins(50)).await;
    assert!(cache.get(&key, || source.fetch()).await.is_ok());
    assert_eq!(source.count(), 1);
    advance(Duration::from_secs(310)).await;
    assert!(cache.get(&key, || source.fetch()).await.is_ok());
    assert_eq!(source.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn callers_share_one_failure_too() {
    let (cache, source) = (Cache::default(), Source::new(Err(ServiceErrorKind::Unreachable)));
    let key = key(1);
    let results = futures::future::join_all((0..50).map(|_| cache.get(&key, || source.fetch()))).await;
    assert!(results.iter().all(Result::is_err));
    assert_eq!(source.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn valid_token_outlives_failed_renewals() {
    let cache = Cache::default();
    let key = key(1);
    let (good, bad) = (Source::new(Ok(("a", 3600))), Source::new(Err(ServiceErrorKind::Unreachable)));
    cache.get(&key, || good.fetch()).await.unwrap();
    advance(Duration::from_secs(3400)).await;
    for _ in 0..100 {
        assert_eq!(text(&cache.get(&key, || bad.fetch()).await.unwrap()), "Bearer a");
    }
    assert_eq!(bad.count(), 1);
    advance(Duration::from_secs(195)).await;
    assert_eq!(cache.get(&key, || bad.fetch()).await.unwrap_err().kind, ServiceErrorKind::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn other_callers_use_the_old_token_during_renewal() {
    let cache = Cache::default();
    let key = key(1);
    let (first, second) = (Source::new(Ok(("a", 3600))), Source::new(Ok(("b", 3600))));
    cache.get(&key, || first.fetch()).await.unwrap();
    advance(Duration::from_secs(3400)).await;
    let tokens = futures::future::join_all((0..3).map(|_| cache.get(&key, || second.fetch()))).await;
    let tokens: Vec<String> = tokens.iter().map(|token| text(token.as_ref().unwrap())).collect();
    assert_eq!(tokens, ["Bearer b", "Bearer a", "Bearer a"]);
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_with_backoff() {
    let (cache, source) = (Cache::default(), Source::new(Err(ServiceErrorKind::ServerError)));
    let key = key(1);
    for _ in 0..600 {
        let error = cache.get(&key, || source.fetch()).await.unwrap_err();
        assert!(error.retry_after.is_some_and(|wait| wait <= MAX_BACKOFF));
        advance(Duration::from_millis(990)).await;
    }
    // 1, 2, 4, 8, 16, and then every 30 s of about 10 minutes.
    assert!((20..=26).contains(&source.count()), "{}", source.count());
}

#[tokio::test(start_paused = true)]
async fn rejected_credentials_are_retried_after_a_minute() {
    let cache = Cache::default();
    let (rejected, good) = (Source::new(Err(ServiceErrorKind::CredentialsRefused)), Source::new(Ok(("a", 3600))));
    for _ in 0..10 {
        let error = cache.get(&key(1), || rejected.fetch()).await.unwrap_err();
        assert_eq!((error.kind, error.retry_after), (ServiceErrorKind::CredentialsRefused, None));
        advance(Duration::from_secs(5)).await;
    }
    assert_eq!(rejected.count(), 1);
    assert!(cache.get(&key(2), || good.fetch()).await.is_ok());
    advance(Duration::from_secs(11)).await;
    assert!(cache.get(&key(1), || good.fetch()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn check_repeats_a_refused_request_every_five_seconds() {
    for kind in [ServiceErrorKind::CredentialsRefused, ServiceErrorKind::AssertionRefused] {
        let (cache, key) = (Cache::default(), key(1));
        let (rejected, good) = (Source::new(Err(kind)), Source::new(Ok(("a", 3600))));
        cache.get(&key, || rejected.fetch()).await.unwrap_err();
        cache.get(&key, || good.fetch()).await.unwrap_err();
        // Checks at the same time share one request.
        let checks = futures::future::join_all((0..50).map(|_| cache.get_for_check(&key, || rejected.fetch()))).await;
        assert!(checks.iter().all(|result| result.as_ref().is_err_and(|error| error.kind == kind)));
        assert_eq!((rejected.count(), good.count()), (2, 0), "{kind:?}");
        advance(Duration::from_secs(1)).await;
        cache.get_for_check(&key, || good.fetch()).await.unwrap_err();
        advance(Duration::from_secs(4)).await;
        assert!(cache.get_for_check(&key, || good.fetch()).await.is_ok());
        // What a check obtains serves the others.
        assert!(cache.get(&key, || rejected.fetch()).await.is_ok());
        assert_eq!((rejected.count(), good.count()), (2, 1), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn check_honors_the_backoff_of_temporary_failures() {
    for kind in [ServiceErrorKind::Throttled, ServiceErrorKind::Unreachable, ServiceErrorKind::ServerError] {
        let (cache, failing, good) = (Cache::default(), Source::new(Err(kind)), Source::new(Ok(("a", 3600))));
        cache.get(&key(1), || failing.fetch()).await.unwrap_err();
        let error = cache.get_for_check(&key(1), || good.fetch()).await.unwrap_err();
        assert!(error.retry_after.is_some() && good.count() == 0, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn cancelled_caller_blocks_no_other() {
    let (cache, source) = (Cache::default(), Source::new(Ok(("a", 3600))));
    let key = key(1);
    let given_up = tokio::time::timeout(Duration::from_millis(1), cache.get(&key, || source.fetch())).await;
    assert!(given_up.is_err());
    assert!(cache.get(&key, || source.fetch()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn rejected_token_is_dropped_once_a_minute() {
    let (cache, source) = (Cache::default(), Source::new(Ok(("a", 3600))));
    let key = key(1);
    for _ in 0..30 {
        let token = cache.get(&key, || source.fetch()).await.unwrap();
        cache.invalidate(&key, &token);
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(source.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn rejected_replacement_of_a_token_has_not_expired() {
    let (cache, source, key) = (Cache::default(), Source::new(Ok(("a", 86_400))), key(1));
    let rejected = async || {
        let token = cache.get(&key, || source.fetch()).await.unwrap();
        cache.invalidate(&key, &token)
    };
    assert!(rejected().await, "the first one may have expired");
    for minutes in [0, 1, 1, 15, 15] {
        advance(Duration::from_mins(minutes)).await;
        cache.purge();
        assert!(!rejected().await);
    }
    assert_eq!(source.count(), 5, "each of them is replaced nevertheless, but at most once a minute");
    // A call that looks up a model shows the access to none.
    cache.get(&key, || source.fetch()).await.unwrap().accept(&Arc::from("m"), None);
    advance(Duration::from_hours(1)).await;
    assert!(rejected().await);
    assert!(!rejected().await);
}

#[tokio::test(start_paused = true)]
async fn cache_is_bounded() {
    let (cache, source) = (Cache::default(), Source::new(Ok(("a", 3600))));
    let count = u32::try_from(CAPACITY).unwrap() + 100;
    for n in 0..count {
        cache.get(&key(n), || source.fetch()).await.unwrap();
    }
    assert_eq!(cache.entries.lock().len(), CAPACITY);
    let before = source.count();
    cache.get(&key(count - 1), || source.fetch()).await.unwrap();
    assert_eq!(source.count(), before);
    cache.get(&key(0), || source.fetch()).await.unwrap();
    assert_eq!(source.count(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn rejected_credentials_do_not_evict_tokens_of_others() {
    let (cache, good) = (Cache::default(), Source::new(Ok(("a", 3600))));
    let tokens = u32::try_from(CAPACITY).unwrap();
    for n in 0..tokens {
        cache.get(&key(n), || good.fetch()).await.unwrap();
    }
    for kind in [ServiceErrorKind::CredentialsRefused, ServiceErrorKind::AssertionRefused, ServiceErrorKind::Unreachable] {
        let bad = Source::new(Err(kind));
        for n in tokens..4 * tokens {
            cache.get(&key(n), || bad.fetch()).await.unwrap_err();
        }
        assert!(cache.entries.lock().len() <= 2 * CAPACITY);
    }
    let before = good.count();
    for n in 0..tokens {
        cache.get(&key(n), || good.fetch()).await.unwrap();
    }
    assert_eq!(good.count(), before);
}

#[tokio::test(start_paused = true)]
async fn short_lived_token_is_used_for_most_of_its_life() {
    let (cache, source) = (Cache::default(), Source::new(Ok(("a", 10))));
    let key = key(1);
    cache.get(&key, || source.fetch()).await.unwrap();
    advance(Duration::from_secs(7)).await;
    cache.get(&key, || source.fetch()).await.unwrap();
    assert_eq!(source.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn unused_entries_are_purged() {
    let (cache, refused) = (Cache::default(), Source::new(Err(ServiceErrorKind::CredentialsRefused)));
    let (valid, short) = (Source::new(Ok(("a", 3600))), Source::new(Ok(("b", 30))));
    assert!(cache.get(&key(1), || valid.fetch()).await.is_ok());
    assert!(cache.get(&key(2), || short.fetch()).await.is_ok());
    assert!(cache.get(&key(3), || refused.fetch()).await.is_err());
    assert_eq!(cache.purge(), 3);
    advance(Duration::from_secs(50)).await;
    assert_eq!(cache.purge(), 3, "the expired token may be renewed soon");
    advance(Duration::from_secs(20)).await;
    assert_eq!(cache.purge(), 1);
    assert!(cache.get(&key(1), || valid.fetch()).await.is_ok());
    assert_eq!(valid.count(), 1, "the valid token stays");
}
