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
    differences  jsonb,
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

-- Makes them like those that serve, with indexes and constraints of the same names.
create function make_rebuild_tables(of_projection text) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    name       text;
    definition text;
begin
    perform drop_rebuild_tables(of_projection);
    for name in select unnest(tables) from projection where projection.name = of_projection loop
        execute format('create table rebuild.%1$I (like public.%1$I including all excluding indexes)', name);
        for definition in
            select format('alter table rebuild.%I set (%s)', name, array_to_string(reloptions, ', '))
            from pg_class where oid = format('public.%I', name)::regclass and reloptions is not null
            union all
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

-- Puts them in the place of those that serve.
create function take_rebuild_tables(of_projection text) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    name text;
begin
    for name in select unnest(tables) from projection where projection.name = of_projection loop
        execute format('drop table public.%I', name);
        execute format('alter table rebuild.%I set schema public', name);
    end loop;
    update projection set version = projection_rebuild.version
    from projection_rebuild
    where projection.name = of_projection and projection_rebuild.projection = of_projection;
end
$$;

-- Up to which stream a rebuild that is under way wants to be told; null: there is none. The handler calls it once per transaction, and the
-- rebuild can have it stand still for a moment: each step takes the same lock for itself alone. What a program with other rules handles would be
-- missing from the rebuild, so that ends.
create function follow_rebuild(of_projection text, by_version integer) returns text
language plpgsql volatile as $$
declare
    under_way projection_rebuild;
begin
    perform pg_advisory_xact_lock_shared(hashtextextended('projection ' || of_projection, 0));
    -- A statement of its own, which sees what was committed before the lock was given.
    select * into under_way from projection_rebuild where projection = of_projection and state = 'loading';
    if under_way.version <> by_version then
        update projection_rebuild set state = 'failed', changed_at = now(),
               reason = format('a program with version %s of its rules is still handling events', by_version)
        where projection = of_projection;
        return null;
    end if;
    return under_way.loaded_to;
end
$$;

revoke execute on function drop_rebuild_tables, make_rebuild_tables, take_rebuild_tables, follow_rebuild from public;
grant execute on function drop_rebuild_tables, make_rebuild_tables, take_rebuild_tables, follow_rebuild to lunaria_app;
grant select on projection to lunaria_app;
grant select, insert, update on projection_rebuild to lunaria_app;
