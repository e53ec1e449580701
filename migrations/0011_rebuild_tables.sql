-- Whether all tables of a rebuild are there, which they then are until the transaction ends. Where one is not, its name means the one
-- that serves.
create or replace function has_rebuild_tables(of_projection text) returns boolean
language plpgsql volatile set search_path = pg_catalog, public, pg_temp as $$
declare
    owned text;
begin
    for owned in select unnest(tables) from projection where name = of_projection loop
        execute format('lock table rebuild.%I in row exclusive mode', owned);
    end loop;
    return true;
exception
    when undefined_table then return false;
end
$$;
