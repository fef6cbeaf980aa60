//! A component's side of a link: calls in the interfaces' own types.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use withe_provider::codec::{Decode, Encode};
use withe_provider::{
    Call, CallError, ConfigMap, FunctionName, Link, LinkId, Payload, Peer, Provider,
};
use withe_provider_sql::Sql;

/// The interfaces as a component has them: what the provider exports, generated once more.
pub(crate) mod wit {
    #![allow(unreachable_pub, reason = "generated")]
    withe_provider::generate!("wit/wasmcloud-postgres-0.1.1-draft", "wit");
}

#[allow(unused_imports, reason = "each test file uses a part of it")]
pub(crate) use wit::wasmcloud::postgres::types::{
    Date, Interval, Lexeme, LexemeWeight, MacAddressEui48, MacAddressEui64, Offset, PgValue,
    PreparedStatementExecError, QueryError, ResultRow, StatementPrepareError, Time, TimeTz,
    Timestamp, TimestampTz,
};

/// Longer than any call should take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const FUNCTIONS: [(&str, &str); 4] = [
    ("query", "query"),
    ("query", "query-batch"),
    ("prepared", "prepare"),
    ("prepared", "exec"),
];

/// A map of configuration.
pub(crate) fn config(pairs: &[(&str, &str)]) -> ConfigMap {
    let pairs = pairs.iter();
    pairs
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

/// A link from a component that imports everything.
pub(crate) fn link(id: u64, pairs: &[(&str, &str)]) -> Link {
    let functions = FUNCTIONS.iter().map(|(interface, function)| FunctionName {
        interface: format!("wasmcloud:postgres/{interface}@0.1.1-draft"),
        function: (*function).into(),
    });
    Link {
        id: LinkId(id),
        name: "default".into(),
        application: "app".into(),
        component: format!("c{id}"),
        config: config(pairs),
        peer: Peer::Importer(functions.collect()),
    }
}

/// A component that is linked to a provider.
#[derive(Clone)]
pub(crate) struct Component {
    pub(crate) provider: Arc<Sql>,
    pub(crate) link: LinkId,
    /// How long it waits.
    pub(crate) patience: Duration,
}

impl Component {
    /// One that is linked, as `link`, to a provider of its own.
    pub(crate) async fn linked(link: Link) -> Self {
        let provider = Arc::new(Sql::any(ConfigMap::new()));
        provider.start().await.unwrap();
        let component = Self {
            provider,
            link: link.id,
            patience: PATIENCE,
        };
        component.provider.link_put(link).await.unwrap();
        component
    }

    /// One with a link of its own to the same provider.
    pub(crate) async fn beside(&self, link: Link) -> Self {
        let id = link.id;
        self.provider.link_put(link).await.unwrap();
        Self {
            link: id,
            ..self.clone()
        }
    }

    /// The same, which waits so long.
    pub(crate) fn patient(&self, patience: Duration) -> Self {
        Self {
            patience,
            ..self.clone()
        }
    }

    pub(crate) async fn call<R: Decode>(
        &self,
        function: &str,
        params: impl Encode,
    ) -> Result<R, CallError> {
        let call = Call {
            link: self.link,
            function: FUNCTIONS.iter().position(|(_, f)| *f == function).unwrap(),
            params: Payload::of(&params),
            deadline: Instant::now() + self.patience,
            caller: "c",
            trace: None,
        };
        Ok(self.provider.call(call).await?.read().unwrap())
    }

    pub(crate) async fn try_query(
        &self,
        sql: &str,
        params: Vec<PgValue>,
    ) -> Result<Vec<ResultRow>, QueryError> {
        self.call("query", (sql, params)).await.unwrap()
    }

    /// The rows of a query, without the names of their columns.
    pub(crate) async fn query(&self, sql: &str, params: Vec<PgValue>) -> Vec<Vec<PgValue>> {
        let rows = self.try_query(sql, params).await;
        let rows = rows.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let values = |row: ResultRow| row.into_iter().map(|entry| entry.value).collect();
        rows.into_iter().map(values).collect()
    }

    /// The one value of a query.
    pub(crate) async fn value(&self, sql: &str, params: Vec<PgValue>) -> PgValue {
        let rows = self.query(sql, params).await;
        match <[_; 1]>::try_from(rows).map(|[row]| <[_; 1]>::try_from(row)) {
            Ok(Ok([value])) => value,
            other => panic!("{sql}: {other:?}"),
        }
    }

    pub(crate) async fn try_batch(&self, sql: &str) -> Result<(), QueryError> {
        self.call("query-batch", (sql,)).await.unwrap()
    }

    pub(crate) async fn batch(&self, sql: &str) {
        let done = self.try_batch(sql).await;
        done.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }

    pub(crate) async fn prepare(&self, sql: &str) -> Result<String, StatementPrepareError> {
        self.call("prepare", (sql,)).await.unwrap()
    }

    pub(crate) async fn exec(
        &self,
        token: &str,
        params: Vec<PgValue>,
    ) -> Result<u64, PreparedStatementExecError> {
        self.call("exec", (token, params)).await.unwrap()
    }
}

pub(crate) fn text(text: &str) -> PgValue {
    PgValue::Text(text.into())
}

pub(crate) fn day(year: i32, month: u32, day: u32) -> Date {
    Date::Ymd((year, month, day))
}

pub(crate) fn at(hour: u32, min: u32, sec: u32, micro: u32) -> Time {
    Time {
        hour,
        min,
        sec,
        micro,
    }
}

/// The parts of a floating-point number that has few digits.
pub(crate) fn float(number: f64) -> (u64, i16, i8) {
    let sign = if number.is_sign_negative() { -1 } else { 1 };
    let bits = number.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i16;
    let fraction = bits & ((1 << 52) - 1);
    let mantissa = if exponent == 0 {
        fraction << 1
    } else {
        fraction | 1 << 52
    };
    (mantissa, exponent - 1075, sign)
}
