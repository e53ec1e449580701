//! The tables of a publication, as the catalog has them now: their keys, and how their rows are copied.

use std::collections::BTreeSet;
use std::sync::Arc;

use replication::{Client, literal};
use serde::Deserialize;

use crate::Error;
use crate::capture::kind::Kind;
use crate::capture::table::{Name, Table, TableColumn, topic_suffix};

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CapturedTable {
    pub schema: String,
    pub name: String,
    /// `pg_class.relreplident`: d, n, f or i.
    pub identity: String,
    /// In table order; empty when there is none.
    pub primary_key: Vec<String>,
    /// Those that are published, in table order.
    pub columns: Vec<CapturedColumn>,
    /// Only rows of which this holds are published.
    pub row_filter: Option<String>,
    /// Not all columns are published.
    pub is_narrowed: bool,
    /// Whether this login may read the rows, for a snapshot.
    pub is_readable: bool,
    pub rows_estimate: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CapturedColumn {
    pub name: String,
    /// Of `pg_catalog`, through domains; empty for any other.
    pub type_name: String,
    /// Of the replica identity, unless that is the whole row.
    pub is_identity: bool,
}

impl CapturedTable {
    /// As the log would describe it.
    pub(crate) fn table(&self) -> Table {
        let is_full = self.identity == "f";
        let columns = self.columns.iter().map(|column| {
            let is_key = if is_full { self.primary_key.contains(&column.name) } else { column.is_identity };
            TableColumn::new(
                &column.name,
                Kind::of_name(&column.type_name),
                is_key,
                is_full || column.is_identity,
            )
        });
        Table { name: Arc::new(Name::new(&self.schema, &self.name)), columns: columns.collect() }
    }

    /// Its rows with each value as its type prints it, as in the log. A cast to text would print some differently.
    pub(crate) fn select(&self) -> String {
        let value = |column: &CapturedColumn| {
            let name = quoted(&column.name);
            format!("case when {name} is distinct from null then pg_catalog.format('%s', {name}) end")
        };
        let columns: Vec<String> = self.columns.iter().map(value).collect();
        let filter = self.row_filter.as_ref().map(|filter| format!(" where {filter}")).unwrap_or_default();
        let (columns, schema, name) = (columns.join(", "), quoted(&self.schema), quoted(&self.name));
        format!("select {columns} from {schema}.{name}{filter}")
    }

    pub(crate) fn has_key(&self) -> bool {
        if self.identity == "f" {
            return !self.primary_key.is_empty();
        }
        self.columns.iter().any(|column| column.is_identity)
    }
}

/// The names of tables that would share a topic with another one.
pub(crate) fn without_topic(tables: &[CapturedTable]) -> Option<String> {
    let mut topics = BTreeSet::new();
    let clash = tables.iter().find(|table| !topics.insert(topic_suffix(&table.schema, &table.name)));
    clash.map(|table| format!("{}.{}", table.schema, table.name))
}

/// In the order of their names.
pub(crate) async fn read_tables(client: &mut Client, publication: &str) -> Result<Vec<CapturedTable>, Error> {
    let rows = client.query(&SELECT.replace("PUBLICATION", &literal(publication))).await?;
    let json = rows.first().and_then(|row| row.at(0)).unwrap_or("[]");
    serde_json::from_str(json)
        .map_err(|error| Error::Unavailable(format!("the server's tables cannot be read: {error}")))
}

/// A generated column is not in the log before PostgreSQL 18, which lists those that are.
const SELECT: &str = "
with recursive published as (
    select tables.schemaname, tables.tablename, tables.attnames, tables.rowfilter, class.*,
           class.oid as class_oid,
           case class.relreplident
               when 'd' then (select indexrelid from pg_index where indrelid = class.oid and indisprimary)
               when 'i' then (select indexrelid from pg_index where indrelid = class.oid and indisreplident)
           end as identity_index
    from pg_publication_tables as tables
    join pg_namespace as namespace on namespace.nspname = tables.schemaname
    join pg_class as class on class.relnamespace = namespace.oid and class.relname = tables.tablename
    where tables.pubname = PUBLICATION
), base (oid, base) as (
    select oid, oid from pg_type where typtype <> 'd'
    union all
    select type.oid, base.base from base join pg_type as type on type.typtype = 'd' and type.typbasetype = base.oid
)
select coalesce(json_agg(json_build_object(
    'schema', schemaname, 'name', tablename, 'identity', relreplident, 'row_filter', rowfilter,
    'is_narrowed', exists (
        select from pg_attribute where attrelid = class_oid and attnum > 0 and not attisdropped
        and attgenerated = '' and attname <> all (attnames)),
    'is_readable', has_table_privilege(class_oid, 'select'),
    'rows_estimate', greatest(reltuples, 0)::bigint,
    'primary_key', coalesce((
        select json_agg(attname order by attnum) from pg_attribute
        join pg_index on indrelid = attrelid and indisprimary and attnum = any (indkey)
        where attrelid = class_oid), '[]'),
    'columns', coalesce((
        select json_agg(json_build_object(
            'name', attname,
            'type_name', case when type.typnamespace = 'pg_catalog'::regnamespace then type.typname else '' end,
            'is_identity', coalesce((select attnum = any (indkey) from pg_index where indexrelid = identity_index), false)
        ) order by attnum)
        from pg_attribute join base on base.oid = atttypid join pg_type as type on type.oid = base.base
        where attrelid = class_oid and attnum > 0 and not attisdropped and attname = any (attnames)
        and (attgenerated = '' or current_setting('server_version_num')::integer >= 180000)), '[]')
) order by schemaname, tablename), '[]') from published";

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::{CapturedColumn, CapturedTable, without_topic};

    fn table(name: &str) -> CapturedTable {
        CapturedTable {
            schema: "public".to_owned(),
            name: name.to_owned(),
            identity: "d".to_owned(),
            primary_key: Vec::new(),
            columns: vec![CapturedColumn {
                name: "a\"b".to_owned(),
                type_name: "int4".to_owned(),
                is_identity: false,
            }],
            row_filter: Some("(a > 1)".to_owned()),
            is_narrowed: false,
            is_readable: true,
            rows_estimate: 0,
        }
    }

    #[test]
    fn tables_that_would_share_a_topic_are_found() {
        assert_eq!(without_topic(&[table("a b"), table("c")]), None);
        assert_eq!(without_topic(&[table("a b"), table("a_b")]).as_deref(), Some("public.a_b"));
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        let select = table("c").select();
        assert!(select.contains(r#"format('%s', "a""b")"#), "{select}");
        assert!(select.ends_with(r#" from "public"."c" where (a > 1)"#), "{select}");
    }
}
