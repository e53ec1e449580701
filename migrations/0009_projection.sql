-- Read models that are built anew while the old ones serve.
--
-- A rebuild makes a projection's tables once more, empty, in the schema `rebuild`, and loads the streams into them in the order of
-- their names. What happens to a stream that is loaded follows at once: its handler writes each event into both, in the transaction of its
-- cursor. So, when the last stream is loaded, both stand at the same event, and the new tables take the old ones' place.

create schema rebuild;
grant usage on schema rebuild to lunaria_app;

-- Which tables a projection may have thrown away. Only migrations say so.
create table projection (
    name    text    not null constraint projection_name primary key,
    tables  text[]  not null,
    -- Of the rules that its rows follow. A program that has others builds them anew.
    version integer not null default 1
);

-- The rebuild of each projection that is under way, or was the last. Its story stands in the stream `rebuild-{id}`.
create table projection_rebuild (
    projection   text        not null constraint projection_rebuild_projection primary key references projection,
    id           uuid        not null,
    purpose      text        not null constraint projection_rebuild_purpose check (purpose in ('replace', 'compare')),
    version      integer     not null,
    state        text        not null default 'requested' constraint projection_rebuild_state
                             check (state in ('requested', 'loading', 'completed', 'failed', 'cancelled')),
    -- Every stream up to this name is loaded, and of the one after it, which is long, so many events.
    loaded_to    text        collate "C" not null default '',
    part_stream  text        collate "C",
    part_seq     bigint,
    events_done  bigint      not null default 0,
    events_total bigint      not null default 0,
    -- Whether its tables are there: to be dropped, should it end otherwise than well.
    has_tables   boolean     not null default false,
    reason       text,
    -- Of a comparison, rows that differ, by table.
    examples     jsonb,
    requested_at timestamptz not null default now(),
    started_at   timestamptz,
    changed_at   timestamptz not null default now()
);

create function drop_rebuild_tables(of_projection text) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    name text;
begin
    for name in select unnest(tables) from projection where projection.name = of_projection loop
        execute format('drop table if exists rebuild.%I', name);
    end loop;
end
$$;

-- What two tables have to have in common, to take each other's place.
create function table_shape(of_table regclass) returns text
language sql stable set search_path = pg_catalog, public, pg_temp as $$
    select concat_ws(E'\n',
        (select string_agg(format('%s %s %s', attname, format_type(atttypid, atttypmod), attnotnull), ', ' order by attnum)
         from pg_attribute where attrelid = of_table and attnum > 0 and not attisdropped),
        (select string_agg(replace(pg_get_indexdef(indexrelid), ' ON rebuild.', ' ON public.'), ', '
                           order by (select relname from pg_class where oid = indexrelid))
         from pg_index where indrelid = of_table),
        (select string_agg(format('%s %s', conname, pg_get_constraintdef(oid)), ', ' order by conname)
         from pg_constraint where conrelid = of_table),
        (select string_agg(tgname, ', ' order by tgname) from pg_trigger where tgrelid = of_table and not tgisinternal),
        (select string_agg(acl::text, ', ' order by acl::text) from pg_class, unnest(relacl) as acl where pg_class.oid = of_table))
$$;

-- Makes them like those that serve, with indexes and constraints of the same names. Nothing cleans up in them meanwhile, so that nobody has
-- to be waited for.
create function make_rebuild_tables(of_projection text) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    name       text;
    definition text;
begin
    perform drop_rebuild_tables(of_projection);
    for name in select unnest(tables) from projection where projection.name = of_projection loop
        execute format('create table rebuild.%1$I (like public.%1$I including all excluding indexes) with (autovacuum_enabled = false)', name);
        for definition in
            select format('alter table rebuild.%I add constraint %I %s', name, conname, pg_get_constraintdef(oid))
            from pg_constraint where conrelid = format('public.%I', name)::regclass and contype in ('p', 'u', 'x')
            union all
            select replace(pg_get_indexdef(indexrelid), ' ON public.', ' ON rebuild.')
            from pg_index
            where indrelid = format('public.%I', name)::regclass
              and not exists (select from pg_constraint where conindid = indexrelid and contype in ('p', 'u', 'x'))
        loop
            execute definition;
        end loop;
        execute format('grant select, insert, update, delete on rebuild.%I to lunaria_app', name);
    end loop;
end
$$;

-- What the planner has to know of them, before they serve.
create function analyze_rebuild_tables(of_projection text) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    name text;
begin
    for name in select unnest(tables) from projection where projection.name = of_projection loop
        execute format('analyze rebuild.%I', name);
    end loop;
end
$$;

-- Puts the tables of a rebuild that is loaded in the place of those that serve. What readers need is locked last.
create function take_rebuild_tables(of_rebuild uuid) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    taken   projection_rebuild;
    name    text;
    options text;
begin
    select * into taken from projection_rebuild
    where id = of_rebuild and state = 'loading' and purpose = 'replace' and has_tables;
    if not found then
        raise exception 'there is no rebuild % to take the tables of', of_rebuild;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('projection ' || taken.projection, 0));
    for name in select unnest(tables) from projection where projection.name = taken.projection loop
        execute format('lock table rebuild.%I in access exclusive mode', name);
        if table_shape(format('rebuild.%I', name)::regclass) <> table_shape(format('public.%I', name)::regclass) then
            raise exception 'the table % has been changed since its rebuild began', name using hint = 'begin the rebuild again';
        end if;
    end loop;
    for name in select unnest(tables) from projection where projection.name = taken.projection loop
        select array_to_string(reloptions, ', ') into options from pg_class where oid = format('public.%I', name)::regclass;
        execute format('drop table public.%I', name);
        execute format('alter table rebuild.%I set schema public', name);
        execute format('alter table public.%I reset (autovacuum_enabled)', name);
        if options is not null then
            execute format('alter table public.%I set (%s)', name, options);
        end if;
    end loop;
    update projection set version = taken.version where projection.name = taken.projection;
end
$$;

-- Whether all tables of a rebuild are there. Where one is not, its name means the one that serves.
create function has_rebuild_tables(of_projection text) returns boolean
language sql stable set search_path = pg_catalog, public, pg_temp as $$
    select bool_and(to_regclass(format('rebuild.%I', owned)) is not null)
    from projection, unnest(tables) as owned where name = of_projection
$$;

-- Up to which stream a rebuild that is under way wants to be told; null: there is none. The handler calls it once per transaction, and the
-- rebuild can have it stand still for a moment: each step takes the same lock for itself alone. What a program with other rules handles would be
-- missing from the rebuild, so that ends.
create function follow_rebuild(of_projection text, by_version integer) returns text
language plpgsql volatile as $$
declare
    under_way projection_rebuild;
    trouble   text;
begin
    perform pg_advisory_xact_lock_shared(hashtextextended('projection ' || of_projection, 0));
    -- A statement of its own, which sees what was committed before the lock was given.
    select * into under_way from projection_rebuild where projection = of_projection and state = 'loading';
    if not found then
        return null;
    end if;
    if under_way.version <> by_version then
        trouble := format('a program with version %s of its rules is still handling events', by_version);
    elsif not has_rebuild_tables(of_projection) then
        trouble := 'its tables are gone';
    else
        return under_way.loaded_to;
    end if;
    update projection_rebuild set state = 'failed', changed_at = now(), reason = trouble where projection = of_projection;
    return null;
end
$$;

revoke execute on function drop_rebuild_tables, make_rebuild_tables, analyze_rebuild_tables, take_rebuild_tables,
    has_rebuild_tables, table_shape, follow_rebuild from public;
grant execute on function drop_rebuild_tables, make_rebuild_tables, analyze_rebuild_tables, take_rebuild_tables,
    has_rebuild_tables, follow_rebuild to lunaria_app;
grant select on projection to lunaria_app;
grant select, insert, update on projection_rebuild to lunaria_app;
