//! Lists: the rows of a table, the newest first, a page at a time.

use event_store::{Error, Store};
use jiff::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Postgres, QueryBuilder};
use uuid::Uuid;

/// What is asked of every list.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The last row of the page before.
    pub after: Option<(Timestamp, Uuid)>,
    pub limit: u32,
    /// Only what has not changed since then.
    pub changed_before: Option<Timestamp>,
}

/// A table with the columns `id` and `changed_at`, and the conditions on its rows.
pub struct Newest<'a> {
    table: &'static str,
    /// When what the row shows began.
    began: &'static str,
    page: Page,
    conditions: Vec<Condition<'a>>,
    among: Option<(&'static str, &'a [Uuid])>,
}

enum Condition<'a> {
    That(&'static str),
    Text(&'static str, &'a str),
    Id(&'static str, Uuid),
    Words(&'static str, &'a [String]),
}

impl<'a> Newest<'a> {
    pub fn of(table: &'static str, began: &'static str, page: Page) -> Self {
        Self { table, began, page, conditions: Vec::new(), among: None }
    }

    #[must_use]
    pub fn that(mut self, condition: Option<&'static str>) -> Self {
        self.conditions.extend(condition.map(Condition::That));
        self
    }

    #[must_use]
    pub fn text(mut self, column: &'static str, wanted: Option<&'a str>) -> Self {
        self.conditions.extend(wanted.map(|text| Condition::Text(column, text)));
        self
    }

    #[must_use]
    pub fn id(mut self, column: &'static str, wanted: Option<Uuid>) -> Self {
        self.conditions.extend(wanted.map(|id| Condition::Id(column, id)));
        self
    }

    /// All of these words, or words that begin like them, in a column of [`words_of`] with an index `using gin (array_to_tsvector(…))`.
    #[must_use]
    pub fn words(mut self, text: &'static str, wanted: Option<&'a [String]>) -> Self {
        self.conditions.extend(wanted.map(|words| Condition::Words(text, words)));
        self
    }

    /// One of these ids. Each has an index of its own rows, newest first.
    #[must_use]
    pub fn among(mut self, column: &'static str, wanted: Option<&'a [Uuid]>) -> Self {
        self.among = wanted.map(|ids| (column, ids));
        self
    }

    /// As far as the projection has come.
    pub async fn rows<R>(&self, store: &Store) -> Result<Vec<R>, Error>
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let mut query = QueryBuilder::new("");
        match self.among {
            None => self.select(None, &mut query),
            Some((column, ids)) => {
                // Each one's newest, and of those the newest: no index has all in one order.
                query.push("select listed.* from unnest(").push_bind(ids);
                query.push("::uuid[]) as owner (id) cross join lateral (");
                self.select(Some(column), &mut query);
                query.push(") as listed");
                self.order(&mut query);
            }
        }
        // Planned each time: for these conditions, and for the columns that there are by now.
        Ok(query.build_query_as().persistent(false).fetch_all(store.pool()).await?)
    }

    fn select(&self, owner: Option<&'static str>, query: &mut QueryBuilder<Postgres>) {
        let (table, began) = (self.table, self.began);
        query.push(format_args!("select * from {table} where true"));
        if let Some(column) = owner {
            query.push(format_args!(" and {table}.{column} = owner.id"));
        }
        for condition in &self.conditions {
            match condition {
                Condition::That(condition) => query.push(format_args!(" and ({condition})")),
                Condition::Text(column, text) => {
                    query.push(format_args!(" and {column} = ")).push_bind((*text).to_owned())
                }
                Condition::Id(column, id) => query.push(format_args!(" and {column} = ")).push_bind(*id),
                Condition::Words(text, words) => query
                    .push(format_args!(" and array_to_tsvector({text}) @@ "))
                    .push_bind(words_query(words))
                    .push("::tsquery"),
            };
        }
        if let Some(before) = self.page.changed_before {
            let before = jiff_sqlx::Timestamp::from(before);
            // What has not changed since has begun before, and that has an index.
            query.push(" and changed_at < ").push_bind(before);
            query.push(format_args!(" and {table}.{began} < ")).push_bind(before);
        }
        if let Some((at, id)) = self.page.after {
            query.push(format_args!(" and ({table}.{began}, {table}.id) < ("));
            query.push_bind(jiff_sqlx::Timestamp::from(at)).push(", ").push_bind(id).push(")");
        }
        self.order(query);
    }

    fn order(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(format_args!(" order by {} desc, id desc limit ", self.began));
        query.push_bind(i64::from(self.page.limit));
    }
}

/// The words of a text, in small letters. Whatever is neither a letter nor a digit stands between them. It is not the server that says so, whose
/// parser and small letters are those of its locale.
pub fn words_of(text: &str) -> Vec<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// As a `tsquery` (https://www.postgresql.org/docs/15/textsearch.html).
fn words_query(asked: &[String]) -> String {
    asked.iter().map(|word| format!("'{word}':*")).collect::<Vec<_>>().join(" & ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_all_looked_for_whatever_stands_between_them() {
        let query = |text| words_query(&words_of(text));
        assert_eq!(query("Ada lund"), "'ada':* & 'lund':*");
        assert_eq!(query("  o'Neill & \\ söhne: "), "'o':* & 'neill':* & 'söhne':*");
        assert_eq!(query("'&|!()"), "");
    }
}
