//! What SQLite says, sorted by what can be done about it.

use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::Error;

pub(super) fn fault(error: rusqlite::Error) -> Error {
    let code = error.sqlite_error_code();
    let cause = Arc::new(error);
    match code {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Corrupt(cause),
        Some(ErrorCode::DiskFull) => Error::Full(cause),
        _ => Error::Unavailable(cause),
    }
}
