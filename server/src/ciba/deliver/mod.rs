//! Telling ping and push clients: a POST to the endpoint that the client registered, and to no other, in a task that the
//! decision does not wait for (C-232, C-330, C-360).

mod body;
mod schedule;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;
use zeroize::Zeroizing;

pub(crate) use self::body::{Body, PushError, ping, push, push_error};
use self::schedule::{Next, Outcome, Schedule};
use super::places::Places;
use crate::clock::now;
use crate::outgoing::{CallError, UntrustedHttp};

/// Calls at once.
const MAX_AT_ONCE: usize = 256;

/// Calls of one client at once: its endpoint may hang.
const MAX_AT_ONCE_OF_CLIENT: usize = 16;

/// Deliveries under way, those that wait for their next try among them. A body has some KiB.
const MAX_UNDER_WAY: usize = 8192;

/// Deliveries to one client that are under way.
const MAX_UNDER_WAY_OF_CLIENT: usize = MAX_UNDER_WAY / 2;

/// How long to wait before the second try (C-334, C-364).
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// What a client is told.
pub(crate) struct Delivery {
    pub(crate) endpoint: Url,
    /// `client_notification_token`
    pub(crate) token: Zeroizing<String>,
    /// The same for every try (C-363).
    pub(crate) body: Body,
    /// Tries after the first.
    pub(crate) retries: u64,
    /// When the request ends, Unix seconds.
    pub(crate) expires_at: u64,
    /// The request's name in the log.
    pub(crate) handle: String,
    pub(crate) client_id: String,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The client knows.
    Delivered,
    /// The client could not be told.
    Failed,
    /// The client need not be told any more.
    Unwanted,
}

/// Whose delivery it is: the request that the client is told about.
pub(crate) trait Owner: Send + Sync + 'static {
    /// Whether the client still has to be told; asked before each further try. A ping is not wanted when the request was
    /// redeemed or has expired (C-334).
    fn is_wanted(&self) -> impl Future<Output = bool> + Send;

    /// Told once, at the end; not when the server is forced to leave.
    fn ended(self, how: Ended) -> impl Future<Output = ()> + Send;
}

/// The deliveries that are under way; a handle that is cheap to clone.
#[derive(Clone)]
pub(crate) struct Deliveries {
    http: UntrustedHttp,
    tasks: TaskTracker,
    forced: CancellationToken,
    under_way: Places,
    calls: Places,
    failures: Arc<AtomicU64>,
    first_wait: Duration,
}

impl Deliveries {
    /// `tasks` are waited for when the server leaves, until `forced` is cancelled.
    pub(crate) fn new(http: UntrustedHttp, tasks: TaskTracker, forced: CancellationToken) -> Self {
        Self {
            http,
            tasks,
            forced,
            under_way: Places::new(MAX_UNDER_WAY, MAX_UNDER_WAY_OF_CLIENT),
            calls: Places::new(MAX_AT_ONCE, MAX_AT_ONCE_OF_CLIENT),
            failures: Arc::default(),
            first_wait: FIRST_WAIT,
        }
    }

    /// Begins a delivery and returns at once. When too many are under way, it has failed.
    pub(crate) async fn begin(&self, delivery: Delivery, owner: impl Owner) {
        let Some(place) = self.under_way.try_take(&delivery.client_id) else {
            self.count_failure(&Parcel::new(delivery), "too many deliveries are under way");
            return owner.ended(Ended::Failed).await;
        };
        let this = self.clone();
        self.tasks.spawn(async move {
            let told = async {
                let (handle, client) = (delivery.handle.clone(), delivery.client_id.clone());
                let how = this.carry_out(delivery, &owner).await;
                owner.ended(how).await;
                if how == Ended::Delivered {
                    tracing::info!(request = %handle, %client, "a client was told");
                }
            };
            this.forced.run_until_cancelled(told).await;
            drop(place);
        });
    }

    async fn carry_out(&self, delivery: Delivery, owner: &impl Owner) -> Ended {
        let mut schedule = Schedule::new(delivery.retries, self.first_wait);
        let parcel = Parcel::new(delivery);
        loop {
            let (outcome, problem) = self.call(&parcel).await;
            match schedule.next(outcome, parcel.left()) {
                Next::Done => return Ended::Delivered,
                Next::Final => {
                    self.count_failure(&parcel, &problem);
                    return Ended::Failed;
                }
                Next::Again(wait) => tokio::time::sleep(wait).await,
            }
            if !owner.is_wanted().await {
                return Ended::Unwanted;
            }
        }
    }

    /// Makes one call. Returns how it ended, and in words what went wrong.
    async fn call(&self, parcel: &Parcel) -> (Outcome, String) {
        let _place = self.calls.take(&parcel.client_id).await;
        let told = async { self.http.tell(parcel.request(&self.http)?).await };
        match told.await {
            Ok((status, headers)) => {
                let problem = format!("it answers {}", status.as_u16());
                (Outcome::Answered(status, retry_after(&headers)), problem)
            }
            Err(error) if error.is_forbidden() => (Outcome::Forbidden, error.to_string()),
            Err(error) => (Outcome::Unreached, error.to_string()),
        }
    }

    fn count_failure(&self, parcel: &Parcel, problem: &str) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let (request, client) = (&parcel.handle, &parcel.client_id);
        tracing::warn!(%request, %client, problem, failures, "a client could not be told");
    }
}

/// A delivery, ready for the wire. Its secrets are wiped when it is dropped.
struct Parcel {
    endpoint: Url,
    authorization: Option<HeaderValue>,
    body: Bytes,
    expires_at: u64,
    handle: String,
    client_id: String,
}

impl Parcel {
    fn new(delivery: Delivery) -> Self {
        let bearer = Zeroizing::new(format!("Bearer {}", *delivery.token).into_bytes());
        let authorization = HeaderValue::from_maybe_shared(Bytes::from_owner(bearer));
        Self {
            endpoint: delivery.endpoint,
            authorization: authorization.ok(),
            body: Bytes::from_owner(delivery.body),
            expires_at: delivery.expires_at,
            handle: delivery.handle,
            client_id: delivery.client_id,
        }
    }

    fn request(&self, http: &UntrustedHttp) -> Result<reqwest::Request, CallError> {
        let mut authorization = self.authorization.clone().ok_or(CallError::Malformed)?;
        authorization.set_sensitive(true);
        let request = http
            .post(self.endpoint.clone())?
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/json")
            .body(self.body.clone());
        Ok(request.build()?)
    }

    /// Returns what is left of the request's life.
    fn left(&self) -> Duration {
        Duration::from_secs(self.expires_at.saturating_sub(now().seconds()))
    }
}

/// Returns how long a client asks to wait: seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let date = date.duration_since(UNIX_EPOCH).ok()?;
    Some(date.saturating_sub(Duration::from_secs(now().seconds())))
}
